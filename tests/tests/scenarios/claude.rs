//! The real Claude CLI through all phases, its model on a script that also goes wrong.

use serde_json::{Value, json};
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, Block, MessagesApi, Playbook, Refusal};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Finished, System};

use crate::shape::{is_a_complete_summary, phases_with, text};

/// A run of the sample idea on the sample repository with the real CLI.
struct Scene {
    api: MessagesApi,
    system: System,
    repository: Repository,
}

impl Scene {
    async fn with(playbook: Playbook) -> Self {
        let api = MessagesApi::start(playbook.script()).await.expect("loopback has a port");
        let system = System::with_claude(&api);
        Self { api, system, repository: Repository::with_files(sample::FILES) }
    }

    /// Launches, and proves that the repository is as it was and that nothing is left running.
    async fn launch(&self) -> Finished {
        let before = self.repository.contents();
        let run = self.system.run(self.repository.path(), ["launch", "--json", sample::IDEA]).await;
        before.is_still_in(self.repository.path());
        self.system.nothing_left().await;
        run
    }

    /// How often the model was asked for a phase's document.
    fn asks(&self, phase: Phase) -> usize {
        self.api.asks().iter().filter(|ask| ask.phase() == Some(phase)).count()
    }
}

/// How many attempts a phase took.
#[track_caller]
fn attempts(run: &Finished, phase: Phase) -> u64 {
    let summary = run.summary();
    let phases = summary["phases"].as_array().expect("phases are listed").clone();
    let found = phases.into_iter().find(|one| one["phase"] == phase.as_str());
    found.and_then(|one| one["attempts"].as_u64()).expect("the phase is in the summary")
}

fn retries(run: &Finished) -> Vec<Value> {
    run.events("spec.phase_retry")
}

#[tokio::test]
async fn all_phases_are_done_by_the_real_cli() {
    let scene = Scene::with(Playbook::new()).await;
    let run = scene.launch().await.expect_code(0);

    let summary = run.summary();
    is_a_complete_summary(&summary, "claude");
    assert!(retries(&run).is_empty(), "{run:#?}");
    let titles: Vec<String> = summary["tickets"]
        .as_array()
        .expect("tickets are listed")
        .iter()
        .map(|ticket| text(&ticket["title"]))
        .collect();
    assert_eq!(titles, ["Count requests per client", "Refuse in the HTTP layer"]);
    for phase in Phase::ALL.into_iter().filter(|phase| phase.needs_agent()) {
        assert_eq!(scene.asks(phase), 1, "{phase} was asked for once");
    }
    assert_eq!(run.events("agent.started").len(), 4, "one process per phase");
    // The idea reached the model, and what was accepted reached the later phases.
    let asks = scene.api.asks();
    assert!(asks.iter().any(|ask| ask.mentions(sample::IDEA)));
    let design = asks.iter().find(|ask| ask.phase() == Some(Phase::Design)).expect("asked");
    assert!(design.mentions("REQ-LIMIT-FUNC-002"), "{:?}", design.texts());
    // What the model cost is counted.
    let cost = run.events("spec.execution_completed")[0]["data"]["cost_usd"].as_f64();
    assert!(cost.is_some_and(|cost| cost > 0.0), "{cost:?}");
}

#[tokio::test]
async fn an_output_that_breaks_its_gate_is_repaired_in_the_same_conversation() {
    let broken = Answer::output(sample::requirements_with_a_dangling_reference());
    let scene = Scene::with(Playbook::new().with(Phase::Requirements, [broken])).await;
    let run = scene.launch().await.expect_code(0);

    is_a_complete_summary(&run.summary(), "claude");
    assert_eq!(attempts(&run, Phase::Requirements), 2);
    let [retry] = &retries(&run)[..] else { panic!("{run:#?}") };
    assert_eq!(retry["data"]["reason"], "gate_rejected", "{retry:#}");
    assert!(retry["data"]["findings"].to_string().contains("REQ-LIMIT-FUNC-099"), "{retry:#}");
    // The model was told what was wrong, with its own first answer before it.
    let asks = scene.api.asks();
    let asked: Vec<_> =
        asks.iter().filter(|ask| ask.phase() == Some(Phase::Requirements)).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].turns_before() >= 1);
    assert!(asked[1].texts().last().is_some_and(|last| last.contains("REQ-LIMIT-FUNC-099")));
    assert_eq!(run.events("agent.started").len(), 4, "no new process for the repair");
}

