//! A message into a running agent.

use std::time::Duration;

use serde_json::json;
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, Block, MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::System;
use specwright_tests::wait::wait_for;
use tokio_util::sync::CancellationToken;

use crate::shape::{is_a_complete_summary, list, text};

const MESSAGE: &str = "Mind the marmalade clients: they have no limit.";

#[tokio::test]
async fn say_reaches_the_agent_in_its_running_turn_and_says_that_it_was_seen() {
    let release = CancellationToken::new();
    let read = Block::tool("Glob", json!({ "pattern": "**/*.rs" }));
    let playbook =
        Playbook::new().with(Phase::Explore, [Answer::Hold(release.clone(), vec![read])]);
    let api = MessagesApi::start(playbook.script()).await.unwrap();
    let system = System::with_claude(&api);
    let repository = Repository::with_files(sample::FILES);
    let mut run = system.start(repository.path(), ["launch", "--json", sample::IDEA]);
    wait_for("the model to be asked", Duration::from_secs(40), async || {
        api.asks().iter().any(|ask| ask.phase() == Some(Phase::Explore)).then_some(())
    })
    .await;
    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).summary();
    let spec = text(&list(&listed)[0]["id"]);

    let say = system.start(system.root(), ["say", &spec, MESSAGE]);
    run.event_where("agent.message_injected", |event| event["data"]["status"] == "written").await;
    release.cancel();

    let said = say.finish().await.expect_code(0);
    assert!(said.stdout.contains("seen"), "{said:#?}");
    let run = run.finish().await.expect_code(0);
    is_a_complete_summary(&run.summary(), "claude");
    // In the very next request, not in a turn of its own.
    let asks = api.asks();
    let explored: Vec<_> = asks.iter().filter(|ask| ask.phase() == Some(Phase::Explore)).collect();
    assert_eq!(explored.len(), 2, "asked, and asked again with the tool's answer");
    assert!(!explored[0].mentions(MESSAGE) && explored[1].mentions(MESSAGE));
}

#[tokio::test]
async fn stop_from_elsewhere_ends_the_run_and_leaves_it_to_be_resumed() {
    let playbook = Playbook::new().with(Phase::Requirements, [Answer::Hang]);
    let api = MessagesApi::start(playbook.script()).await.unwrap();
    let system = System::with_claude(&api);
    let repository = Repository::with_files(sample::FILES);
    let mut run = system.start(repository.path(), ["launch", "--json", sample::IDEA]);
    run.event_where("agent.started", |event| event["phase"] == "requirements").await;
    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).summary();
    let spec = text(&list(&listed)[0]["id"]);

    let stop = system.run(system.root(), ["stop", &spec]).await.expect_code(0);

    let run = run.finish().await.expect_code(1);
    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "cancelled", "{failed:#}\n{stop:#?}");
    system.nothing_left_within(Duration::from_secs(5)).await;
    let rest = system.run(repository.path(), ["resume", "--json", &spec]).await.expect_code(0);
    is_a_complete_summary(&rest.summary(), "claude");
}

#[tokio::test]
async fn a_message_to_a_run_that_has_ended_is_refused_with_a_sentence() {
    let (system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let arguments = ["launch", "--agent", "rehearsal", "--json", sample::IDEA];
    let run = system.run(repository.path(), arguments).await.expect_code(0);
    let spec = text(&run.summary()["spec_id"]);
    let said = system.run(system.root(), ["say", &spec, MESSAGE]).await;
    assert_ne!(said.code(), 0, "{said:#?}");
    assert!(said.stderr.contains("no agent is at work"), "{said:#?}");
    assert!(!said.stdout.contains("seen"), "{said:#?}");
}
