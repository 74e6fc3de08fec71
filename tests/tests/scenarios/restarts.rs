//! What a worker that was started again knows of the one before it.

use rustix::process::Signal;
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, Ask, Block, MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::System;
use specwright_tests::system::processes::Process;
use specwright_tests::wait::{PATIENCE, wait_for};
use specwright_worker::agent::transcript;

use crate::faulty::install;
use crate::shape::{is_a_complete_summary, text};

fn process(system: &System, name: &str) -> Process {
    let found = system.processes();
    let found = found.into_iter().find(|one| one.arguments.get(1).is_some_and(|word| word == name));
    found.unwrap_or_else(|| panic!("no {name}: {:#?}", system.processes()))
}

#[tokio::test]
async fn attempts_are_counted_on_after_a_restart_and_not_anew() {
    let mut system = System::new();
    system.set("MAX_ATTEMPTS", "2");
    let agent = install(&system, "prose-once, waits").display().to_string();
    let repository = Repository::with_files(sample::FILES);
    let mut run =
        system.start(repository.path(), ["launch", "--json", "--agent", &agent, sample::IDEA]);
    // The second attempt is under way, in the first one's conversation.
    let retry = run.event("spec.phase_retry").await;
    assert_eq!(retry["data"]["attempt"], 1, "{retry:#}");
    // The agent of the next worker never gives an output.
    install_again(&system, "prose");
    assert!(process(&system, "worker").kill());

    let run = run.finish().await.expect_code(1);

    let [failed] = &run.events("spec.phase_failed")[..] else { panic!("{run:#?}") };
    assert_eq!(failed["data"]["attempts"], 2, "{failed:#}");
    let started = run.events("agent.started");
    let attempts: Vec<_> = started.iter().map(|one| one["data"]["attempt"].as_u64()).collect();
    assert_eq!(attempts, [Some(1), Some(2)], "one worker each: {started:#?}");
    assert_eq!(run.events("spec.phase_retry").len(), 1, "the same retry is told once");
    // It keeps no transcript, and had said something.
    let [resumed] = &run.events("agent.resumed")[..] else { panic!("{run:#?}") };
    assert_eq!(resumed["data"]["rung"], "fresh_session", "{resumed:#}");
    system.nothing_left().await;
}

fn install_again(system: &System, behaviour: &str) {
    std::fs::write(system.directory("bin").join("behaviour"), behaviour).unwrap();
}

#[tokio::test]
async fn a_conversation_whose_transcript_is_gone_begins_anew_from_the_last_accepted_phase() {
    let look = Block::tool("Glob", serde_json::json!({ "pattern": "**/*.rs" }));
    let playbook = Playbook::new().with(Phase::Design, [Answer::Speak(vec![look]), Answer::Hang]);
    let api = MessagesApi::start(playbook.script()).await.unwrap();
    let system = System::with_claude(&api);
    let repository = Repository::with_files(sample::FILES);
    let mut run = system.start(repository.path(), ["launch", "--json", sample::IDEA]);
    let started = run.event_where("agent.started", |event| event["phase"] == "design").await;
    let session = text(&started["data"]["session_id"]).parse().unwrap();
    run.event_where("agent.model_call", |event| event["phase"] == "design").await;
    // The question that is never answered, so that the next conversation's is.
    wait_for("the second question", PATIENCE, async || {
        let of_design = |ask: &&Ask| ask.phase() == Some(Phase::Design);
        (api.asks().iter().filter(of_design).count() >= 2).then_some(())
    })
    .await;
    let sandboxes = std::fs::read_dir(system.data().join("sandboxes")).unwrap();
    let sandbox = sandboxes.map(|entry| entry.unwrap().path()).next().unwrap();
    let private = sandbox.join("state/agent");
    let kept = wait_for("the transcript", PATIENCE, async || transcript(&private, session)).await;
    // The supervisor does not see the worker's end before the transcript is gone.
    let supervisor = process(&system, "supervise");
    assert!(supervisor.signal(Signal::STOP));
    let worker = process(&system, "worker");
    assert!(worker.kill());
    wait_for("the agent's end", PATIENCE, async || {
        let gone = |one: &Process| one.variable("CLAUDE_CONFIG_DIR").is_some();
        (!system.processes().iter().any(gone)).then_some(())
    })
    .await;
    std::fs::remove_file(kept).unwrap();
    assert!(supervisor.signal(Signal::CONT));

    let run = run.finish().await.expect_code(0);

    is_a_complete_summary(&run.summary(), "claude");
    let [resumed] = &run.events("agent.resumed")[..] else { panic!("{run:#?}") };
    assert_eq!(resumed["data"]["rung"], "fresh_session", "{resumed:#}");
    assert!(text(&resumed["data"]["reason"]).contains("transcript"), "{resumed:#}");
    assert_ne!(text(&resumed["data"]["session_id"]), session.to_string());
    for phase in [Phase::Explore, Phase::Requirements] {
        let asks = api.asks().iter().filter(|ask| ask.phase() == Some(phase)).count();
        assert_eq!(asks, 1, "{phase} was done once");
    }
    system.nothing_left().await;
}
