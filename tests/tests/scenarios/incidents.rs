//! What went wrong elsewhere and is about a whole run; the table is `docs/incidents.md`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use specwright_shared::phase::{Phase, SpecStatus};
use specwright_shared::text::Text;
use specwright_shared::wire::spec::{Cancel, Launch, NewSpec, RunOptions};
use specwright_tests::messages_api::{Answer, Block, MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::System;
use specwright_tests::wait::{PATIENCE, wait_for};
use tokio_util::sync::CancellationToken;

use crate::faulty::install;
use crate::shape::{is_a_complete_summary, list, text};
use crate::together::{serve, serve_at};

const REHEARSE: [&str; 5] = ["launch", "--agent", "rehearsal", "--json", sample::IDEA];

#[tokio::test]
async fn file_names_that_are_no_text_are_left_alone_and_stop_nothing() {
    let (system, repository) = (System::new(), Repository::with_files(sample::FILES));
    for name in [&b"no\xfftext.rs"[..], b"-rf", b"a\nb.md", b"\xe2\x80\xaegnp.exe"] {
        repository.write(OsStr::from_bytes(name), "what is in it\n");
    }
    repository.commit("names");
    repository.write(OsStr::from_bytes(b"untracked\xfe"), "not yet known\n");
    let before = repository.contents();
    let run = system.run(repository.path(), REHEARSE).await.expect_code(0);
    is_a_complete_summary(&run.summary(), "rehearsal");
    before.is_still_in(repository.path());
}

#[tokio::test]
async fn a_repository_whose_path_is_no_text_is_refused_with_a_sentence() {
    let system = System::new();
    let repository = Repository::with_files(sample::FILES);
    let place = system.root().join(OsStr::from_bytes(b"no\xfftext"));
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg("-r").arg(repository.path()).arg(&place).status().unwrap().success());
    let run = system.run(&place, REHEARSE).await.expect_code(2);
    assert!(run.stderr.contains("is not UTF-8"), "{run:#?}");
    assert_eq!(run.stdout, "");
}

#[tokio::test]
async fn an_idea_beyond_the_bound_is_refused_with_the_bound_and_nothing_is_stored() {
    let (system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let idea = "Limit each API client to 100 requests a minute. ".repeat(50_000);
    let arguments = ["launch", "--agent", "rehearsal", "-"];
    let run = system.run_with_stdin(repository.path(), arguments, &idea).await.expect_code(2);
    assert!(run.stderr.contains("at most 262144 are allowed"), "{run:#?}");
    assert!(run.stderr.len() < 2_000, "the idea is repeated: {} bytes", run.stderr.len());
    assert!(!system.data().join("sandboxes").exists(), "a sandbox was made");
}

#[tokio::test]
async fn a_run_is_stopped_by_its_id_after_the_server_was_restarted() {
    let system = System::new();
    let agent = install(&system, "waits, setsid-grandchild").display().to_string();
    let repository = Repository::with_files(sample::FILES);
    let (server, client) = serve(&system).await;
    let spec = NewSpec {
        project_id: None,
        title: None,
        description: Text::new(sample::IDEA).unwrap(),
        repository: Some(Text::new(repository.path().display().to_string()).unwrap()),
    };
    let run = RunOptions { agent: Some(Text::new(agent).unwrap()), ..RunOptions::default() };
    let launched = client.launch(&Launch { spec, run }).await.unwrap();
    let orphan = system.directory("bin").join("orphan.pid");
    wait_for("the agent at work", PATIENCE, async || orphan.exists().then_some(())).await;

    server.signal(Signal::KILL);
    server.finish().await;
    let address = client.base().replace("http://", "");
    let (server, client) = serve_at(&system, &address).await;
    client.cancel(launched.spec.id, &Cancel { reason: None, force: false }).await.unwrap();

    wait_for("the end of the run", PATIENCE, async || {
        let spec = client.spec(launched.spec.id).await.unwrap();
        (spec.status == SpecStatus::Failed).then_some(())
    })
    .await;
    let events = client.events(launched.spec.id, None, Duration::ZERO).await.unwrap().items;
    let last = &events.last().unwrap().event;
    assert_eq!(
        (&*last.kind, &last.data["outcome"]),
        ("spec.execution_failed", &"cancelled".into())
    );
    server.signal(Signal::TERM);
    server.finish().await.expect_code(0);
    system.nothing_left().await;
}

#[tokio::test]
async fn nothing_of_a_run_is_reported_after_its_end_and_its_worker_is_gone() {
    let system = System::new();
    let agent = install(&system, "ok:outputs.json, hang-after-result").display().to_string();
    let repository = Repository::with_files(sample::FILES);
    let arguments = ["launch", "--json", "--agent", &agent, sample::IDEA];
    let run = system.run(repository.path(), arguments).await.expect_code(0);
    system.nothing_left().await;

    // The server that comes next would take what a worker still had to say.
    let (server, client) = serve(&system).await;
    let spec = text(&run.summary()["spec_id"]).parse().unwrap();
    let events = client.events(spec, None, Duration::from_secs(1)).await.unwrap().items;
    let of_worker: Vec<_> = events.iter().filter(|one| one.sandbox_id.is_some()).collect();
    assert_eq!(of_worker.last().unwrap().event.kind, "spec.execution_completed");
    let ends = events.iter().filter(|one| one.event.kind.starts_with("spec.execution_c")).count();
    assert_eq!(ends, 1);
    // Turns end many times, the run once.
    assert!(events.iter().filter(|one| one.event.kind == "agent.completed").count() >= 4);
    server.signal(Signal::TERM);
    server.finish().await.expect_code(0);
}

#[tokio::test]
async fn what_a_person_says_arrives_word_for_word_and_is_no_command() {
    let said = "/compact @README.md `touch pwned` $(touch pwned) {} {{job}} %s \\n !ls";
    let release = CancellationToken::new();
    let read = Block::tool("Glob", json!({ "pattern": "**/*.rs" }));
    let held = Answer::Hold(release.clone(), vec![read]);
    let playbook = Playbook::new().with(Phase::Explore, [held]);
    let api = MessagesApi::start(playbook.script()).await.unwrap();
    let (system, repository) = (System::with_claude(&api), Repository::with_files(sample::FILES));
    let mut run = system.start(repository.path(), ["launch", "--json", sample::IDEA]);
    wait_for("the model to be asked", PATIENCE, async || {
        api.asks().iter().any(|ask| ask.phase() == Some(Phase::Explore)).then_some(())
    })
    .await;
    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).summary();
    let spec = text(&list(&listed)[0]["id"]);
    let say = system.start(system.root(), ["say", &spec, said]);
    run.event_where("agent.message_injected", |event| event["data"]["status"] == "written").await;
    release.cancel();
    say.finish().await.expect_code(0);
    let run = run.finish().await.expect_code(0);
    is_a_complete_summary(&run.summary(), "claude");
    assert!(api.asks().iter().any(|ask| ask.mentions(said)), "it came changed, or not at all");
}
