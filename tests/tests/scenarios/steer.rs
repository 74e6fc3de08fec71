//! A message into a running agent.

use serde_json::{Value, json};
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, Ask, Block, MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Finished, Running, System};
use specwright_tests::wait::{PATIENCE, wait_for};
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
    wait_for("the model to be asked", PATIENCE, async || {
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
    system.nothing_left().await;
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

/// A run of the sample idea with the real CLI whose model holds its first answers in a phase.
pub(crate) struct Steered {
    pub(crate) api: MessagesApi,
    pub(crate) system: System,
    pub(crate) run: Running,
    pub(crate) spec: String,
    _repository: Repository,
}

impl Steered {
    async fn with(playbook: Playbook) -> Self {
        Self::until_phase(playbook, Phase::Complete).await
    }

    /// With the last phase of the run.
    pub(crate) async fn until_phase(playbook: Playbook, last: Phase) -> Self {
        let api = MessagesApi::start(playbook.script()).await.unwrap();
        let system = System::with_claude(&api);
        let repository = Repository::with_files(sample::FILES);
        let arguments = ["launch", "--json", "--until", last.as_str(), sample::IDEA];
        let run = system.start(repository.path(), arguments);
        let asked = async || api.asks().iter().any(|ask| ask.phase().is_some()).then_some(());
        wait_for("the model to be asked", PATIENCE, asked).await;
        let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).summary();
        let spec = text(&list(&listed)[0]["id"]);
        Self { api, system, run, spec, _repository: repository }
    }

    /// Starts a command that speaks to the spec's agent, and waits for the receipt.
    pub(crate) fn steer(&self, arguments: &[&str]) -> Running {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        self.system.start(self.system.root(), arguments)
    }

    /// Waits until a message has got this far.
    pub(crate) async fn until(&mut self, status: &str) -> Value {
        let is = |event: &Value| event["data"]["status"] == status;
        self.run.event_where("agent.message_injected", is).await
    }

    /// Waits until another message has got there than the one that `before` tells of.
    pub(crate) async fn until_another(&mut self, before: &Value) -> Value {
        let [id, status] = ["message_id", "status"].map(|name| &before["data"][name]);
        let is = |event: &Value| {
            event["data"]["status"] == *status && event["data"]["message_id"] != *id
        };
        self.run.event_where("agent.message_injected", is).await
    }

    fn asks(&self, phase: Phase) -> Vec<Ask> {
        self.api.asks().into_iter().filter(|ask| ask.phase() == Some(phase)).collect()
    }
}

/// The receipts of a message, in their order.
pub(crate) fn receipts(run: &Finished, message: &Value) -> Vec<String> {
    let ours = run.events("agent.message_injected").into_iter();
    let ours = ours.filter(|event| event["data"]["message_id"] == message["id"]);
    ours.map(|event| text(&event["data"]["status"])).collect()
}

pub(crate) fn glob() -> Block {
    Block::tool("Glob", json!({ "pattern": "**/*.rs" }))
}

#[tokio::test]
async fn a_message_into_a_running_turn_is_folded_and_settled_with_it() {
    let release = CancellationToken::new();
    let held = Answer::Hold(release.clone(), vec![glob()]);
    let mut scene = Steered::with(Playbook::new().with(Phase::Explore, [held])).await;
    let say = scene.steer(&["say", &scene.spec, MESSAGE]);
    scene.until("written").await;
    release.cancel();
    let said = say.finish().await.expect_code(0).summary();
    assert_eq!(
        (&said["sender"], &said["seen_as"]),
        (&json!("owner"), &json!("folded")),
        "{said:#}"
    );
    let times = ["created_at", "delivered_at", "written_at", "seen_at"].map(|at| text(&said[at]));
    assert!(times.is_sorted(), "{times:?}");
    let run = scene.run.finish().await.expect_code(0);
    assert_eq!(receipts(&run, &said), ["delivered", "written", "seen", "settled"], "{run:#?}");
}

#[tokio::test]
async fn a_message_for_later_gets_a_turn_of_its_own_before_the_phase_is_over() {
    let release = CancellationToken::new();
    let output = Block::output(sample::document(Phase::Explore));
    let held = Answer::Hold(release.clone(), vec![output]);
    let mut scene = Steered::with(Playbook::new().with(Phase::Explore, [held])).await;
    let say = scene.steer(&["say", &scene.spec, MESSAGE, "--later"]);
    scene.until("written").await;
    release.cancel();
    let said = say.finish().await.expect_code(0).summary();
    assert_eq!(said["seen_as"], "own_turn", "{said:#}");
    let run = scene.run.finish().await.expect_code(0);
    is_a_complete_summary(&run.summary(), "claude");
    // It is seen when its turn begins: its request to the model comes a moment later.
    let asks = scene.api.asks();
    let mut asks = asks.iter().filter(|ask| ask.phase() == Some(Phase::Explore));
    assert!(asks.any(|ask| ask.mentions(MESSAGE)), "the phase's own agent was told");
    assert_eq!(receipts(&run, &said), ["delivered", "written", "seen", "settled"], "{run:#?}");
    assert!(run.events("spec.phase_retry").is_empty(), "{run:#?}");
    let explored = run.events("agent.completed");
    assert_eq!(explored.iter().filter(|turn| turn["phase"] == "explore").count(), 2, "{run:#?}");
}

#[tokio::test]
async fn a_message_for_now_breaks_a_frozen_turn_off_and_the_run_goes_on() {
    let mut scene = Steered::with(Playbook::new().with(Phase::Explore, [Answer::Hang])).await;
    let said = scene.steer(&["say", &scene.spec, MESSAGE, "--now"]);
    let said = said.finish().await.expect_code(0).summary();
    assert_eq!(said["seen_as"], "own_turn", "{said:#}");
    scene.until("settled").await;
    let run = scene.run.finish().await.expect_code(0);
    is_a_complete_summary(&run.summary(), "claude");
    assert!(run.events("spec.phase_retry").is_empty(), "{run:#?}");
}

#[tokio::test]
async fn an_interrupt_frees_a_frozen_stream_and_its_words_are_what_the_agent_hears_next() {
    let scene = Steered::with(Playbook::new().with(Phase::Explore, [Answer::Hang])).await;
    let done = scene.steer(&["interrupt", &scene.spec, MESSAGE]).finish().await.expect_code(0);
    let done = done.summary();
    assert_eq!((&done["kind"], &done["seen_as"]), (&json!("interrupt"), &json!("own_turn")));
    let run = scene.run.finish().await.expect_code(0);
    is_a_complete_summary(&run.summary(), "claude");
    let [answered] = &run.events("agent.interrupted")[..] else { panic!("{run:#?}") };
    assert_eq!(answered["data"]["message_id"], done["id"], "{answered:#}");
    assert!(answered["data"]["took_ms"].is_u64(), "{answered:#}");
    let after = scene.api.asks();
    let after: Vec<_> = after.iter().filter(|ask| ask.phase() == Some(Phase::Explore)).collect();
    assert!(after.last().is_some_and(|ask| ask.mentions(MESSAGE)), "the model was told");
    assert_eq!(run.events("agent.started").len(), 4, "the agent lives on");
    assert!(run.events("spec.phase_retry").is_empty(), "{run:#?}");
}

#[tokio::test]
async fn an_interrupt_keeps_what_is_queued_or_drops_it_as_asked() {
    for drop_queued in [false, true] {
        let mut scene = Steered::with(Playbook::new().with(Phase::Explore, [Answer::Hang])).await;
        let queued = scene.steer(&["say", &scene.spec, MESSAGE, "--later"]);
        scene.until("written").await;
        let mut words = vec!["interrupt", &scene.spec, "Go on."];
        words.extend(drop_queued.then_some("--drop-queued"));
        scene.steer(&words).finish().await.expect_code(0);
        let queued = queued.finish().await;
        let run = scene.run.finish().await.expect_code(0);
        let answered = run.events("agent.interrupted")[0]["data"].clone();
        let message = queued.summary();
        if drop_queued {
            assert_eq!(
                (queued.code(), &message["status"]),
                (1, &json!("cancelled")),
                "{queued:#?}"
            );
            assert!(text(&message["reason"]).contains("dropped"), "{message:#}");
            assert_eq!(answered["cancelled"], json!([message["id"]]), "{answered:#}");
        } else {
            assert_eq!(
                (queued.code(), &message["seen_as"]),
                (0, &json!("own_turn")),
                "{queued:#?}"
            );
            assert_eq!(answered["still_queued"], json!([message["id"]]), "{answered:#}");
        }
    }
}

#[tokio::test]
async fn a_message_for_a_phase_waits_for_it_and_is_refused_when_it_has_passed() {
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let held = |until: &CancellationToken| Answer::Hold(until.clone(), vec![glob()]);
    let playbook = Playbook::new()
        .with(Phase::Explore, [held(&first)])
        .with(Phase::Requirements, [held(&second)]);
    let mut scene = Steered::with(playbook).await;
    let waits = scene.steer(&["say", &scene.spec, MESSAGE, "--phase", "requirements"]);
    scene.until("delivered").await;
    first.cancel();
    scene.until("written").await;
    let late = scene.steer(&["say", &scene.spec, "Too late.", "--phase", "explore"]);
    let late = late.finish().await.expect_code(1).summary();
    assert_eq!(late["status"], "refused", "{late:#}");
    assert!(text(&late["reason"]).contains("`explore` has passed"), "{late:#}");
    second.cancel();
    let seen = waits.finish().await.expect_code(0).summary();
    // It may be settled already when `say` looks: what counts is that it was seen.
    assert!(["seen", "settled"].contains(&text(&seen["status"]).as_str()), "{seen:#}");
    assert!(seen["seen_at"].is_string(), "{seen:#}");
    assert!(scene.asks(Phase::Explore).iter().all(|ask| !ask.mentions(MESSAGE)));
    drop(scene.run.finish().await.expect_code(0));
}

#[tokio::test]
async fn a_paused_run_ends_after_its_phase_and_resume_goes_on_from_there() {
    let release = CancellationToken::new();
    let held = Answer::Hold(release.clone(), vec![glob()]);
    let mut scene = Steered::with(Playbook::new().with(Phase::Explore, [held])).await;
    let paused = scene.steer(&["pause", &scene.spec]).finish().await.expect_code(0);
    assert_eq!(paused.summary()["status"], "executing", "what is at work goes on");
    let says = |event: &Value| text(&event["data"]["message"]).contains("will pause after explore");
    scene.run.event_where("spec.progress", says).await;
    release.cancel();
    let run = scene.run.finish().await;
    let ended = &run.events("spec.execution_completed")[0];
    assert_eq!(ended["data"]["paused_after"], "explore", "{run:#?}");
    assert_eq!(run.summary()["status"], "draft", "{run:#?}");
    let rest = scene.system.run(scene.system.root(), ["resume", "--json", &scene.spec]).await;
    let rest = rest.expect_code(0);
    is_a_complete_summary(&rest.summary(), "claude");
    assert_eq!(rest.events("spec.phase_started")[0]["phase"], "requirements");
}

#[tokio::test]
async fn an_agent_that_does_not_answer_an_interrupt_is_ended_and_the_attempt_broke() {
    let mut system = System::new();
    system.set("MAX_ATTEMPTS", "1").set("AGENT_ANSWER_TIMEOUT", "2");
    let agent = crate::faulty::install(&system, "hang").display().to_string();
    let repository = Repository::with_files(sample::FILES);
    let mut run =
        system.start(repository.path(), ["launch", "--json", "--agent", &agent, sample::IDEA]);
    run.event("agent.started").await;
    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).summary();
    let spec = text(&list(&listed)[0]["id"]);
    let done = system.run(system.root(), ["interrupt", &spec]).await.expect_code(1);
    assert!(done.stdout.contains("expired"), "{done:#?}");
    let run = run.finish().await.expect_code(1);
    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "agent_error", "{failed:#}");
    let why = text(&failed["data"]["message"]);
    assert!(why.contains("did not answer the interrupt within 2 s"), "{why}");
    system.nothing_left().await;
}
