//! Mermaid diagrams. Node names are ours (`n0`, `n1` …); text stands in quoted labels in which every
//! character that Mermaid or Markdown could take for syntax is written as an entity.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::markdown::fenced;
use crate::documents::{Design, Sync, Tasks};

/// The most arrows in one diagram: Mermaid itself refuses more than 500, and long before that nobody
/// can read it.
const ARROWS_MAX: usize = 300;

/// The longest source, in bytes: Mermaid refuses more than 50,000 characters.
const SOURCE_MAX: usize = 45_000;

/// The longest label, in characters.
const LABEL_MAX: usize = 60;

/// The kinds of diagram that a given source may be.
const KINDS: [&str; 9] = [
    "flowchart",
    "graph",
    "sequenceDiagram",
    "classDiagram",
    "stateDiagram",
    "stateDiagram-v2",
    "erDiagram",
    "C4Context",
    "C4Container",
];

/// The architecture: the diagram that was given, if it is one; else drawn from the components.
pub(super) fn architecture(design: &Design) -> String {
    let Some(given) = design.architecture_diagram.as_deref() else { return components(design) };
    tamed(given).map_or_else(
        || {
            format!(
                "Drawn from the components; what was given is no diagram.\n\n{}",
                components(design)
            )
        },
        |source| fenced("mermaid", &source),
    )
}

/// A given diagram without fences, directives and clicks; `None` if it is no diagram that we know.
fn tamed(source: &str) -> Option<String> {
    let lines: Vec<String> = source
        .lines()
        .filter(|line| {
            let line = line.trim_start();
            let is_fence = line.starts_with("```") || line.starts_with("~~~");
            let acts = line.split_whitespace().next().is_some_and(|word| {
                ["click", "link", "links", "callback"].contains(&word.to_ascii_lowercase().as_str())
            });
            !is_fence && !acts && !line.is_empty() && !line.starts_with("%%")
        })
        .map(without_markup)
        .collect();
    let kind = lines.first()?.split_whitespace().next()?;
    (KINDS.contains(&kind) && lines.len() > 1).then(|| lines.join("\n"))
}

/// Arrows like `<-->`, stereotypes like `<<interface>>` and line breaks stay, tags go; `%%{` would be
/// a directive wherever it stands.
fn without_markup(line: &str) -> String {
    let line = line.replace("%%", "%");
    let mut out = String::with_capacity(line.len());
    for (at, character) in line.char_indices() {
        let rest = &line[at..];
        match character {
            '`' => out.push('\''),
            '<' if is_tag(rest) && !is_stereotype(&line, at) => out.push_str("#lt;"),
            control if control.is_control() && control != '\t' => out.push(' '),
            plain => out.push(plain),
        }
    }
    out
}

/// Whether `<` begins a tag other than a line break.
fn is_tag(text: &str) -> bool {
    let breaks = ["<br>", "<br/>", "<br />"].iter().any(|tag| text.starts_with(tag));
    let next = text.chars().nth(1);
    !breaks && next.is_some_and(|c| c.is_alphabetic() || matches!(c, '/' | '!' | '?'))
}

/// Whether the `<` at a place is the second of `<<word>>`.
fn is_stereotype(line: &str, at: usize) -> bool {
    let word = line[at + 1..].trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    line[..at].ends_with('<') && word.starts_with(">>")
}

fn components(design: &Design) -> String {
    let mut chart = Chart::new("flowchart TD");
    for component in &design.components {
        chart.node(&component.name, &component.name, &component.kind);
    }
    for component in &design.components {
        for dependency in &component.dependencies {
            if !chart.has(dependency) {
                chart.node(dependency, dependency, "external");
            }
            chart.arrow(&component.name, dependency);
        }
    }
    chart.finish()
}

