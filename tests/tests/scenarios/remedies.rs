//! What happens when a remedy, a person and a limit want something of the same agent at once.

use std::path::PathBuf;

use serde_json::Value;
use specwright_tests::messages_api::{Answer, MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Finished, Running, System};
use specwright_tests::wait::{PATIENCE, wait_for};

use crate::faulty::install;
use crate::shape::{is_a_complete_summary, list, text};

const WORDS: &str = "Leave that.";
/// For an agent that answers when it is told to, which is when a command of ours has come through.
const LONG_ANSWER: (&str, &str) = ("AGENT_ANSWER_TIMEOUT", "60");

/// A run with an agent that is at work.
struct AtWork {
    system: System,
    run: Running,
    spec: String,
    _repository: Repository,
}

impl AtWork {
    async fn with(system: System, behaviour: &str) -> Self {
        let agent = install(&system, behaviour).display().to_string();
        let repository = Repository::with_files(sample::FILES);
        let mut run =
            system.start(repository.path(), ["launch", "--json", "--agent", &agent, sample::IDEA]);
        run.event("agent.started").await;
        let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).summary();
        let spec = text(&list(&listed)[0]["id"]);
        Self { system, run, spec, _repository: repository }
    }

    fn folder(&self) -> PathBuf {
        self.system.directory("bin")
    }

    /// Waits until the agent was asked to break off, and holds its answer back.
    async fn interrupted(&self) {
        let mark = self.folder().join("interrupted");
        let marked = async || mark.exists().then_some(());
        wait_for("the agent to be interrupted", PATIENCE, marked).await;
    }

    /// Lets it answer, this and every later time.
    fn answer(&self) {
        std::fs::write(self.folder().join("go"), "").unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Running {
        self.system.start(self.system.root(), arguments)
    }
}

fn limits(limits: &[(&str, &str)]) -> System {
    let mut system = System::new();
    for (name, value) in limits {
        system.set(name, value);
    }
    system
}

fn interrupts(run: &Finished) -> Vec<Value> {
    run.events("agent.interrupted").iter().map(|event| event["data"].clone()).collect()
}

#[tokio::test]
async fn an_interrupt_during_a_remedy_waits_for_its_answer_and_the_persons_words_take_its_place() {
    let system = limits(&[("AGENT_SILENCE_TIMEOUT", "4"), LONG_ANSWER]);
    let mut work = AtWork::with(system, "ok:outputs.json,waits-once,answers-when-told").await;
    work.interrupted().await;
    let asked = work.command(&["interrupt", &work.spec, WORDS, "--json"]);
    let delivered = |event: &Value| event["data"]["status"] == "delivered";
    work.run.event_where("agent.message_injected", delivered).await;
    work.answer();

    let seen = asked.finish().await.expect_code(0).summary();
    assert_eq!(seen["seen_as"], "own_turn", "{seen:#}");
    let run = work.run.finish().await.expect_code(0);
    let [remedy, person] = &interrupts(&run)[..] else { panic!("{run:#?}") };
    assert!(text(&remedy["reason"]).contains("said nothing for 4 s"), "{remedy:#}");
    assert_eq!(person["message_id"], seen["id"], "{person:#}");
    assert!(run.events("spec.phase_retry").is_empty(), "{run:#?}");
    // The first turn and the person's, each broken off; then the person's own.
    let explored = run.events("agent.completed");
    let explored: Vec<_> = explored.iter().filter(|turn| turn["phase"] == "explore").collect();
    assert_eq!(explored.len(), 3, "no turn was asked for by the remedy: {explored:#?}");
}

#[tokio::test]
async fn a_stop_during_a_remedy_does_not_wait_for_the_agents_answer() {
    let system = limits(&[("AGENT_SILENCE_TIMEOUT", "1"), ("MAX_ATTEMPTS", "1"), LONG_ANSWER]);
    let work = AtWork::with(system, "waits,answers-when-told").await;
    work.interrupted().await;
    let stopped = work.command(&["stop", &work.spec]);
    let run = work.run.finish().await.expect_code(1);
    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "cancelled", "{failed:#}");
    assert!(interrupts(&run).is_empty(), "it was not answered: {run:#?}");
    stopped.finish().await.expect_code(0);
    work.system.nothing_left().await;
}