#[tokio::test]
async fn prose_instead_of_an_output_is_repaired() {
    // The CLI itself reminds the model once; the second prose ends the turn without an output.
    let prose = || Answer::text("I have looked at everything and it looks good.");
    let scene = Scene::with(Playbook::new().with(Phase::Explore, [prose(), prose()])).await;
    let run = scene.launch().await.expect_code(0);

    is_a_complete_summary(&run.summary(), "claude");
    assert_eq!(attempts(&run, Phase::Explore), 2);
    assert_eq!(scene.asks(Phase::Explore), 3);
}

#[tokio::test]
async fn an_output_of_the_wrong_shape_is_repaired_by_the_cli_alone() {
    let wrong = Answer::output(sample::requirements_of_the_wrong_shape());
    let scene = Scene::with(Playbook::new().with(Phase::Requirements, [wrong])).await;
    let run = scene.launch().await.expect_code(0);

    is_a_complete_summary(&run.summary(), "claude");
    assert_eq!(attempts(&run, Phase::Requirements), 1, "the schema is the CLI's business");
    assert_eq!(scene.asks(Phase::Requirements), 2);
}

#[tokio::test]
async fn a_phase_that_never_passes_its_gate_fails_the_run_with_its_findings() {
    let broken = || Answer::output(sample::requirements_with_a_dangling_reference());
    let answers = std::iter::repeat_with(broken).take(10);
    let scene = Scene::with(Playbook::new().with(Phase::Requirements, answers)).await;
    let run = scene.launch().await.expect_code(1);

    let summary = run.summary();
    assert_eq!(summary["status"], "failed", "{summary:#}");
    assert_eq!(scene.asks(Phase::Requirements), 3, "attempts are bounded");
    let failed = &run.events("spec.phase_failed")[0];
    assert!(failed["data"]["findings"].to_string().contains("REQ-LIMIT-FUNC-099"), "{failed:#}");
    assert!(run.stderr.contains("specwright resume"), "{run:#?}");
}

#[tokio::test]
async fn a_busy_and_an_overloaded_model_only_delay_the_run() {
    let refusals = [Answer::Refuse(Refusal::RATE_LIMITED), Answer::Refuse(Refusal::OVERLOADED)];
    let scene = Scene::with(Playbook::new().with(Phase::Design, refusals)).await;
    let run = scene.launch().await.expect_code(0);

    is_a_complete_summary(&run.summary(), "claude");
    assert_eq!(attempts(&run, Phase::Design), 1);
    let statuses: Vec<Value> = run
        .events("agent.retrying")
        .iter()
        .map(|event| event["data"]["error_status"].clone())
        .collect();
    assert_eq!(statuses, [json!(429), json!(529)]);
}

#[tokio::test]
async fn a_stream_that_is_cut_only_delays_the_run() {
    let cut = Answer::CutAfter("Let me look at the".into());
    let scene = Scene::with(Playbook::new().with(Phase::Explore, [cut])).await;
    let run = scene.launch().await.expect_code(0);
    is_a_complete_summary(&run.summary(), "claude");
    assert_eq!(scene.asks(Phase::Explore), 2);
}

