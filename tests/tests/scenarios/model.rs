//! What the gateway to the model does for a run with the real Claude CLI.

use serde_json::Value;
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, MessagesApi, Playbook, Refusal};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::processes::Process;
use specwright_tests::system::{Finished, System};
use specwright_tests::wait::{PATIENCE, wait_for};
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
    system.nothing_left().await;
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
async fn a_key_that_is_revoked_in_the_middle_of_a_run_ends_it_and_what_was_accepted_stays() {
    let refusals = std::iter::repeat_n(Answer::Refuse(Refusal::BAD_KEY), 50);
    let (run, api) = launch(Playbook::new().with(Phase::Design, refusals), &[]).await;
    let run = run.expect_code(1);
    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "agent_error", "{failed:#}");
    assert!(text(&failed["data"]["message"]).contains("ANTHROPIC_API_KEY"), "{failed:#}");
    assert_eq!(api.asks().len(), 3, "no second call with that key");
    let done: Vec<_> =
        run.events("spec.phase_completed").iter().map(|event| event["phase"].clone()).collect();
    assert_eq!(done, ["explore", "requirements"]);
}

#[tokio::test]
async fn a_stalled_call_is_interrupted_and_the_agent_asked_again_in_the_same_attempt() {
    let hold = Answer::Hold(CancellationToken::new(), vec![]);
    let playbook = Playbook::new().with(Phase::Requirements, [Answer::Hang, hold]);
    let settings = [("MODEL_SILENCE_TIMEOUT", "4"), ("MODEL_PING_TIMEOUT", "8")];
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
    let busy = Refusal { retry_after: Some(14), ..Refusal::RATE_LIMITED };
    let playbook = Playbook::new().with(Phase::Explore, [Answer::Refuse(busy)]);
    let settings = [("PHASE_TIMEOUT", "12"), ("MAX_ATTEMPTS", "1")];
    let (run, _) = launch(playbook, &settings).await;
    let run = run.expect_code(0);
    assert_eq!(run.summary()["status"], "completed");
    let [resumed] = &all(&run, "agent.model_resumed", "parked_ms")[..] else { panic!("{run:#?}") };
    assert!(resumed.as_u64().is_some_and(|ms| ms >= 14_000), "{resumed}");
}