#[tokio::test]
async fn a_pause_while_a_tool_is_over_its_limit_changes_nothing_about_the_remedy() {
    let system = limits(&[("TOOL_TIMEOUT", "1"), LONG_ANSWER]);
    let behaviour = "ok:outputs.json,hangs-in-a-tool-once,answers-when-told";
    let mut work = AtWork::with(system, behaviour).await;
    work.interrupted().await;
    work.command(&["pause", &work.spec]).finish().await.expect_code(0);
    let says = |event: &Value| text(&event["data"]["message"]).contains("will pause after explore");
    work.run.event_where("spec.progress", says).await;
    work.answer();

    let run = work.run.finish().await;
    let [remedy] = &interrupts(&run)[..] else { panic!("{run:#?}") };
    assert!(text(&remedy["reason"]).contains("the tool Bash was at work"), "{remedy:#}");
    let ended = &run.events("spec.execution_completed")[0];
    assert_eq!(ended["data"]["paused_after"], "explore", "{ended:#}");
    assert!(run.events("spec.phase_retry").is_empty(), "{run:#?}");
}

#[tokio::test]
async fn a_run_that_is_to_pause_refuses_to_be_resumed_and_says_when_it_can_be() {
    let mut work = AtWork::with(System::new(), "waits").await;
    work.command(&["pause", &work.spec]).finish().await.expect_code(0);
    let says = |event: &Value| text(&event["data"]["message"]).contains("will pause after explore");
    work.run.event_where("spec.progress", says).await;
    let refused = work.command(&["resume", &work.spec]).finish().await;
    assert_ne!(refused.code(), 0, "{refused:#?}");
    assert!(refused.stderr.contains("pauses after the phase at work"), "{refused:#?}");
    work.command(&["stop", &work.spec]).finish().await.expect_code(0);
    work.run.finish().await.expect_code(1);
}

#[tokio::test]
async fn a_turn_that_breaks_off_by_itself_after_a_message_for_now_fails_its_attempt_at_once() {
    let mut work = AtWork::with(System::new(), "ok:outputs.json,aborts-a-later-turn").await;
    let said = work.command(&["say", &work.spec, WORDS, "--now"]);
    work.run.event("spec.phase_retry").await;
    said.finish().await;
    let run = work.run.finish().await.expect_code(0);
    let [retry] = &run.events("spec.phase_retry")[..] else { panic!("{run:#?}") };
    assert_eq!(retry["data"]["reason"], "agent_broke", "{retry:#}");
    assert!(text(&retry["data"]["message"]).contains("turn was aborted"), "{retry:#}");
}

#[tokio::test]
async fn an_attempt_whose_time_is_up_ends_although_the_agent_does_not_answer() {
    let system =
        limits(&[("PHASE_TIMEOUT", "1"), ("MAX_ATTEMPTS", "1"), ("AGENT_ANSWER_TIMEOUT", "1")]);
    let work = AtWork::with(system, "hang").await;
    let run = work.run.finish().await.expect_code(1);
    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "timed_out", "{failed:#}");
    assert!(text(&failed["data"]["message"]).contains("PHASE_TIMEOUT"), "{failed:#}");
    assert!(interrupts(&run).is_empty(), "{run:#?}");
}

#[tokio::test]
async fn money_that_brings_nothing_new_is_told_with_its_share_of_the_budget() {
    let again = || Answer::tool("Glob", serde_json::json!({ "pattern": "**/*.rs" }));
    let again = std::iter::repeat_with(again).take(12);
    let playbook = Playbook::new().with(specwright_shared::phase::Phase::Explore, again);
    let api = MessagesApi::start(playbook.script()).await.unwrap();
    let mut system = System::with_claude(&api);
    // A call of the scripted model costs six hundredths of a cent; all of them together one cent.
    system.set("MAX_BUDGET_USD", "0.03").set("MAX_TURNS", "100");
    let repository = Repository::with_files(sample::FILES);
    let run = system.run(repository.path(), ["launch", "--json", sample::IDEA]).await;
    let run = run.expect_code(0);
    is_a_complete_summary(&run.summary(), "claude");
    let loops = run.events("agent.loop_detected");
    let told = loops.iter().find(|event| event["data"]["kind"] == "no_progress");
    let told = told.unwrap_or_else(|| panic!("{run:#?}"));
    let data = &told["data"];
    assert_eq!(data["tool"], "Glob", "{told:#}");
    assert!(data["tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{told:#}");
    assert!(data["budget_percent"].as_u64().is_some_and(|part| part >= 10), "{told:#}");
}
