//! The rehearsal run, on every kind of place that a person may stand in.

use std::path::Path;

use specwright_tests::architecture;
use specwright_tests::repository::{Contents, Repository};
use specwright_tests::sample;
use specwright_tests::system::{Finished, System};

use crate::shape::{all_phases, is_a_complete_summary, list, phases_with, text};

/// Runs the sample idea to its end, and proves that the repository is as it was.
async fn rehearse(system: &System, repository: &Repository) -> Finished {
    let before = repository.contents();
    let arguments = ["launch", "--agent", "rehearsal", "--json", sample::IDEA];
    let run = system.run(repository.path(), arguments).await;
    before.is_still_in(repository.path());
    system.nothing_left().await;
    run
}

/// This project's own repository, as it is committed (or, in a copy without git, as it is).
fn own_repository() -> Repository {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if root.join(".git").exists() {
        Repository::clone_of(&root.canonicalize().expect("the workspace is there"))
    } else {
        let sources = architecture::sources();
        Repository::with_files(sources.into_iter().map(|source| (source.path, source.text)))
    }
}

#[tokio::test]
async fn a_run_on_this_projects_own_repository_ends_with_the_whole_summary() {
    let system = System::new();
    let run = rehearse(&system, &own_repository()).await.expect_code(0);

    is_a_complete_summary(&run.summary(), "rehearsal");
    assert_eq!(phases_with(&run, "spec.phase_completed"), all_phases());
    assert_eq!(run.events("spec.execution_completed").len(), 1);

    // The events are numbered without a gap, and the summary counts them.
    let positions: Vec<u64> =
        run.json().iter().filter_map(|event| event["position"].as_u64()).collect();
    let expected: Vec<u64> = (1..=positions.len() as u64).collect();
    assert_eq!(positions, expected);
    assert_eq!(run.summary()["events"], positions.len());

    // What no model has seen says so.
    for document in list(&run.summary()["documents"]) {
        let content = std::fs::read_to_string(text(document)).unwrap();
        assert!(content.contains("rehearsal: no model was used"), "{document}");
    }
}

#[tokio::test]
async fn a_run_on_an_empty_repository_completes() {
    let system = System::new();
    let run = rehearse(&system, &Repository::empty()).await.expect_code(0);
    is_a_complete_summary(&run.summary(), "rehearsal");
}

#[tokio::test]
async fn a_run_on_twenty_thousand_files_completes() {
    let repository = Repository::with_many_files(20_000);
    let system = System::new();
    let run = rehearse(&system, &repository).await.expect_code(0);
    is_a_complete_summary(&run.summary(), "rehearsal");
}

#[tokio::test]
async fn uncommitted_work_is_seen_and_left_alone() {
    let repository = Repository::with_files(sample::FILES);
    repository.write("src/limiter_draft.rs", "pub struct ClientLimitDraft;\n");
    repository.write("src/http.rs", "pub fn serve_within_the_limit() {}\n");
    std::fs::remove_file(repository.path().join("tests/http.rs")).unwrap();

    let system = System::new();
    let run = rehearse(&system, &repository).await.expect_code(0);

    is_a_complete_summary(&run.summary(), "rehearsal");
    let documents = run.summary()["documents"].clone();
    let read = |path| std::fs::read_to_string(text(path)).unwrap();
    let all: String = list(&documents).iter().map(read).collect();
    assert!(all.contains("limiter_draft.rs"), "the new file is part of what was explored");
    assert!(!all.contains("tests/http.rs"), "the deleted file is not");
}

