//! What the gateway to the model does for a run with the real Claude CLI.

use std::time::Duration;

use serde_json::Value;
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, MessagesApi, Playbook, Refusal};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Finished, System};
use tokio_util::sync::CancellationToken;

use crate::shape::text;

/// What one call of the fake model costs: 100 tokens in, 10 out, of the CLI's default model.
const ONE_CALL_USD: f64 = 0.0006;

async fn launch(playbook: Playbook, settings: &[(&str, &str)]) -> (Finished, MessagesApi) {
    let api = MessagesApi::start(playbook.script()).await.expect("loopback has a port");
    let mut system = System::with_claude(&api);
    for (name, value) in settings {
        system.set(name, value);
    }
    let repository = Repository::with_files(sample::FILES);
    let run = system.run(repository.path(), ["launch", "--json", sample::IDEA]).await;
    system.nothing_left_within(Duration::from_secs(5)).await;
    (run, api)
}

fn sum(run: &Finished, kind: &str, field: &str) -> f64 {
    run.events(kind).iter().filter_map(|event| event["data"][field].as_f64()).sum()
}

/// Of one type, in the data.
fn all(run: &Finished, kind: &str, field: &str) -> Vec<Value> {
    run.events(kind).iter().map(|event| event["data"][field].clone()).collect()
}

#[tokio::test]
async fn every_call_stands_in_the_ledger_and_agrees_with_the_clis_own_total() {
    let (run, api) = launch(Playbook::new(), &[]).await;
    let run = run.expect_code(0);
    let calls = run.events("agent.model_call");
    assert_eq!(calls.len(), api.asks().len(), "one entry for each request: {calls:#?}");
    let ledger = sum(&run, "agent.model_call", "cost_usd");
    assert!(ledger > 0.0);
    let clis_own = sum(&run, "agent.completed", "cost_usd");
    assert!((ledger - clis_own).abs() < 1e-9, "ledger {ledger}, CLI {clis_own}");
    assert!((sum(&run, "agent.completed", "ledger_usd") - ledger).abs() < 1e-9);
    let told = sum(&run, "spec.execution_completed", "cost_usd");
    assert!((told - ledger).abs() < 1e-9, "the end tells {told}");
}

#[tokio::test]
async fn the_budget_of_the_whole_job_holds_across_phases() {
    // Two calls fit, in two phases; the third would be one too many.
    let limit = (2.0 * ONE_CALL_USD).to_string();
    let (run, api) = launch(Playbook::new(), &[("MAX_BUDGET_USD", &limit)]).await;
    let run = run.expect_code(1);
    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "budget_exceeded", "{failed:#}");
    assert_eq!(api.asks().len(), 2, "{run:#?}");
    let [warning] = &run.events("agent.budget_warning")[..] else { panic!("{run:#?}") };
    assert_eq!(warning["data"]["percent"], 80);
}

#[tokio::test]
async fn a_refused_key_ends_the_run_at_its_first_answer() {
    for status in [401, 403] {
        let refusal = Refusal { status, ..Refusal::BAD_KEY };
        let refusals = std::iter::repeat_n(Answer::Refuse(refusal), 50);
        let (run, api) = launch(Playbook::new().with(Phase::Explore, refusals), &[]).await;
        let run = run.expect_code(1);
        let failed = &run.events("spec.execution_failed")[0];
        assert_eq!(failed["data"]["outcome"], "agent_error", "{failed:#}");
        let message = text(&failed["data"]["message"]);
        assert!(message.contains("ANTHROPIC_API_KEY"), "{message}");
        assert!(message.contains("invalid x-api-key"), "{message}");
        assert_eq!(api.asks().len(), 1, "{status}: no second call");
    }
}

