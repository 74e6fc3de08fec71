//! A program that speaks the agent's protocol and does what no agent should.

use std::path::PathBuf;

use serde_json::{Value, json};
use specwright_shared::phase::Phase;
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Finished, System};

use crate::shape::{is_a_complete_summary, text};

/// The outputs that the faulty agent gives when it does give one, by the schemas' titles.
pub(crate) fn outputs() -> Value {
    json!({
        "Explore": sample::document(Phase::Explore),
        "Requirements": sample::document(Phase::Requirements),
        "Design": sample::document(Phase::Design),
        "Tasks": sample::document(Phase::Tasks),
    })
}

/// Installs the faulty agent with a behaviour, and gives its path.
pub(crate) fn install(system: &System, behaviour: &str) -> PathBuf {
    let folder = system.directory("bin");
    std::fs::write(folder.join("behaviour"), behaviour).unwrap();
    std::fs::write(folder.join("outputs.json"), outputs().to_string()).unwrap();
    system.install("faulty-agent", env!("CARGO_BIN_EXE_faulty-agent").as_ref())
}

/// Runs the sample idea with it; nothing of it is left running, whatever it does.
async fn launch(system: &System, behaviour: &str) -> Finished {
    let agent = install(system, behaviour).display().to_string();
    let repository = Repository::with_files(sample::FILES);
    let before = repository.contents();
    let arguments = ["launch", "--json", "--agent", &agent, sample::IDEA];
    let run = system.run(repository.path(), arguments).await;
    before.is_still_in(repository.path());
    system.nothing_left().await;
    run
}

#[tokio::test]
async fn an_agent_that_changes_the_work_tree_fails_its_attempts_and_the_change_is_undone() {
    let mut system = System::new();
    system.set("MAX_ATTEMPTS", "2");
    let run = launch(&system, "ok:outputs.json,writes-file").await.expect_code(1);

    let [retry] = &run.events("spec.phase_retry")[..] else { panic!("{run:#?}") };
    assert_eq!(retry["data"]["reason"], "work_tree_changed", "{retry:#}");
    let failed = &run.events("spec.phase_failed")[0];
    assert_eq!(failed["data"]["reason"], "work_tree_changed", "{failed:#}");
    assert!(text(&failed["data"]["message"]).contains("written-by-the-agent.txt"), "{failed:#}");
    // Both attempts changed it: the second could not have, had the first change not been undone.
    assert_eq!(failed["data"]["attempts"], 2, "{failed:#}");
    // Each is told with its diff, although the agent was ended and the change undone at once.
    let told = run.events("agent.file_edited").into_iter().map(|event| event["data"].clone());
    let told: Vec<Value> = told.filter(|data| data["change"] == "created").collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    let shown = |data: &Value| text(&data["diff"]["text"]).contains("+the agent was here");
    assert!(told.iter().all(shown), "{told:#?}");
}

#[tokio::test]
async fn what_an_agent_leaves_behind_in_sessions_of_their_own_ends_with_it() {
    let run = launch(&System::new(), "ok:outputs.json,setsid-grandchild").await.expect_code(0);
    assert_eq!(run.summary()["status"], "completed");
    let ended: u64 = run
        .events("agent.exited")
        .iter()
        .filter_map(|event| event["data"]["descendants_ended"].as_u64())
        .sum();
    assert!(ended >= 8, "two in each of four phases: {ended}");
}

#[tokio::test]
async fn an_agent_that_is_deaf_and_hangs_times_out_and_is_gone() {
    let mut system = System::new();
    system.set("PHASE_TIMEOUT", "2").set("MAX_ATTEMPTS", "1");
    let run = launch(&system, "deaf,hang").await.expect_code(1);
    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "timed_out", "{failed:#}");
}

#[tokio::test]
async fn an_agent_that_cannot_start_fails_the_run_with_what_it_wrote() {
    let mut system = System::new();
    system.set("MAX_ATTEMPTS", "2");
    let run = launch(&system, "exit-at-once").await.expect_code(1);
    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "agent_error", "{failed:#}");
    assert!(run.stderr.contains("exit code 7"), "{run:#?}");
}

#[tokio::test]
async fn noise_bytes_that_are_no_text_and_lines_of_megabytes_do_not_stop_a_run() {
    let system = System::new();
    let noise = "ok:outputs.json,line-5mb,invalid-utf8,stderr-noise,malformed-known-line";
    let run = launch(&system, noise).await.expect_code(0);
    let agent = system.directory("bin").join("faulty-agent").display().to_string();
    is_a_complete_summary(&run.summary(), &agent);
    let malformed = run.events("agent.error");
    assert!(
        malformed.iter().any(|event| event.to_string().contains("api_retry")),
        "{malformed:#?}"
    );
}
