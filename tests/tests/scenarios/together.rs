//! Several at once.

use std::io::Read as _;
use std::time::Duration;

use serde_json::json;
use specwright_control_api::client::{Client, SpecFilter};
use specwright_shared::id::SpecId;
use specwright_shared::phase::{Phase, SpecStatus};
use specwright_shared::text::Text;
use specwright_shared::wire::event::EventView;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::{Cancel, Launch, NewSpec, RunOptions};
use specwright_tests::messages_api::{Answer, Block, MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{MODEL_KEY, Running, System};
use specwright_tests::wait::{PATIENCE, wait_for};
use tokio_util::sync::CancellationToken;

use crate::shape::{is_a_complete_summary, text};

#[tokio::test]
async fn two_launches_at_once_both_complete() {
    let (system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let arguments = ["launch", "--agent", "rehearsal", "--json", sample::IDEA];
    let first = system.start(repository.path(), arguments);
    let second = system.start(repository.path(), arguments);

    let (first, second) = tokio::join!(first.finish(), second.finish());

    let (first, second) = (first.expect_code(0).summary(), second.expect_code(0).summary());
    is_a_complete_summary(&first, "rehearsal");
    is_a_complete_summary(&second, "rehearsal");
    assert_ne!(first["spec_id"], second["spec_id"]);
    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).stdout;
    for summary in [first, second] {
        assert!(listed.contains(&text(&summary["spec_id"])), "{listed}");
    }
    system.nothing_left().await;
}

#[tokio::test]
async fn of_two_who_execute_the_same_spec_one_wins_and_one_is_told_so() {
    let (system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let (server, client) = serve(&system).await;
    let spec = client
        .create_spec(&NewSpec {
            project_id: None,
            title: None,
            description: Text::new(sample::IDEA).unwrap(),
            repository: Some(Text::new(repository.path().display().to_string()).unwrap()),
        })
        .await
        .unwrap();
    let options =
        RunOptions { agent: Some(Text::new("rehearsal").unwrap()), ..RunOptions::default() };

    let (one, other) =
        tokio::join!(client.execute(spec.id, &options), client.execute(spec.id, &options));

    let (won, lost) = match (one, other) {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        both => panic!("not one winner and one loser: {both:?}"),
    };
    assert_eq!(lost.problem(), Some(ProblemType::AlreadyExecuting), "{lost}");
    assert_eq!(won.spec.id, spec.id);
    completed(&client, spec.id).await;
    let runs = client.sandboxes().await.unwrap();
    assert_eq!(runs.len(), 1, "one run was started: {runs:#?}");
    assert!(!client.tickets(spec.id).await.unwrap().is_empty());
    drop(server);
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_of_a_run_loses_nothing_of_it() {
    let release = CancellationToken::new();
    let design = Block::output(sample::document(Phase::Design));
    let held = Answer::Hold(release.clone(), vec![design]);
    let api =
        MessagesApi::start(Playbook::new().with(Phase::Design, [held]).script()).await.unwrap();
    let (system, repository) = (System::with_claude(&api), Repository::with_files(sample::FILES));
    let (server, client) = serve(&system).await;
    let launched = client
        .launch(&Launch {
            spec: NewSpec {
                project_id: None,
                title: None,
                description: Text::new(sample::IDEA).unwrap(),
                repository: Some(Text::new(repository.path().display().to_string()).unwrap()),
            },
            run: RunOptions::default(),
        })
        .await
        .unwrap();
    wait_for("the model to be asked for the design", PATIENCE, async || {
        api.asks().iter().any(|ask| ask.phase() == Some(Phase::Design)).then_some(())
    })
    .await;

    server.signal(rustix::process::Signal::KILL);
    assert!(!server.finish().await.status.success());
    release.cancel();
    let asked_for_tasks =
        async || api.asks().iter().any(|ask| ask.phase() == Some(Phase::Tasks)).then_some(());
    // The worker needs nobody to go on.
    wait_for("the run to go on alone", PATIENCE, asked_for_tasks).await;
    let address = client.base().replace("http://", "");
    let (server, client) = serve_at(&system, &address).await;

    completed(&client, launched.spec.id).await;
    let events = client.events(launched.spec.id, None, Duration::ZERO).await.unwrap().items;
    let positions: Vec<u64> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=events.len() as u64).collect::<Vec<_>>());
    let numbers: Vec<u64> =
        events.iter().filter(|one| one.sandbox_id.is_some()).map(|one| one.event.seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    for phase in Phase::ALL {
        let done = |one: &&EventView| {
            one.event.kind == "spec.phase_completed" && one.event.phase == Some(phase)
        };
        assert_eq!(events.iter().filter(done).count(), 1, "{phase}");
    }
    server.signal(rustix::process::Signal::TERM);
    server.finish().await.expect_code(0);
    system.nothing_left().await;
}

#[tokio::test]
async fn the_conversation_of_a_run_that_was_stopped_is_kept_without_secrets() {
    let spoken = Answer::Speak(vec![
        Block::Text(format!("I found {MODEL_KEY} here.")),
        Block::tool("Glob", json!({ "pattern": "*" })),
    ]);
    let playbook = Playbook::new().with(Phase::Explore, [spoken, Answer::Hang]);
    let api = MessagesApi::start(playbook.script()).await.unwrap();
    let (system, repository) = (System::with_claude(&api), Repository::with_files(sample::FILES));
    let (server, client) = serve(&system).await;
    let launched = client
        .launch(&Launch {
            spec: NewSpec {
                project_id: None,
                title: None,
                description: Text::new(sample::IDEA).unwrap(),
                repository: Some(Text::new(repository.path().display().to_string()).unwrap()),
            },
            run: RunOptions::default(),
        })
        .await
        .unwrap();
    wait_for("the model to be asked again", PATIENCE, async || {
        let explores = api.asks().iter().filter(|ask| ask.phase() == Some(Phase::Explore)).count();
        (explores >= 2).then_some(())
    })
    .await;

    client.cancel(launched.spec.id, &Cancel { reason: None, force: false }).await.unwrap();
    wait_for("the end of the run", PATIENCE, async || {
        let spec = client.spec(launched.spec.id).await.unwrap();
        (spec.status == SpecStatus::Failed).then_some(())
    })
    .await;

    let url = format!("{}/api/v1/sandboxes/{}/transcript", client.base(), launched.sandbox_id);
    let token = system.directory("config").join("owner-token");
    let token = std::fs::read_to_string(token).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let found = http.get(url).bearer_auth(token.trim()).send().await.unwrap();
    assert_eq!(found.status(), 200);
    let packed = found.bytes().await.unwrap();
    let mut lines = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut lines).unwrap();
    assert!(lines.contains("I found [redacted] here."), "{lines}");
    assert!(lines.lines().all(|line| line.starts_with('{')), "{lines}");
    assert!(!lines.contains(MODEL_KEY));
    server.signal(rustix::process::Signal::TERM);
    server.finish().await.expect_code(0);
    system.nothing_left().await;
}

#[tokio::test]
async fn a_server_is_private_and_ends_in_order() {
    let system = System::new();
    let (server, client) = serve(&system).await;
    assert!(client.specs(SpecFilter::default()).await.unwrap().is_empty());
    let stranger = Client::new(client.base(), "not-the-token").unwrap();
    let refused = stranger.specs(SpecFilter::default()).await.unwrap_err();
    assert_eq!(refused.problem(), Some(ProblemType::Unauthorized), "{refused}");

    server.signal(rustix::process::Signal::TERM);
    server.finish().await.expect_code(0);

    let elsewhere = system.run(system.root(), ["serve", "--listen", "0.0.0.0:0"]).await;
    assert_ne!(elsewhere.code(), 0);
    assert!(elsewhere.stderr.contains("token"), "{elsewhere:#?}");
}

/// A server on a free port, and its owner's client.
pub(crate) async fn serve(system: &System) -> (Running, Client) {
    serve_at(system, "127.0.0.1:0").await
}

/// The same at an address.
pub(crate) async fn serve_at(system: &System, address: &str) -> (Running, Client) {
    let arguments = ["serve", "--listen", address, "--own-keys", "--json"];
    let mut server = system.start(system.root(), arguments);
    let started = server.started().await;
    let token = std::fs::read_to_string(text(&started["token_file"])).unwrap();
    let client = Client::new(&text(&started["url"]), token.trim()).unwrap();
    (server, client)
}

async fn completed(client: &Client, id: SpecId) {
    wait_for("the spec to be completed", PATIENCE, async || {
        let spec = client.spec(id).await.unwrap();
        assert_ne!(spec.status, SpecStatus::Failed, "{spec:#?}");
        (spec.status == SpecStatus::Completed).then_some(())
    })
    .await;
}
