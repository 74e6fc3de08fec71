//! Programs that are no agent, or stop being one in the middle: each ends the run with a sentence that
//! says what is wrong, and nothing of it is left running.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Finished, System};

use crate::faulty::install;
use crate::shape::{is_a_complete_summary, phases_with, text};

/// A world in which one attempt is all there is.
fn one_attempt() -> System {
    let mut system = System::new();
    system.set("MAX_ATTEMPTS", "1");
    system
}

/// Puts a file with these bytes and this mode beside the other programs.
fn file(system: &System, name: &str, content: &[u8], mode: u32) -> PathBuf {
    let path = system.directory("bin").join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

async fn launch(system: &System, agent: &str, more: &[&str]) -> Finished {
    let repository = Repository::with_files(sample::FILES);
    let before = repository.contents();
    let arguments = [&["launch", "--json", "--agent", agent], more, &[sample::IDEA]].concat();
    let run = system.run(repository.path(), arguments).await;
    before.is_still_in(repository.path());
    system.nothing_left().await;
    run
}

/// The one terminal report: its outcome and its cause.
fn end(run: &Finished) -> (String, String) {
    let ends = run.events("spec.execution_failed");
    let [end] = &ends[..] else { panic!("not one end: {run:#?}") };
    (text(&end["data"]["outcome"]), text(&end["data"]["message"]))
}

#[tokio::test]
async fn what_is_no_program_is_refused_before_anything_is_started() {
    let system = System::new();
    let directory = system.directory("home");
    let plain = file(&system, "not-executable", b"#!/bin/sh\nexit 0\n", 0o644);
    let missing = system.directory("bin").join("missing");
    for path in [directory, plain, missing] {
        let path = path.display().to_string();
        let run = launch(&system, &path, &[]).await.expect_code(3);
        assert!(run.stderr.contains(&path) && run.stderr.contains("rehearsal"), "{run:#?}");
        assert_eq!(run.stdout, "");
    }
    assert!(!system.data().join("sandboxes").exists(), "a sandbox was made");
}

#[tokio::test]
async fn a_program_that_is_no_agent_fails_the_run_with_what_is_wrong_with_it() {
    let table: [(&str, &[u8], &str); 6] = [
        ("no-interpreter", b"#!/no/such/interpreter\n", "No such file"),
        ("no-format", b"\x7fELF and then nothing", "ended before it was ready"),
        ("empty", b"", "exit code 0"),
        ("at-once", b"#!/bin/sh\necho no licence >&2\nexit 0\n", "exit code 0"),
        ("with-an-error", b"#!/bin/sh\necho no licence >&2\nexit 3\n", "no licence"),
        ("killed", b"#!/bin/sh\nkill -9 $$\n", "signal 9"),
    ];
    for (name, content, because) in table {
        let system = one_attempt();
        let path = file(&system, name, content, 0o755).display().to_string();
        let run = launch(&system, &path, &[]).await.expect_code(1);
        let (outcome, cause) = end(&run);
        assert_eq!(outcome, "agent_error", "{name}: {cause}");
        assert!(cause.contains(because), "{name}: {cause}");
    }
}

#[tokio::test]
async fn an_agent_that_is_not_fit_or_breaks_off_fails_the_run_with_the_reason() {
    let table = [
        ("wrong-version", "agent_error", "2.1.197"),
        ("wrong-permission-mode", "agent_error", "permission mode"),
        ("torn-line", "agent_error", "ended by itself"),
        ("closes-stdout-but-lives", "agent_error", "stdout"),
    ];
    for (behaviour, expected, because) in table {
        let system = one_attempt();
        let path = install(&system, behaviour).display().to_string();
        let run = launch(&system, &path, &[]).await.expect_code(1);
        let (outcome, cause) = end(&run);
        assert_eq!(outcome, expected, "{behaviour}: {cause}");
        assert!(cause.contains(because), "{behaviour}: {cause}");
    }
}

#[tokio::test]
async fn garbage_before_the_protocol_and_a_deaf_hang_behind_the_result_do_not_stop_a_run() {
    let system = one_attempt();
    let path = install(&system, "ok:outputs.json, garbage, hang-after-result, deaf");
    let path = path.display().to_string();
    let run = launch(&system, &path, &[]).await.expect_code(0);
    is_a_complete_summary(&run.summary(), &path);
}

#[tokio::test]
async fn a_flood_of_lines_of_five_megabytes_is_taken_and_not_kept_whole() {
    let system = one_attempt();
    let path = install(&system, "ok:outputs.json, flood-5mb").display().to_string();
    let run = launch(&system, &path, &["--until", "explore"]).await.expect_code(0);
    assert_eq!(phases_with(&run, "spec.phase_completed"), ["explore"]);
    let said = run.events("agent.message");
    assert!(said.len() >= 10, "{} of the lines were told", said.len());
    let largest = said.iter().map(|event| event.to_string().len()).max().unwrap();
    assert!(largest < 100_000, "an event of {largest} bytes");
}

#[tokio::test]
async fn an_empty_output_is_refused_with_what_is_missing() {
    let system = one_attempt();
    let path = install(&system, "ok:empty.json").display().to_string();
    let empty = br#"{"Explore": {}, "Requirements": {}, "Design": {}, "Tasks": {}}"#;
    file(&system, "empty.json", empty, 0o644);
    let run = launch(&system, &path, &[]).await.expect_code(1);
    let (outcome, cause) = end(&run);
    assert_eq!(outcome, "failed", "{cause}");
    assert!(cause.contains("missing field"), "{cause}");
}

#[tokio::test]
async fn an_agent_whose_program_goes_away_between_two_phases_is_named() {
    let system = one_attempt();
    let faulty = install(&system, "ok:outputs.json").display().to_string();
    let script = format!("#!/bin/sh\nrm \"$0\"\nexec {faulty} \"$@\"\n");
    let path = file(&system, "vanishes", script.as_bytes(), 0o755).display().to_string();
    let run = launch(&system, &path, &[]).await.expect_code(1);
    assert_eq!(phases_with(&run, "spec.phase_completed"), ["explore"]);
    let (outcome, cause) = end(&run);
    assert_eq!(outcome, "agent_error", "{cause}");
    assert!(cause.contains(&path), "{cause}");
}
