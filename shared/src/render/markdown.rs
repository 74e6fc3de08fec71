//! Text from a model or a person as Markdown that stays where it is put.
//!
//! Outside of code, every backslash, `<` and unpaired backtick is escaped, so that nothing is read as
//! HTML or as a fence. Code spans and code blocks that are complete are kept; a block that was left
//! open is closed. Headings in body text are set below ours, images become links (a document that
//! is opened must not call home), and invisible marks that turn the direction of writing are
//! dropped: they could make a line read as another.

use std::fmt::Write as _;

/// One line of text: for headings, list items and names. Line breaks become spaces.
pub(super) fn inline(text: &str) -> String {
    let line = one_line(text);
    guard_start(&escaped(&line, Code::Kept))
}

/// One table cell.
pub(super) fn cell(text: &str) -> String {
    escaped(&one_line(text), Code::KeptIfPlain).replace('|', "\\|")
}

/// A name or a path as code; what cannot be code in a table (a pipe, a backtick) is escaped text.
pub(super) fn code(text: &str) -> String {
    let line = one_line(text);
    if line.contains(['`', '|', '\\']) { guard_start(&cell(&line)) } else { format!("`{line}`") }
}

/// Body text in Markdown: paragraphs, lists, tables, code; ends with a line break.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    // A table's cells are cut before code is looked for: a pipe inside code would cut it in two.
    let code = if text.lines().any(may_rule_table) { Code::KeptIfPlain } else { Code::Kept };
    let mut block: Option<Block> = None;
    for line in text.trim_matches('\n').lines() {
        let line = without_direction_marks(line);
        match (&mut block, fence(&line)) {
            (Some(open), Some((mark, length, "")))
                if mark == open.mark && length >= open.length =>
            {
                open.write(&mut out);
                block = None;
            }
            (Some(open), _) => open.lines.push(line),
            (None, Some((mark, length, info))) => block = Some(Block::open(mark, length, info)),
            (None, None) => {
                out.push_str(&body_line(&line, code));
                out.push('\n');
            }
        }
    }
    if let Some(open) = block {
        open.write(&mut out);
    }
    out
}

/// A list, one item a line; nothing for no items.
pub(super) fn list<'t>(items: impl IntoIterator<Item = &'t str>) -> String {
    items.into_iter().fold(String::new(), |mut list, item| {
        writeln!(list, "- {}", inline(item)).unwrap_or_default();
        list
    })
}

/// A heading and what belongs to it; nothing when there is nothing.
pub(super) fn section(level: usize, heading: &str, body: &str) -> String {
    if body.trim().is_empty() {
        return String::new();
    }
    format!("{} {heading}\n\n{}\n\n", "#".repeat(level), body.trim_end())
}

/// A table of cells that are escaped already; nothing for no rows.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut body = String::new();
    for row in rows {
        writeln!(body, "| {} |", row.join(" | ")).unwrap_or_default();
    }
    if body.is_empty() {
        return body;
    }
    let rule = vec!["---"; head.len()].join(" | ");
    format!("| {} |\n| {rule} |\n{body}", head.join(" | "))
}

/// A fence that nothing in the content can end.
pub(super) fn fenced(info: &str, content: &str) -> String {
    const SHORTEST: usize = 3;
    let longest = content.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(SHORTEST.max(longest + 1));
    format!("{fence}{info}\n{}\n{fence}\n", content.trim_end_matches('\n'))
}

/// A code block in body text.
struct Block {
    mark: char,
    length: usize,
    info: String,
    lines: Vec<String>,
}

impl Block {
    fn open(mark: char, length: usize, info: &str) -> Self {
        const INFO_MAX: usize = 20;
        let info: String = info
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+'))
            .take(INFO_MAX)
            .collect();
        // A diagram in body text was not checked by anybody: it is shown as code, not drawn.
        let info = if info.eq_ignore_ascii_case("mermaid") { "text".to_owned() } else { info };
        Self { mark, length, info, lines: Vec::new() }
    }

    fn write(&self, out: &mut String) {
        out.push_str(&fenced(&self.info, &self.lines.join("\n")));
    }
}

/// The fence that a line is: its character, its length and what stands behind it.
fn fence(line: &str) -> Option<(char, usize, &str)> {
    const SHORTEST: usize = 3;
    let line = line.trim();
    let mark = line.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let info = line.trim_start_matches(mark);
    let length = line.len() - info.len();
    // A backtick behind a fence of backticks makes it a code span.
    let is_fence = length >= SHORTEST && !(mark == '`' && info.contains('`'));
    is_fence.then_some((mark, length, info.trim()))
}