#[tokio::test]
async fn a_usage_limit_parks_the_run_until_its_time_and_uses_up_no_attempt() {
    // The CLI gives the turn up at once.
    let limit = Refusal { retry_after: Some(14), is_final: true, ..Refusal::RATE_LIMITED };
    let playbook = Playbook::new().with(Phase::Explore, [Answer::Refuse(limit)]);
    let settings = [("PHASE_TIMEOUT", "12"), ("MAX_ATTEMPTS", "1")];
    let (run, api) = launch(playbook, &settings).await;
    let run = run.expect_code(0);
    assert_eq!(run.summary()["status"], "completed");
    let [resumed] = &all(&run, "agent.model_resumed", "parked_ms")[..] else { panic!("{run:#?}") };
    assert!(resumed.as_u64().is_some_and(|ms| ms >= 14_000), "{resumed}");
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

#[tokio::test]
async fn a_subscriptions_usage_limit_parks_the_run_until_it_is_set_back() {
    // As the real service says it: no `retry-after` that is short, but the moment of the reset.
    let limit = Refusal {
        retry_after: None,
        unified_reset: Some(20),
        is_final: true,
        message: "This request would exceed your account's rate limit.",
        ..Refusal::RATE_LIMITED
    };
    let playbook = Playbook::new().with(Phase::Requirements, [Answer::Refuse(limit)]);
    let settings = [("PHASE_TIMEOUT", "12"), ("MAX_ATTEMPTS", "1")];
    let (run, api) = launch(playbook, &settings).await;
    let run = run.expect_code(0);
    assert_eq!(run.summary()["status"], "completed");
    let parked = run.events("agent.model_parked");
    assert!(parked.iter().all(|one| one["data"]["until"].is_string()), "{parked:#?}");
    assert_eq!(parked[0]["data"]["status"], 429, "{parked:#?}");
    let [resumed] = &all(&run, "agent.model_resumed", "parked_ms")[..] else { panic!("{run:#?}") };
    // The reset is told in whole seconds, and heard a moment later; an attempt has twelve.
    assert!(resumed.as_u64().is_some_and(|ms| ms > 12_000), "{resumed}");
    assert!(run.events("spec.phase_retry").is_empty(), "no attempt was burned");
    let refused = run.events("agent.model_call");
    let refused = refused.iter().find(|call| call["data"]["status"] == 429).expect("entered");
    assert_eq!(refused["data"]["cost_usd"], 0.0, "{refused:#}");
    assert_eq!(api.asks().len(), 5, "one refusal more than there are documents");
}

/// Waits until `written` stands in what the gateway keeps of the call for the requirements.
async fn call_is_written_down(system: &System, api: &MessagesApi, written: &str) {
    wait_for("the call to be under way", PATIENCE, async || {
        api.asks().iter().find(|ask| ask.phase() == Some(Phase::Requirements))?;
        let sandbox = std::fs::read_dir(system.data().join("sandboxes")).ok()?.next()?.ok()?;
        let calls = std::fs::read_to_string(sandbox.path().join("state/calls")).ok()?;
        calls.contains(written).then_some(())
    })
    .await;
}

/// Kills the worker in the middle of the call for the requirements, when `written` stands in what the
/// gateway keeps of its calls, and gives what came of the run.
async fn killed_in_a_call(answer: Answer, written: &str, budget: f64) -> (Finished, MessagesApi) {
    let playbook = Playbook::new().with(Phase::Requirements, [answer]);
    let api = MessagesApi::start(playbook.script()).await.expect("loopback has a port");
    let mut system = System::with_claude(&api);
    system.set("MAX_BUDGET_USD", budget.to_string());
    let repository = Repository::with_files(sample::FILES);
    let run = system.start(repository.path(), ["launch", "--json", sample::IDEA]);
    call_is_written_down(&system, &api, written).await;
    let is_worker = |one: &Process| one.arguments.get(1).is_some_and(|word| word == "worker");
    assert!(system.processes().into_iter().find(is_worker).expect("the worker runs").kill());
    let run = run.finish().await;
    system.nothing_left().await;
    (run, api)
}

/// The only call that was not entered by the worker that made it.
fn left_behind(run: &Finished) -> Value {
    let calls = run.events("agent.model_call");
    let mut left = calls.into_iter().filter(|call| {
        call["data"]["error"].as_str().is_some_and(|error| error.contains("the worker ended"))
    });
    let (one, None) = (left.next(), left.next()) else { panic!("several: {run:#?}") };
    one.unwrap_or_else(|| panic!("none: {run:#?}"))["data"].clone()
}

#[tokio::test]
async fn a_call_whose_worker_is_killed_counts_and_the_budget_holds_after_the_restart() {
    // Two calls fit. The second one's worker is killed when the answer has told its usage.
    let (run, api) = killed_in_a_call(Answer::Hang, "\"told\":{", 2.0 * ONE_CALL_USD).await;
    let run = run.expect_code(1);
    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "budget_exceeded", "{failed:#}");
    assert_eq!(api.asks().len(), 2, "the third call was not made: {run:#?}");
    let left = left_behind(&run);
    assert_eq!((&left["cost_usd"], &left["estimated"]), (&ONE_CALL_USD.into(), &true.into()));
    assert_eq!(run.events("agent.model_call").len(), 2, "each once");
    let told = failed["data"]["cost_usd"].as_f64().expect("the end tells the cost");
    assert!((told - 2.0 * ONE_CALL_USD).abs() < 1e-9, "{failed:#}");
    assert_eq!(run.events("agent.budget_warning").len(), 1, "{run:#?}");
}

#[tokio::test]
async fn a_call_whose_worker_is_killed_before_the_answer_is_estimated_and_said_to_be_unknown() {
    let (run, _) = killed_in_a_call(Answer::Mute, "call_id", 9.0).await;
    let run = run.expect_code(0);
    assert_eq!(run.summary()["status"], "completed");
    let left = left_behind(&run);
    assert_eq!((&left["cost_usd"], &left["complete"]), (&Value::Null, &false.into()), "{left:#}");
    assert!(left["counted_usd"].as_f64().is_some_and(|usd| usd > 0.0), "{left:#}");
    assert!(left["cost_unknown"].is_string() && left["estimated"] == true, "{left:#}");
}

#[tokio::test]
async fn a_call_of_a_launch_that_is_killed_as_a_whole_is_entered_when_its_place_is_found() {
    let api =
        MessagesApi::start(Playbook::new().with(Phase::Requirements, [Answer::Hang]).script())
            .await
            .expect("loopback has a port");
    let system = System::with_claude(&api);
    let repository = Repository::with_files(sample::FILES);
    let run = system.start(repository.path(), ["launch", "--json", sample::IDEA]);
    call_is_written_down(&system, &api, "\"told\":{").await;
    run.signal(rustix::process::Signal::KILL);
    drop(run.finish().await);
    system.nothing_left().await;

    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0);

    let cost = listed.summary()[0]["cost_usd"].as_f64().expect("a spec has a cost");
    assert!((cost - 2.0 * ONE_CALL_USD).abs() < 1e-9, "{listed:#?}");
}