/// Which task meets which requirement.
pub(super) fn coverage(sync: &Sync) -> String {
    let mut chart = Chart::new("flowchart LR");
    for row in &sync.coverage_matrix {
        chart.node(row.requirement.as_str(), row.requirement.as_str(), &row.title);
    }
    for row in &sync.coverage_matrix {
        for task in &row.tasks {
            if !chart.has(task.as_str()) {
                chart.node(task.as_str(), task.as_str(), "");
            }
            chart.arrow(row.requirement.as_str(), task.as_str());
        }
    }
    chart.finish()
}

/// Which task comes before which: arrows point to what comes later.
pub(super) fn dependencies(tasks: &Tasks) -> String {
    let mut chart = Chart::new("flowchart LR");
    for ticket in &tasks.tickets {
        chart.open(ticket.id.as_str(), &ticket.title);
        for task in tasks.tasks.iter().filter(|task| task.parent_ticket == ticket.id) {
            chart.node(task.id.as_str(), task.id.as_str(), &task.title);
        }
        chart.close();
    }
    for task in &tasks.tasks {
        for earlier in &task.depends_on {
            chart.arrow(earlier.as_str(), task.id.as_str());
        }
    }
    chart.finish()
}

/// A flowchart being drawn.
struct Chart {
    source: String,
    names: BTreeMap<String, usize>,
    groups: usize,
    arrows: usize,
}

impl Chart {
    fn new(kind: &str) -> Self {
        Self { source: format!("{kind}\n"), names: BTreeMap::new(), groups: 0, arrows: 0 }
    }

    fn has(&self, key: &str) -> bool {
        self.names.contains_key(key)
    }

    fn line(&mut self, line: &str) {
        writeln!(self.source, "  {line}").unwrap_or_default();
    }

    fn node(&mut self, key: &str, name: &str, more: &str) {
        let number = self.names.len();
        let number = *self.names.entry(key.to_owned()).or_insert(number);
        let more = if more.is_empty() { String::new() } else { format!("<br/>{}", label(more)) };
        self.line(&format!("n{number}[\"{}{more}\"]", label(name)));
    }

    fn open(&mut self, name: &str, more: &str) {
        let number = self.groups;
        self.groups += 1;
        self.line(&format!("subgraph g{number}[\"{}: {}\"]", label(name), label(more)));
    }

    fn close(&mut self) {
        self.line("end");
    }

    /// An arrow between two nodes; one to a node that is not there is left out.
    fn arrow(&mut self, from: &str, to: &str) {
        let (Some(&from), Some(&to)) = (self.names.get(from), self.names.get(to)) else { return };
        self.arrows += 1;
        self.line(&format!("n{from} --> n{to}"));
    }

    /// The diagram in its fence, or a sentence where it would be too large.
    fn finish(self) -> String {
        if self.arrows > ARROWS_MAX || self.source.len() > SOURCE_MAX {
            return format!(
                "A diagram of {} boxes and {} arrows would be unreadable; the text holds the same.\n",
                self.names.len(),
                self.arrows
            );
        }
        fenced("mermaid", &self.source)
    }
}

/// Text inside a quoted label.
fn label(text: &str) -> String {
    let mut out = String::new();
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    for (at, character) in line.chars().take(LABEL_MAX).enumerate() {
        match character {
            // A label that begins like a list is refused by Mermaid as "unsupported Markdown".
            '-' | '+' | '*' if at == 0 => entity(&mut out, character),
            '.' | ')' if out.bytes().all(|b| b.is_ascii_digit()) && at > 0 => {
                entity(&mut out, character);
            }
            '"' | '#' | '&' | '<' | '>' | '`' | '%' | ';' | '\\' | '{' | '}' | '[' | ']' | '|'
            | '(' | ')' | '~' => entity(&mut out, character),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            plain if plain.is_control() => out.push(' '),
            plain => out.push(plain),
        }
    }
    if line.chars().nth(LABEL_MAX).is_some() {
        out.push('…');
    }
    out
}

/// Mermaid's way to write any character: `#35;` is `#`.
fn entity(out: &mut String, character: char) {
    write!(out, "#{};", u32::from(character)).unwrap_or_default();
}