/// A line of body text that is not code.
fn body_line(line: &str, code: Code) -> String {
    /// Headings of body text start here, below all of ours.
    const LEVEL: usize = 5;
    let trimmed = line.trim();
    let heading = trimmed.trim_start_matches('#');
    let level = trimmed.len() - heading.len();
    if (1..=6).contains(&level) && heading.starts_with([' ', '\t']) {
        let text = escaped(heading.trim(), code);
        return format!("{} {text}", "#".repeat((LEVEL + level - 1).min(6)));
    }
    let ruled = |mark: char| !trimmed.is_empty() && trimmed.chars().all(|c| c == mark);
    if ruled('-') || ruled('=') {
        // Under a paragraph this would make a heading of it.
        return format!("\\{trimmed}");
    }
    if trimmed.starts_with('[') && trimmed.contains("]:") {
        // A link's definition would not be shown at all.
        return format!("\\{}", escaped(trimmed, code));
    }
    escaped(line, code)
}

/// Whether a line could be the one under a table's head, be it in a quotation or a list.
fn may_rule_table(line: &str) -> bool {
    let marks = |c: char| c.is_whitespace() || c.is_ascii_digit() || "|-:>*+.)".contains(c);
    line.contains('-') && line.chars().all(marks)
}

#[derive(Clone, Copy, PartialEq)]
enum Code {
    Kept,
    /// Only without pipe and backslash, which mean something else inside a table's code.
    KeptIfPlain,
}

fn escaped(line: &str, code: Code) -> String {
    let mut out = String::with_capacity(line.len() + 8);
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        if character == '`'
            && let Some(length) = code_span(rest)
        {
            let span = &rest[..length];
            if code == Code::Kept || !span.contains(['|', '\\']) {
                out.push_str(span);
            } else {
                // As text, to the end, so that its last backticks do not open another span.
                let inner = span.trim_start_matches('`');
                let run = span.len() - inner.len();
                let ticks = "\\`".repeat(run);
                let inner = escaped(&inner[..inner.len() - run], code);
                out.extend([ticks.as_str(), &inner, &ticks]);
            }
            rest = &rest[length..];
            continue;
        }
        match character {
            '`' => {
                // The whole run, so that a part of it is not taken for an opening.
                let run = rest.len() - rest.trim_start_matches('`').len();
                (0..run).for_each(|_| out.push_str("\\`"));
                rest = &rest[run..];
                continue;
            }
            '<' => out.push_str("&lt;"),
            '\\' => out.push_str("\\\\"),
            '~' if rest.starts_with("~~~") => out.push_str("\\~"),
            '!' if rest.starts_with("![") => out.push_str("\\!"),
            '&' if is_entity(rest) => out.push_str("&amp;"),
            plain => out.push(plain),
        }
        rest = &rest[character.len_utf8()..];
    }
    out
}

/// The length of the code span that a text begins with, backticks included.
fn code_span(text: &str) -> Option<usize> {
    let inner = text.trim_start_matches('`');
    let run = text.len() - inner.len();
    let mut at = run;
    while let Some(found) = text[at..].find('`') {
        let start = at + found;
        let length = text[start..].len() - text[start..].trim_start_matches('`').len();
        at = start + length;
        if length == run {
            return Some(at);
        }
    }
    None
}

/// Whether `&` begins something that HTML would turn into another character.
fn is_entity(text: &str) -> bool {
    const NAME_MAX: usize = 32;
    let name = text[1..].chars().take(NAME_MAX);
    let length = name.take_while(|c| c.is_ascii_alphanumeric() || *c == '#').count();
    length > 0 && text[1 + length..].starts_with(';')
}

/// A block's first character must not start another block.
fn guard_start(text: &str) -> String {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 && text[digits..].starts_with(['.', ')']) {
        return format!("{}\\{}", &text[..digits], &text[digits..]);
    }
    // A star may begin a word that is meant to stand out; only one before a space is a list.
    let starts_block = text.starts_with(['#', '>', '-', '+', '=', '|', '~'])
        || text.starts_with("* ")
        || text.starts_with("***");
    if starts_block { format!("\\{text}") } else { text.to_owned() }
}

fn one_line(text: &str) -> String {
    without_direction_marks(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_direction_marks(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| !turns(*c) && (!c.is_control() || c.is_whitespace())).collect()
}
