//! Places that are no good, and a control API that is not there: what the worker says, what it does
//! all the same, and what is delivered in the end.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::full_disk::SmallDisk;
use super::*;

/// The exit code of a run that the worker or its place spoilt.
const WORKER_ERROR: Option<i32> = Some(16);

#[test]
fn a_state_directory_that_cannot_be_made_is_refused_with_its_name() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    std::fs::write(place.path().join("file"), "").unwrap();
    let state = place.path().join("file/state").display().to_string();
    let code = run(place.path(), &control, &[("STATE_DIR", &state)]);
    let said = log(place.path());
    assert_eq!(code, WORKER_ERROR, "{said}");
    assert!(said.contains("STATE_DIR") && said.contains("file/state"), "{said}");
    assert_eq!(control.generation(), 0, "it said hello");
}

#[test]
fn a_state_directory_that_is_read_only_is_refused_with_its_name() {
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("state");
    let Some(disk) = SmallDisk::mount(&state) else {
        eprintln!("skipped: this process may not mount a tmpfs");
        return;
    };
    disk.make_read_only();
    let control = Control::start(Some(repository(place.path())));
    let code = run(place.path(), &control, &[]);
    let said = log(place.path());
    assert_eq!(code, WORKER_ERROR, "{said}");
    assert!(said.contains("STATE_DIR") && said.contains("Read-only"), "{said}");
    assert_eq!(control.generation(), 0, "it said hello");
}

#[test]
fn a_state_directory_on_a_disk_that_is_full_from_the_start_is_told() {
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("state");
    let Some(disk) = SmallDisk::mount(&state) else {
        eprintln!("skipped: this process may not mount a tmpfs");
        return;
    };
    disk.fill();
    let control = Control::start(Some(repository(place.path())));
    let code = run(place.path(), &control, &[]);
    let said = log(place.path());
    assert_eq!(code, WORKER_ERROR, "{said}");
    assert!(said.contains("STATE_DIR") && said.contains("no room for the report"), "{said}");
    assert_eq!(control.kinds(), [""; 0], "it began all the same");
}

#[test]
fn directories_whose_names_are_no_text_are_used_as_they_are() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let mut command = worker(place.path(), &control.url, &[]);
    for (name, bytes) in [("STATE_DIR", b"st\xffate"), ("WORKSPACE_DIR", b"wo\xff\xferk")] {
        command.env(name, place.path().join(OsStr::from_bytes(bytes)));
    }
    let code = Child::start(command).exit_code(place.path());
    assert_eq!(code, Some(0), "{}\n{:?}", log(place.path()), control.kinds());
    assert_eq!(control.phases_of("spec.phase_completed"), Phase::ALL.map(Some));
    assert!(place.path().join(OsStr::from_bytes(b"st\xffate/spool")).is_dir());
}

#[test]
fn a_place_without_git_ends_the_run_with_a_report_that_names_it() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let empty = place.path().join("no-programs");
    std::fs::create_dir(&empty).unwrap();
    let code = run(place.path(), &control, &[("PATH", empty.to_str().unwrap())]);
    assert_eq!(code, WORKER_ERROR, "{}", log(place.path()));
    assert_eq!(control.kinds(), ["spec.execution_failed"]);
    let end = control.describe("spec.execution_failed");
    assert!(end.contains("git") && end.contains("worker_error"), "{end}");
}

