//! The worker's stream of messages through a network that breaks.

use specwright_control_api::client::Client;
use specwright_shared::phase::{Phase, SpecStatus};
use specwright_shared::text::Text;
use specwright_shared::wire::message::{Message, MessageStatus};
use specwright_shared::wire::spec::{Cancel, Launch, NewSpec, RunOptions};
use specwright_tests::fault_proxy::{Cut, FaultProxy};
use specwright_tests::messages_api::{Answer, MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::System;
use specwright_tests::wait::{PATIENCE, wait_for};

use crate::shape::text;

#[tokio::test]
async fn what_is_said_before_the_worker_is_there_or_while_its_stream_is_cut_arrives() {
    let api = MessagesApi::start(Playbook::new().with(Phase::Explore, [Answer::Hang]).script());
    let api = api.await.unwrap();
    let (system, repository) = (System::with_claude(&api), Repository::with_files(sample::FILES));
    let proxy = FaultProxy::start(vec![]).await.unwrap();
    let public = proxy.url();
    let arguments =
        ["serve", "--listen", "127.0.0.1:0", "--own-keys", "--json", "--public-url", &public];
    let mut server = system.start(system.root(), arguments);
    let started = server.started().await;
    let url = text(&started["url"]);
    proxy.lead_to(url.trim_start_matches("http://").parse().unwrap());
    let token = std::fs::read_to_string(text(&started["token_file"])).unwrap();
    let client = Client::new(&url, token.trim()).unwrap();

    // Nothing of the worker comes through before it is told.
    proxy.cut(Some(Cut::Reset));
    let launched = client
        .launch(&Launch {
            spec: NewSpec {
                project_id: None,
                title: None,
                description: Text::new(sample::IDEA).unwrap(),
                repository: Some(Text::new(repository.path().display().to_string()).unwrap()),
            },
            run: RunOptions { until: Some(Phase::Explore), ..RunOptions::default() },
        })
        .await
        .unwrap();
    let early = client.say(launched.sandbox_id, &said("Before hello.")).await.unwrap();
    assert_eq!(early.status, MessageStatus::Queued);
    proxy.cut(None);
    let come = async |id, status, what: &str, at_most| -> Message {
        wait_for(what, at_most, async || {
            let messages = client.messages(launched.sandbox_id).await.unwrap();
            messages.into_iter().find(|one| one.id == id && one.status >= status)
        })
        .await
    };
    let what = "the message from before hello to be written behind the first prompt";
    come(early.id, MessageStatus::Written, what, PATIENCE).await;

    proxy.cut(Some(Cut::Reset));
    let meanwhile = client.say(launched.sandbox_id, &said("While it is cut.")).await.unwrap();
    proxy.cut(None);
    let what = "the message that was sent while the stream was cut";
    come(meanwhile.id, MessageStatus::Written, what, PATIENCE).await;

    let messages = client.messages(launched.sandbox_id).await.unwrap();
    assert_eq!(messages.len(), 2, "{messages:#?}");
    // A server leaves its runs alone when it ends; this one is not to go on.
    client.cancel(launched.spec.id, &Cancel { reason: None, force: false }).await.unwrap();
    wait_for("the end of the run", PATIENCE, async || {
        let spec = client.spec(launched.spec.id).await.unwrap();
        (spec.status == SpecStatus::Failed).then_some(())
    })
    .await;
    server.signal(rustix::process::Signal::TERM);
    server.finish().await.expect_code(0);
    system.nothing_left().await;
}

fn said(words: &str) -> specwright_shared::wire::message::NewMessage {
    let message = serde_json::json!({ "kind": "user_message", "text": words });
    serde_json::from_value(message).unwrap()
}
