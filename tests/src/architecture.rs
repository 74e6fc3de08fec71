//! Who may import whom, and who may touch what: the rules, and a checker of source text.
//!
//! The rules are those of ARCHITECTURE.md. The checker reads text, not types: it looks at what a file
//! names outside of comments and outside of its tests. That is enough to notice a direction that is
//! wrong, and it needs no compiler.

mod workspace;

use std::fmt;

pub use workspace::{dependencies, sources};

/// A Rust file of the workspace.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path from the workspace's root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Something that a place may not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The file, or the crate for a dependency.
    pub path: String,
    /// The line, from 1; 0 for a dependency.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.why)
    }
}

/// The crates, by folder and name, and which of the others each may import.
const CRATES: [(&str, &str, &[&str]); 5] = [
    ("shared", "specwright-shared", &[]),
    ("worker", "specwright-worker", &["specwright-shared"]),
    ("control-api", "specwright-control-api", &["specwright-shared"]),
    ("cli", "specwright", &["specwright-shared", "specwright-worker", "specwright-control-api"]),
    (
        "tests",
        "specwright-tests",
        &["specwright-shared", "specwright-worker", "specwright-control-api"],
    ),
];

/// A thing that only some places may name. A place is a file, with the folder of the same name.
struct Rule {
    /// Whether a line of code names it.
    names: fn(&str) -> bool,
    /// What it is.
    what: &'static str,
    /// Where the rule holds.
    within: &'static [&'static str],
    /// Where it may be named.
    only_in: &'static [&'static str],
}

/// Everything that runs for a user. The test crate may do what it needs.
const PRODUCT: &[&str] = &["shared/src", "worker/src", "control-api/src", "cli/src"];

const RULES: [Rule; 4] = [
    Rule {
        names: names_sql,
        what: "SQL and the database driver",
        within: PRODUCT,
        only_in: &["control-api/src/store"],
    },
    Rule {
        names: names_a_process,
        what: "starting a process",
        within: PRODUCT,
        only_in: &[
            "worker/src/agent",
            // The worker itself, again and again.
            "worker/src/supervise",
            "worker/src/workspace",
            "control-api/src/sandboxes/local",
            // `doctor`, and what `launch` looks at before it starts: `claude --version`, git.
            "cli/src/check",
        ],
    },
    Rule {
        names: names_the_environment,
        what: "reading the environment",
        within: PRODUCT,
        only_in: &["worker/src/config", "control-api/src/config", "cli/src/config"],
    },
    Rule {
        names: names_the_outside,
        what: "files, network, processes and clocks (the crate is pure)",
        within: &["shared/src"],
        only_in: &[],
    },
];

/// Everything that breaks a rule.
#[must_use]
pub fn violations(sources: &[Source]) -> Vec<Violation> {
    let of_tests: Vec<String> = sources.iter().flat_map(test_modules).collect();
    let is_code = |source: &&Source| !of_tests.iter().any(|place| is_below(&source.path, place));
    sources.iter().filter(is_code).flat_map(in_one_file).collect()
}

/// Dependencies between crates that break a rule; pairs of who imports and what.
#[must_use]
pub fn wrong_dependencies(dependencies: &[(String, String)]) -> Vec<Violation> {
    dependencies
        .iter()
        .filter(|(importer, imported)| {
            let rule = CRATES.iter().find(|(_, name, _)| name == importer);
            let ours = CRATES.iter().any(|(_, name, _)| name == imported);
            ours && !rule.is_some_and(|(_, _, may)| may.contains(&imported.as_str()))
        })
        .map(|(importer, imported)| Violation {
            path: importer.clone(),
            line: 0,
            why: format!("{importer} may not depend on {imported}"),
        })
        .collect()
}

fn in_one_file(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for (number, line) in code_lines(source) {
        let mut wrong = |why: String| {
            found.push(Violation { path: source.path.clone(), line: number, why });
        };
        for (folder, name, may) in CRATES {
            let other = CRATES.iter().map(|(_, other, _)| *other).find(|other| {
                *other != name && !may.contains(other) && imports(line, &other.replace('-', "_"))
            });
            if let Some(other) = other
                && is_below(&source.path, folder)
            {
                wrong(format!("{name} may not import {other}"));
            }
        }
        for rule in &RULES {
            let holds_here = rule.within.iter().any(|place| is_below(&source.path, place));
            let allowed = rule.only_in.iter().any(|place| is_below(&source.path, place));
            if holds_here && !allowed && (rule.names)(line) {
                let places = if rule.only_in.is_empty() {
                    "nowhere in this crate".to_owned()
                } else {
                    format!("only in {}", rule.only_in.join(", "))
                };
                wrong(format!("{} may stand {places}", rule.what));
            }
        }
    }
    found
}

/// The modules in files of their own that a file declares for tests only, as places. A test may start
/// what it needs.
fn test_modules(source: &Source) -> Vec<String> {
    let Some((folder, file)) = source.path.rsplit_once('/') else { return Vec::new() };
    let folder = match file {
        "lib.rs" | "main.rs" => folder.to_owned(),
        _ => source.path.trim_end_matches(".rs").to_owned(),
    };
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    lines
        .windows(2)
        .filter(|pair| pair[0] == "#[cfg(test)]")
        .filter_map(|pair| pair[1].strip_suffix(';')?.rsplit_once("mod "))
        .map(|(_, module)| format!("{folder}/{module}"))
        .collect()
}

/// The lines outside of comments and tests, with their numbers.
fn code_lines(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    // The product's integration tests; the crate `tests` keeps its rules (its imports).
    let is_test = source.path.contains("/tests/") && !source.path.starts_with("tests/");
    let lines = if is_test { "" } else { source.text.as_str() }.lines();
    lines
        .enumerate()
        .take_while(|(_, line)| line.trim_end() != "mod tests {")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line))
}

/// Whether a path is a place's file or in its folder: the place `a/b` is `a/b.rs` and all below
/// `a/b/`, and not `a/bc.rs`.
fn is_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

fn imports(line: &str, module: &str) -> bool {
    line.match_indices(module).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + module.len()..].chars().next();
        let part_of_a_word = |one: Option<char>| {
            one.is_some_and(|character| character.is_alphanumeric() || character == '_')
        };
        // A name in a string (`"specwright_worker=debug"`) imports nothing.
        !part_of_a_word(before)
            && !part_of_a_word(after)
            && before != Some('"')
            && (after == Some(':') || after == Some(';') || line.trim_start().starts_with("use "))
    })
}

fn names_sql(line: &str) -> bool {
    let statements = ["SELECT ", "INSERT INTO ", "DELETE FROM ", "CREATE TABLE ", "PRAGMA "];
    let update = line.contains("UPDATE ") && line.contains(" SET ");
    update
        || statements.iter().any(|statement| line.contains(statement))
        || line.contains("sqlx::")
        || line.contains("use sqlx")
}

fn names_a_process(line: &str) -> bool {
    line.match_indices("process::").any(|(at, found)| {
        let rest = &line[at + found.len()..];
        let list = rest.strip_prefix('{').and_then(|list| list.split('}').next());
        rest.starts_with("Command") || list.is_some_and(|list| list.contains("Command"))
    })
}

fn names_the_environment(line: &str) -> bool {
    // `var`, `var_os`, `vars`, `vars_os`.
    line.contains("env::var")
}

fn names_the_outside(line: &str) -> bool {
    ["std::fs", "std::net", "std::process", "std::env", "tokio", "SystemTime::now", "Instant::now"]
        .iter()
        .any(|name| line.contains(name))
}

#[cfg(test)]
mod tests;