#[tokio::test]
async fn a_stalled_call_is_interrupted_and_the_agent_asked_again_in_the_same_attempt() {
    let hold = Answer::Hold(CancellationToken::new(), vec![]);
    let playbook = Playbook::new().with(Phase::Requirements, [Answer::Hang, hold]);
    let settings = [("MODEL_SILENCE_TIMEOUT", "2"), ("MODEL_PING_TIMEOUT", "4")];
    let (run, api) = launch(playbook, &settings).await;
    let run = run.expect_code(0);
    assert_eq!(run.summary()["status"], "completed");
    assert_eq!(all(&run, "agent.model_stalled", "stall"), ["silent", "pings_only"], "{run:#?}");
    assert!(run.events("spec.phase_retry").is_empty(), "{run:#?}");
    let last = api.asks().into_iter().rfind(|ask| ask.phase() == Some(Phase::Requirements));
    assert!(last.expect("asked").mentions("the connection to the model stalled"));
}

#[tokio::test]
async fn a_model_that_stalls_every_time_fails_the_run_with_evidence() {
    let hangs = std::iter::repeat_n(Answer::Hang, 20);
    let settings = [("MODEL_SILENCE_TIMEOUT", "1"), ("MAX_ATTEMPTS", "1")];
    let (run, _) = launch(Playbook::new().with(Phase::Explore, hangs), &settings).await;
    let run = run.expect_code(1);
    assert_eq!(all(&run, "agent.model_stalled", "number"), [1, 2, 3], "{run:#?}");
    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "timed_out", "{failed:#}");
    assert!(text(&failed["data"]["message"]).contains("stalled 3 times"), "{failed:#}");
}

#[tokio::test]
async fn a_busy_service_stops_the_clock_of_the_attempt() {
    // The CLI waits these seconds by itself; the attempt has fewer.
    let busy = Refusal { retry_after: Some(7), ..Refusal::RATE_LIMITED };
    let playbook = Playbook::new().with(Phase::Explore, [Answer::Refuse(busy)]);
    let settings = [("PHASE_TIMEOUT", "5"), ("MAX_ATTEMPTS", "1")];
    let (run, _) = launch(playbook, &settings).await;
    let run = run.expect_code(0);
    assert_eq!(run.summary()["status"], "completed");
    let [resumed] = &all(&run, "agent.model_resumed", "parked_ms")[..] else { panic!("{run:#?}") };
    assert!(resumed.as_u64().is_some_and(|ms| ms >= 7000), "{resumed}");
}

#[tokio::test]
async fn a_usage_limit_parks_the_run_until_its_time_and_uses_up_no_attempt() {
    // The CLI gives the turn up at once.
    let limit = Refusal { retry_after: Some(6), is_final: true, ..Refusal::RATE_LIMITED };
    let playbook = Playbook::new().with(Phase::Explore, [Answer::Refuse(limit)]);
    let settings = [("PHASE_TIMEOUT", "4"), ("MAX_ATTEMPTS", "1")];
    let (run, api) = launch(playbook, &settings).await;
    let run = run.expect_code(0);
    assert_eq!(run.summary()["status"], "completed");
    let [resumed] = &all(&run, "agent.model_resumed", "parked_ms")[..] else { panic!("{run:#?}") };
    assert!(resumed.as_u64().is_some_and(|ms| ms >= 6000), "{resumed}");
    let parked = run.events("agent.model_parked");
    assert!(parked.iter().all(|one| one["data"]["until"].is_string()), "{parked:#?}");
    let asks = api.asks();
    assert!(asks[1].mentions("took no calls for a while"), "{:?}", asks[1].texts());
}

#[tokio::test]
async fn a_usage_limit_beyond_what_a_run_may_wait_ends_it_with_the_time_to_resume() {
    let limit = Refusal { retry_after: Some(3600), ..Refusal::RATE_LIMITED };
    let refusals = std::iter::repeat_n(Answer::Refuse(limit), 20);
    let playbook = Playbook::new().with(Phase::Explore, refusals);
    let (run, api) = launch(playbook, &[("MODEL_PARK_TIMEOUT", "60")]).await;
    let run = run.expect_code(1);
    let failed = &run.events("spec.execution_failed")[0];
    assert!(text(&failed["data"]["message"]).contains("MODEL_PARK_TIMEOUT"), "{failed:#}");
    assert_eq!(api.asks().len(), 1, "no attempt was burned");
}
