//! The image's file against the sources: no engine builds it in a test, so what it names is looked up.

use std::fs;
use std::path::{Path, PathBuf};

use specwright_worker::agent::MEASURED_VERSION;

/// One instruction, continued lines joined, comments left out.
struct Instruction {
    word: String,
    arguments: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn instructions() -> Vec<Instruction> {
    let text = read("sandbox-image/Dockerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let instruction = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        Some(Instruction { word: words.next()?, arguments: words.collect() })
    };
    joined.lines().filter_map(instruction).collect()
}

fn of<'a>(all: &'a [Instruction], word: &str) -> Vec<&'a [String]> {
    all.iter().filter(|one| one.word == word).map(|one| one.arguments.as_slice()).collect()
}

/// The value of a setting of the image.
fn setting(all: &[Instruction], name: &str) -> String {
    let settings = of(all, "ENV").concat();
    let found = settings.iter().find_map(|one| one.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("the image does not set {name}")).to_owned()
}

#[test]
fn what_the_image_copies_is_in_the_repository_or_made_by_a_stage_before() {
    let all = instructions();
    let stages: Vec<&String> = of(&all, "FROM").iter().filter_map(|from| from.get(2)).collect();
    let runs = of(&all, "RUN").concat().join(" ");
    for copy in of(&all, "COPY") {
        let (sources, _) = copy.split_at(copy.len() - 1);
        if let Some(stage) = sources[0].strip_prefix("--from=") {
            assert!(stages.iter().any(|known| *known == stage), "no stage {stage}");
            continue;
        }
        for source in sources {
            assert!(root().join(source).exists(), "{source} is not in the repository");
        }
    }
    assert!(runs.contains("--package specwright-worker"));
    assert!(read("worker/Cargo.toml").contains("[[bin]]\nname = \"specwright-worker\""));
    assert!(root().join("Cargo.lock").exists());
    let ignored = read("sandbox-image/Dockerfile.dockerignore");
    assert!(!ignored.lines().any(|line| ["tests", "tests/claude-cli"].contains(&line)));
}

#[test]
fn the_images_cli_is_the_one_that_was_measured_and_its_scripts_do_not_run() {
    let (major, minor, patch) = MEASURED_VERSION;
    let pin = format!("\"@anthropic-ai/claude-code\": \"{major}.{minor}.{patch}\"");
    for file in ["tests/claude-cli/package.json", "tests/claude-cli/package-lock.json"] {
        assert!(read(file).contains(&pin), "{file} pins another version");
    }
    let runs = of(&instructions(), "RUN").concat().join(" ");
    assert!(runs.contains("npm ci --ignore-scripts"), "{runs}");
    // The pinned files are the only place that names a version.
    assert!(!read("sandbox-image/Dockerfile").contains("claude-code@"));
}

#[test]
fn the_images_compiler_is_the_pinned_one() {
    let all = instructions();
    let base = &of(&all, "FROM")[0][0];
    let pinned = read("rust-toolchain.toml");
    let version = base.strip_prefix("rust:").and_then(|tag| tag.split('-').next()).unwrap();
    assert!(pinned.contains(&format!("channel = \"{version}\"")), "{base}: {pinned}");
}

#[test]
fn the_image_starts_the_supervisor_and_names_settings_that_the_worker_has() {
    let all = instructions();
    let entry = of(&all, "ENTRYPOINT").concat().join("");
    let entry: Vec<String> = serde_json::from_str(&entry).unwrap();
    let copies = of(&all, "COPY");
    let into: Vec<&String> = copies.iter().filter_map(|copy| copy.last()).collect();
    assert!(into.contains(&&entry[0]), "nothing is copied to {}", entry[0]);
    assert!(read("worker/src/main.rs").contains(&format!("Some(\"{}\")", entry[1])));
    let sources = ["worker/src/config/agent_user.rs", "worker/src/config/workplace.rs"].map(read);
    let sources = sources.concat();
    for name in ["AGENT_USER", "WORKSPACE_DIR", "STATE_DIR"] {
        assert!(!setting(&all, name).is_empty());
        assert!(sources.contains(&format!("\"{name}\"")), "the worker has no {name}");
    }
    let runs = of(&all, "RUN").concat().join(" ");
    assert!(runs.contains(&format!("nologin {} ", setting(&all, "AGENT_USER"))), "{runs}");
    assert!(runs.contains(&setting(&all, "STATE_DIR")), "{runs}");
    // Only root can start an agent as another user.
    assert!(of(&all, "USER").is_empty());
}