#[tokio::test]
async fn another_repository_is_named_by_its_path() {
    let (system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let path = repository.path().display().to_string();
    let elsewhere = system.directory("home");
    let arguments = ["launch", "--agent", "rehearsal", "--json", "--repo", &path, sample::IDEA];
    let run = system.run(&elsewhere, arguments).await.expect_code(0);
    is_a_complete_summary(&run.summary(), "rehearsal");
}

#[tokio::test]
async fn a_directory_that_is_no_repository_is_refused_with_a_sentence() {
    let system = System::new();
    let place = system.directory("home");
    let before = Contents::of(&place);
    let arguments = ["launch", "--agent", "rehearsal", sample::IDEA];
    let run = system.run(&place, arguments).await.expect_code(2);
    assert!(run.stderr.contains("not in a git work tree"), "{run:#?}");
    assert!(run.stderr.contains("--repo"), "the way out is named: {run:#?}");
    assert_eq!(run.stdout, "");
    before.is_still_in(&place);
}

#[tokio::test]
async fn a_missing_path_is_refused_with_a_sentence_that_names_it() {
    let system = System::new();
    let missing = system.root().join("nothing here").display().to_string();
    let arguments = ["launch", "--agent", "rehearsal", "--repo", &missing, sample::IDEA];
    let run = system.run(&system.directory("home"), arguments).await.expect_code(2);
    assert!(run.stderr.contains("nothing here"), "{run:#?}");
}

#[tokio::test]
async fn a_reader_who_goes_away_does_not_break_the_run() {
    let (system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let arguments = ["launch", "--agent", "rehearsal", "--json", sample::IDEA];
    let mut run = system.start(repository.path(), arguments);
    run.event("spec.execution_started").await;
    run.stop_reading();

    let run = run.finish().await;

    assert!(run.status.code().is_some() && !run.stderr.contains("panicked"), "{run:#?}");
    system.nothing_left().await;
    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).summary();
    assert_eq!(list(&listed)[0]["status"], "completed", "{listed:#}");
}

#[tokio::test]
async fn a_run_until_design_stops_there_and_goes_on_from_there() {
    let (system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let arguments = ["launch", "--agent", "rehearsal", "--json", "--until", "design", sample::IDEA];
    let first = system.run(repository.path(), arguments).await.expect_code(0);
    assert_eq!(phases_with(&first, "spec.phase_completed"), ["explore", "requirements", "design"]);
    assert_eq!(first.summary()["status"], "draft");

    let spec = text(&first.summary()["spec_id"]);
    let rest = system.run(repository.path(), ["resume", "--json", &spec]).await.expect_code(0);

    is_a_complete_summary(&rest.summary(), "rehearsal");
    assert_eq!(phases_with(&rest, "spec.phase_started"), ["tasks", "sync", "complete"]);
}

#[tokio::test]
async fn the_board_lists_the_tickets_and_syncing_again_changes_nothing() {
    let (system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let run = rehearse(&system, &repository).await.expect_code(0);
    let spec = text(&run.summary()["spec_id"]);

    let before = board(&system).await;
    let mut on_board: Vec<String> = before.iter().map(|ticket| text(&ticket["id"])).collect();
    let summary = run.summary();
    let mut made: Vec<String> =
        list(&summary["tickets"]).iter().map(|ticket| text(&ticket["id"])).collect();
    on_board.sort();
    made.sort();
    assert_eq!(on_board, made);
    for ticket in &before {
        assert_eq!(ticket["spec_id"], spec, "{ticket:#}");
        assert_eq!(ticket["owner"], "owner", "{ticket:#}");
        assert_eq!(ticket["rehearsal"], true, "{ticket:#}");
    }

    let arguments = ["resume", "--json", "--from", "sync", &spec];
    let again = system.run(repository.path(), arguments).await.expect_code(0);

    assert_eq!(phases_with(&again, "spec.phase_started"), ["sync", "complete"]);
    let made = again.events("spec.tickets_created").pop().expect("sync said what it made");
    assert_eq!(made["data"]["tickets_created"], 0, "{made:#}");
    assert_eq!(made["data"]["tasks_created"], 0, "{made:#}");
    assert_eq!(board(&system).await, before);
}

/// Every ticket on the board.
async fn board(system: &System) -> Vec<serde_json::Value> {
    let run = system.run(system.root(), ["board", "--json"]).await.expect_code(0);
    let board = run.summary();
    list(&board["columns"]).iter().flat_map(|column| list(&column["tickets"]).to_vec()).collect()
}