#[tokio::test]
async fn a_key_that_is_not_known_ends_the_run_at_once_and_is_named() {
    let refusals = std::iter::repeat_n(Answer::Refuse(Refusal::BAD_KEY), 50);
    let scene = Scene::with(Playbook::new().with(Phase::Explore, refusals)).await;
    let run = scene.launch().await.expect_code(1);

    assert!(run.stderr.contains("ANTHROPIC_API_KEY"), "{run:#?}");
    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "agent_error", "{failed:#}");
    assert!(text(&failed["data"]["message"]).contains("ANTHROPIC_API_KEY"), "{failed:#}");
    // The CLI would go on for three minutes; another attempt would ask again.
    assert!(scene.asks(Phase::Explore) <= 3, "{} requests", scene.asks(Phase::Explore));
    assert!(retries(&run).is_empty(), "{run:#?}");
}

#[tokio::test]
async fn what_took_too_long_goes_on_in_a_fresh_process_and_the_second_time_begins_afresh() {
    let read = Block::tool("Glob", json!({ "pattern": "**/*.rs" }));
    let answers = [Answer::Speak(vec![read]), Answer::Hang, Answer::Hang];
    let mut scene = Scene::with(Playbook::new().with(Phase::Requirements, answers)).await;
    // Long beside what a phase takes whose model answers.
    scene.system.set("PHASE_TIMEOUT", "40").set("MAX_ATTEMPTS", "3");
    let run = scene.launch().await.expect_code(0);

    is_a_complete_summary(&run.summary(), "claude");
    assert_eq!(attempts(&run, Phase::Requirements), 3);
    let reasons: Vec<_> = retries(&run).iter().map(|one| one["data"]["reason"].clone()).collect();
    assert_eq!(reasons, ["timed_out", "timed_out"], "{run:#?}");
    let started = run.events("agent.started").into_iter();
    let sessions: Vec<_> = started
        .filter(|one| one["phase"] == "requirements")
        .map(|one| one["data"]["session_id"].clone())
        .collect();
    let [first, second, third] = &sessions[..] else { panic!("{run:#?}") };
    assert_eq!(first, second, "the same conversation");
    assert_ne!(second, third, "a fresh one");
    let [resumed] = &run.events("agent.resumed")[..] else { panic!("{run:#?}") };
    assert_eq!(resumed["data"]["rung"], "transcript", "{resumed:#}");
    let asks = scene.api.asks();
    let told = asks.iter().any(|ask| ask.mentions("Do not repeat the step that hung"));
    assert!(told, "the resumed agent is told what hung");
}

#[tokio::test]
async fn a_model_that_hangs_every_time_fails_the_run_as_timed_out() {
    let hangs = std::iter::repeat_n(Answer::Hang, 20);
    let mut scene = Scene::with(Playbook::new().with(Phase::Explore, hangs)).await;
    scene.system.set("PHASE_TIMEOUT", "4").set("MAX_ATTEMPTS", "2");
    let run = scene.launch().await.expect_code(1);

    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "timed_out", "{failed:#}");
    assert_eq!(attempts(&run, Phase::Explore), 2);
}

#[tokio::test]
async fn a_tool_that_writes_is_not_there_and_a_tool_that_reads_is() {
    let write = Block::tool("Write", json!({ "file_path": "planned.txt", "content": "done" }));
    let read = Block::tool("Glob", json!({ "pattern": "**/*.rs" }));
    let playbook = Playbook::new()
        .with(Phase::Explore, [Answer::Speak(vec![write]), Answer::Speak(vec![read])]);
    let scene = Scene::with(playbook).await;
    let run = scene.launch().await.expect_code(0);

    is_a_complete_summary(&run.summary(), "claude");
    let results = run.events("agent.tool_result");
    let [write, read, ..] = &results[..] else { panic!("{results:#?}") };
    assert_eq!(write["data"]["is_error"], true, "{write:#}");
    assert_eq!(read["data"]["is_error"], false, "{read:#}");
    assert!(read["data"]["result"].to_string().contains("src/http.rs"), "{read:#}");
    assert!(retries(&run).is_empty(), "nothing was written, so nothing failed: {run:#?}");
    assert_eq!(phases_with(&run, "spec.phase_started")[0], "explore");
}
