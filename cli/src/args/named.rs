//! Every command that a document or a sentence of ours names is there, with the options that it names.
//!
//! What holds: a command is what stands in backticks and begins with `specwright `, and in documents
//! also a line that does. Deliberately absent: what stands for a value (`SPEC`, `…`, `{id}`) is not judged.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

use super::Cli;

/// What is read: documents, and the sources whose sentences people and clients get.
const PLACES: [&str; 10] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs",
    "sandbox-image",
    "tests/run",
    "cli/src",
    "control-api/src",
    "shared/src",
    "worker/src",
];
/// What sandboxes run: no commands for people, so not among clap's.
const OF_SANDBOXES: [&str; 3] = ["supervise", "worker", "rehearsal-agent"];
/// What of it is text.
const TEXTS: [&str; 9] = ["md", "json", "rs", "conf", "service", "py", "sh", "Dockerfile", "run"];

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        entries.for_each(|entry| files(&entry.unwrap().path(), found));
        return;
    }
    let ending = path.extension().or_else(|| path.file_name()).unwrap();
    if TEXTS.iter().any(|text| ending == *text) {
        found.push(path.to_owned());
    }
}

/// The commands in a text, each on one line.
fn commands(text: &str, is_document: bool) -> Vec<String> {
    let spans = text.split("`specwright ").skip(1).filter_map(|rest| rest.split('`').next());
    // A sentence that is wrapped goes on behind what a comment or a string begins its lines with.
    let line = |span: &str| {
        let lines = span.lines().map(|line| {
            let line = line.trim().trim_end_matches('\\').trim_end_matches("\\n");
            line.trim_start_matches(['/', '!', '#']).trim()
        });
        lines.collect::<Vec<_>>().join(" ")
    };
    let mut found: Vec<_> = spans.map(line).collect();
    if is_document {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("specwright "));
        found.extend(lines.map(str::to_owned));
    }
    found
}

/// What is wrong with a command, if anything is.
fn wrong(command: &str) -> Option<String> {
    if OF_SANDBOXES.iter().any(|name| command.split_whitespace().next() == Some(name)) {
        return None;
    }
    let mut at = Cli::command();
    at.build();
    let mut descends = true;
    for word in command.split_whitespace().take_while(|word| *word != "#") {
        let word = word.trim_matches(['[', ']', ',', ';', ')', '\'', '"']);
        if let Some(option) = word.strip_prefix("--") {
            let name = option.split('=').next().unwrap_or_default();
            let is_there =
                name == "help" || at.get_arguments().any(|arg| arg.get_long() == Some(name));
            if !name.is_empty() && !is_there {
                return Some(format!("`{}` has no --{name}", at.get_name()));
            }
        } else if descends && at.has_subcommands() && !word.starts_with('-') {
            if !word.chars().all(|c| c.is_ascii_lowercase() || c == '-') || word.is_empty() {
                descends = false;
            } else if let Some(below) = at.find_subcommand(word).cloned() {
                at = below;
            } else {
                return Some(format!("`{}` has no command `{word}`", at.get_name()));
            }
        }
    }
    None
}

#[test]
fn every_command_that_is_named_is_there_with_its_options() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut paths = Vec::new();
    PLACES.iter().for_each(|place| files(&root.join(place), &mut paths));
    let (mut seen, mut mistakes) = (0, Vec::new());
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let is_document = path.extension().is_some_and(|ending| ending == "md");
        for command in commands(&text, is_document) {
            seen += 1;
            mistakes.extend(
                wrong(&command)
                    .map(|why| format!("{}: `specwright {command}`: {why}", path.display())),
            );
        }
    }
    assert!(seen > 50, "only {seen} commands were found: is this looking at the right place?");
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn what_is_not_there_is_found() {
    for (command, why) in [
        ("token new", "`token` has no command `new`"),
        ("launhc", "no command `launhc`"),
        ("launch --agnet x", "`launch` has no --agnet"),
        ("--jsno list", "no --jsno"),
    ] {
        let said = wrong(command).unwrap();
        assert!(said.contains(why), "{said}");
    }
    for command in ["token create", "launch --agent x \"idea\"", "list --json", "COMMAND", "…"] {
        assert_eq!(wrong(command), None, "{command}");
    }
    // In pieces, or it would be found here, too.
    let text =
        concat!("say `", "specwright token\n/// create --user ada` or\n    specwright list\n");
    assert_eq!(commands(text, true), ["token create --user ada", "list"]);
}