#[test]
fn documents_that_cannot_be_written_are_told_and_change_nothing_about_the_run() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    std::fs::write(place.path().join("file"), "").unwrap();
    let output = place.path().join("file/documents").display().to_string();
    let code = run(place.path(), &control, &[("OUTPUT_DIR", &output)]);
    assert_eq!(code, Some(0), "{}\n{:?}", log(place.path()), control.kinds());
    assert_eq!(control.phases_of("spec.phase_completed"), Phase::ALL.map(Some));
    // Their texts are where everything else is.
    let documents = control.describe("spec.artifact_created");
    assert!(documents.contains(r#""path":"""#) && documents.contains("rehearsal"), "{documents}");
    let said = control.describe("spec.progress");
    assert!(said.contains("could not be written") && said.contains(&output), "{said}");
}

#[test]
fn the_first_event_tells_the_settings_as_they_were_understood() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let settings = [
        ("MODEL", "a-model"),
        ("MAX_ATTEMPTS", "2"),
        ("PHASE_TIMEOUT", "77"),
        ("MAX_BUDGET_USD", "3.5"),
        ("ANTHROPIC_API_KEY", "sk-ant-a-key-of-a-test"),
    ];
    assert_eq!(run(place.path(), &control, &settings), Some(0), "{}", log(place.path()));
    assert_eq!(control.kinds()[0], "spec.execution_started");
    let started: serde_json::Value =
        serde_json::from_str(&control.describe("spec.execution_started")).unwrap();
    assert_eq!(started["model"], "a-model", "{started:#}");
    assert_eq!(started["max_attempts"], 2, "{started:#}");
    assert_eq!(started["phase_timeout_secs"], 77, "{started:#}");
    assert_eq!(started["max_budget_usd"], 3.5, "{started:#}");
    assert_eq!((&started["agent"], &started["rehearsal"]), (&"rehearsal".into(), &true.into()));
    assert!(started["commit"].as_str().is_some_and(|id| id.len() == 40), "{started:#}");
    assert!(!started.to_string().contains("sk-ant"), "{started:#}");
    // And what the agent says of itself, which need not be the same.
    let agents = control.describe("agent.started");
    assert!(agents.contains(r#""permission_mode":"dontAsk""#) && agents.contains("version"));
}

#[test]
fn a_control_api_that_was_away_for_the_whole_run_gets_everything_when_it_is_back() {
    let place = tempfile::tempdir().unwrap();
    let mut control = Control::start(Some(repository(place.path())));
    let mut child = Child::start(worker(place.path(), &control.url, &[]));
    control::until("hello was said", || control.generation() == 1);
    control.go_away();
    let stored_before = control.kinds().len();
    until_on_disk(place.path(), "spec.execution_completed");
    assert_eq!(control.kinds().len(), stored_before, "it is not away");
    control.come_back();
    assert_eq!(child.exit_code(place.path()), Some(0), "{}", log(place.path()));
    assert_eq!(control.phases_of("spec.phase_completed"), Phase::ALL.map(Some));
    let kinds = control.kinds();
    assert_eq!(kinds[0], "spec.execution_started");
    assert_eq!(kinds.last().unwrap(), "spec.execution_completed");
    assert_eq!(kinds.iter().filter(|kind| kind.starts_with("spec.execution_c")).count(), 1);
}

#[test]
fn a_run_that_had_ended_is_only_delivered_by_the_next_worker_in_its_place() {
    let place = tempfile::tempdir().unwrap();
    let mut control = Control::start(Some(repository(place.path())));
    let mut first = Child::start(worker(place.path(), &control.url, &[]));
    control::until("hello was said", || control.generation() == 1);
    control.go_away();
    until_on_disk(place.path(), "spec.execution_completed");
    first.signal("-KILL");
    first.0.wait().unwrap();
    control.come_back();
    assert_eq!(run(place.path(), &control, &[]), Some(0), "{}", log(place.path()));
    assert_eq!(control.generation(), 2);
    let kinds = control.kinds();
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    assert_eq!((count("agent.started"), count("spec.execution_started")), (4, 1), "{kinds:?}");
    assert_eq!(kinds.last().unwrap(), "spec.execution_completed");
}

fn until_on_disk(place: &Path, kind: &str) {
    let mark = format!("\"{kind}\"");
    control::until(&format!("{kind} is on the disk"), || on_disk(place).contains(&mark));
}
