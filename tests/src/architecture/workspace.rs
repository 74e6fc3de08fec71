//! The workspace as it is: its sources, and the dependencies that its manifests declare.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Source;

/// The workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the five crates.
///
/// # Panics
/// When one cannot be read.
#[must_use]
pub fn sources() -> Vec<Source> {
    let root = root();
    let mut sources = Vec::new();
    let mut open: Vec<PathBuf> =
        super::CRATES.iter().map(|(folder, ..)| root.join(folder)).collect();
    while let Some(directory) = open.pop() {
        for entry in or_panic(fs::read_dir(&directory), &directory) {
            let path = or_panic(entry, &directory).path();
            if path.is_dir() {
                // The Claude CLI is installed below the tests; none of it is ours.
                if !path.ends_with("node_modules") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = or_panic(fs::read_to_string(&path), &path);
                let name = path.strip_prefix(&root).unwrap_or(&path);
                sources.push(Source { path: name.to_string_lossy().into_owned(), text });
            }
        }
    }
    sources
}

/// Who depends on whom in the workspace, tests' own dependencies included.
///
/// # Panics
/// When cargo cannot say.
#[must_use]
pub fn dependencies() -> Vec<(String, String)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("cargo cannot be started: {error}"));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        let said = String::from_utf8_lossy(&output.stderr);
        panic!("cargo metadata gave no JSON ({error}): {said}")
    });
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let mut pairs = Vec::new();
    for package in packages {
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            pairs.push((text(&package["name"]), text(&dependency["name"])));
        }
    }
    pairs
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn or_panic<T>(result: std::io::Result<T>, path: &Path) -> T {
    result.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
