//! Documents over a crash: what was accepted is there to be read, once.

use std::path::PathBuf;

use super::*;

/// A worker that nobody hears accepts the requirements, and is killed as if between them and their
/// document, whose file this gives.
fn killed_before_its_document(place: &Path, control: &Control) -> PathBuf {
    control.refuse_events(true);
    let mut first = Child::start(worker(place, &control.url, &[]));
    control::until("requirements are accepted on disk", || {
        on_disk(place).matches("\"spec.phase_completed\"").count() >= 2
    });
    first.signal("-KILL");
    first.0.wait().unwrap();
    let text = on_disk(place);
    let ends = text.match_indices("\"spec.phase_completed\"").nth(1).unwrap().0;
    let ends = ends + text[ends..].find('\n').unwrap() + 1;
    std::fs::write(place.join(SEGMENT), &text[..ends]).unwrap();
    let document = place.join("documents/requirements.md");
    drop(std::fs::remove_file(&document));
    control.refuse_events(false);
    document
}

#[test]
fn a_worker_that_only_delivers_makes_the_document_of_the_phase_that_was_accepted_last() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let document = killed_before_its_document(place.path(), &control);

    control.deliver_only();
    run(place.path(), &control, &[]);

    let text = std::fs::read_to_string(&document).unwrap_or_default();
    assert!(text.contains("Rate limit $(reboot) {}"), "{text}\n{}", log(place.path()));
    let made = control.phases_of("spec.artifact_created");
    assert_eq!(made, [Some(Phase::Explore), Some(Phase::Requirements)], "{}", log(place.path()));
    let accepted = control.phases_of("spec.phase_completed");
    assert_eq!(accepted, made, "nothing was planned on");
}

#[test]
fn a_document_that_a_killed_worker_had_not_made_is_made_by_the_next() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let document = killed_before_its_document(place.path(), &control);

    assert_eq!(run(place.path(), &control, &[]), Some(0), "{}", log(place.path()));

    assert!(std::fs::read_to_string(&document).is_ok_and(|text| !text.is_empty()));
    let made = control.phases_of("spec.artifact_created");
    let mut each = made.clone();
    each.dedup();
    assert_eq!(made, each, "one more than once");
    let with_documents = Phase::ALL.into_iter().filter(|phase| *phase != Phase::Complete);
    assert_eq!(made, with_documents.map(Some).collect::<Vec<_>>());
}

#[test]
fn changes_in_a_directory_that_is_no_clone_are_named_and_what_is_not_shown_is_said() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("workspace")).unwrap();
    std::fs::write(place.path().join("workspace/README.md"), "# Limiter\n").unwrap();
    // The rehearsal agent, with a shell command beside it that writes.
    let agent = place.path().join("agent");
    let script = format!(
        "#!/bin/sh\n(while :; do date +%N >by-a-command.txt; sleep 0.02; done) >/dev/null 2>&1 &\n\
         exec {} rehearsal-agent \"$@\"\n",
        env!("CARGO_BIN_EXE_specwright-worker"),
    );
    std::fs::write(&agent, script).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
    let control = Control::start(None);
    let settings = [("AGENT", agent.to_str().unwrap()), ("MAX_ATTEMPTS", "1")];

    let code = run(place.path(), &control, &settings);

    assert_eq!(code, Some(10), "{}\n{:?}", log(place.path()), control.kinds());
    let changed = control.describe("agent.file_edited");
    assert!(changed.contains(r#""path":"by-a-command.txt""#), "{changed}");
    let said = control.describe("spec.progress");
    assert!(said.contains("named without content"), "{said}");
    assert!(said.contains("was not put back: by-a-command.txt"), "{said}");
    let saved = control.describe("worker.work_saved");
    assert!(saved.contains("untouched") && saved.contains("not a clone of ours"), "{saved}");
    let end = control.describe("spec.execution_failed");
    assert!(end.contains("by-a-command.txt"), "{end}");
}
