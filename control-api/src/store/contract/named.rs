//! No function of the store is left out of the contract, and nothing is done again that does more when
//! it is done twice.

use std::fs;
use std::path::{Path, PathBuf};

/// Functions that the contract calls through another one, which does more in the same transaction.
const THROUGH: [(&str, &str); 4] = [
    ("plan::materialise", "intake.take("),
    ("spec::insert", "spec_intake::take("),
    ("engine::fetch_all", ".fetch_optional("),
    ("engine::fetch_optional", ".fetch_one("),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_function_of_the_store_is_in_the_contract() {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut files = Vec::new();
    sources(&store, &mut files);
    let is_test = |path: &PathBuf| {
        let path = path.strip_prefix(&store).unwrap();
        path.starts_with("contract")
            || path == Path::new("contract.rs")
            || path.ends_with("postgres_server.rs")
    };
    let (tests, files): (Vec<_>, Vec<_>) = files.into_iter().partition(is_test);
    let contract: String = tests.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let (mut seen, mut missing) = (0, Vec::new());
    for path in files {
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let mut before = "";
        for line in text.lines() {
            let function = line.trim_start().strip_prefix("pub(crate) async fn ");
            if let Some(name) = function.filter(|_| before.trim() != "#[cfg(test)]") {
                let name: String =
                    name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let path = format!("{module}::{name}");
                seen += 1;
                let method = line.starts_with(' ')
                    && [format!(".{name}("), format!("::{name}(")]
                        .iter()
                        .any(|call| contract.contains(call));
                let through = THROUGH.iter().find(|(function, _)| *function == path);
                let is_named = method
                    || contract.contains(&format!("{path}("))
                    || through.is_some_and(|(_, caller)| contract.contains(caller));
                if !is_named {
                    missing.push(path);
                }
            }
            before = line;
        }
    }
    assert!(seen > 60, "only {seen} functions were found: is the store elsewhere now?");
    assert!(missing.is_empty(), "not in the contract: {missing:?}");
}

/// What is done again after a collision or a lost connection, and why it may be.
const AGAIN: [(&str, &str); 1] = [("ingest.rs", "(sandbox, seq) is an event's identity")];

#[test]
fn only_what_may_be_done_twice_is_done_again() {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&all, &mut files);
    let mut again = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(&all).unwrap();
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let is_test = path.starts_with("store/contract") || path.ends_with("tests.rs");
        if !is_test && (product.contains("trouble::again") || product.contains(" again(\"")) {
            again.push(path.display().to_string());
        }
    }
    assert_eq!(again, AGAIN.map(|(file, _)| file), "say in AGAIN why it may be done twice");
}
