//! The table of incidents (`docs/incidents.md`), and the tests that the sources have: what the table
//! names must be there.
//!
//! A test is named by its crate, the modules of its file and its own name, as the test runner shows
//! it: `worker::spool::tests::numbers_go_on_after_a_restart`. A module `tests` inside of a file is
//! left out, and so is `tests` as the folder of a crate's own integration tests. The checker reads
//! text, not types, like that of the architecture.

use std::collections::BTreeSet;

use crate::architecture::Source;

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// What happened, or what the input is.
    pub what: String,
    /// What is held instead.
    pub held: String,
    /// The tests that fail without it.
    pub tests: Vec<String>,
}

/// The rows of all tables of the document, without their heads.
///
/// # Panics
/// When a row has not three cells, or names no test.
#[must_use]
pub fn incidents(document: &str) -> Vec<Incident> {
    let rows = document.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| !cells.iter().all(|cell| is_rule(cell)) && cells.last() != Some(&"test"))
        .map(|cells| {
            let [what, held, tests] = cells[..] else { panic!("not three cells: {cells:?}") };
            let quoted = tests.split('`').skip(1).step_by(2);
            let tests: Vec<String> = quoted.map(str::to_owned).collect();
            assert!(!tests.is_empty(), "no test is named for: {what}");
            Incident { what: what.to_owned(), held: held.to_owned(), tests }
        })
        .collect()
}

/// A line below the head of a table.
fn is_rule(cell: &str) -> bool {
    !cell.is_empty() && cell.chars().all(|one| matches!(one, '-' | ':'))
}

/// The names of all tests in the sources.
#[must_use]
pub fn tests_of(sources: &[Source]) -> BTreeSet<String> {
    sources.iter().flat_map(tests_in).collect()
}

fn tests_in(source: &Source) -> Vec<String> {
    let Some(module) = module_of(&source.path) else { return Vec::new() };
    let mut found = Vec::new();
    let mut marked = false;
    for line in source.text.lines().map(str::trim) {
        if line.starts_with("#[") || line.starts_with("//") {
            marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else if let Some(name) = function(line) {
            if marked {
                found.push(format!("{module}::{name}"));
            }
            marked = false;
        } else if !line.is_empty() && !line.starts_with(')') {
            // The arguments of an attribute that goes over several lines leave the mark alone only
            // when they look like nothing else.
            marked &= line.ends_with(',') || line.ends_with('"');
        }
    }
    found
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// Crate and modules of a file, as in the name of a test.
fn module_of(path: &str) -> Option<String> {
    let path = path.strip_suffix(".rs")?;
    let mut parts: Vec<&str> = path.split('/').collect();
    if matches!(parts.last(), Some(&("main" | "lib"))) {
        parts.pop();
    }
    let (krate, rest) = parts.split_first()?;
    let rest: Vec<&str> = match rest {
        ["src", "bin", rest @ ..] | ["src" | "tests", rest @ ..] => rest.to_vec(),
        _ => return None,
    };
    let krate = krate.replace('-', "_");
    Some(std::iter::once(krate.as_str()).chain(rest).collect::<Vec<_>>().join("::"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::sources;

    #[test]
    fn every_incident_has_its_test_in_the_tree() {
        let incidents = incidents(include_str!("../../docs/incidents.md"));
        assert!(incidents.len() > 80, "only {} rows were read", incidents.len());
        let there = tests_of(&sources());
        assert!(there.len() > 500, "only {} tests were found", there.len());
        let missing: Vec<String> = incidents
            .iter()
            .flat_map(|one| one.tests.iter().map(move |test| (one, test)))
            .filter(|(_, test)| !there.contains(*test))
            .map(|(one, test)| format!("{test}, for: {}", one.what))
            .collect();
        assert!(missing.is_empty(), "tests that are not there:\n{}", missing.join("\n"));
    }

    #[test]
    fn a_row_names_its_tests_and_heads_and_rules_are_none() {
        let table = "# T\n\n| what | held | test |\n|---|:--|---|\n| a | b | `c::d`, `e::f` |\n";
        let expected = Incident {
            what: "a".into(),
            held: "b".into(),
            tests: vec!["c::d".into(), "e::f".into()],
        };
        assert_eq!(incidents(table), [expected]);
    }

    #[test]
    #[should_panic(expected = "no test is named for: a")]
    fn a_row_without_a_test_is_refused() {
        drop(incidents("| a | b | to come |\n"));
    }

    #[test]
    fn tests_are_named_by_crate_modules_and_function() {
        let found = |path: &str, text: &str| {
            tests_of(&[Source { path: path.into(), text: text.into() }])
                .into_iter()
                .collect::<Vec<_>>()
        };
        let one = "#[test]\nfn it_works() {}\nfn helper() {}\n";
        assert_eq!(found("control-api/src/a/b.rs", one), ["control_api::a::b::it_works"]);
        assert_eq!(found("worker/tests/run/main.rs", one), ["worker::run::it_works"]);
        assert_eq!(found("tests/src/bin/chaos/main.rs", one), ["tests::chaos::it_works"]);
        let several = "    #[tokio::test(flavor = \"x\")]\n    #[should_panic(\n        \
                       expected = \"y\"\n    )]\n    async fn it_waits() {\n        let x = 1;\n    }\n\
                       // #[test]\nfn gone() {}\n";
        assert_eq!(found("shared/src/lib.rs", several), ["shared::it_waits"]);
    }
}
