//! The duties in a real control API, with real processes and a real store.

mod alone;
mod delivered;
mod old_events;
mod orphans;
mod rounds;
mod ways_out;

use serde_json::{Value, json};
use specwright_shared::id::SandboxId;
use specwright_shared::phase::Phase;
use specwright_shared::wire::spec::Launched;

use crate::testing::worker::Worker;
use crate::testing::{Running, documents, until};

/// A worker that keeps its token where the test finds it, and waits.
const WAITS: &str = "echo $$ >\"$STATE_DIR/pid\"; env >\"$STATE_DIR/env\"; exec sleep 600";

async fn with(change: impl FnOnce(&mut crate::config::Config)) -> Running {
    Running::with_settings(WAITS, change).await
}

async fn kill_worker(api: &Running, sandbox: SandboxId) {
    let file = api.sandbox_dir(sandbox).join("state/pid");
    let pid: i32 = crate::testing::until_file(&file).await.trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// The sandbox at work on a spec, once it is another one than `before`.
async fn next_sandbox(api: &Running, spec: &str, before: SandboxId) -> SandboxId {
    until("another sandbox is at work", async || {
        let (_, spec) = api.get(&format!("/api/v1/specs/{spec}")).await;
        let now: SandboxId = serde_json::from_value(spec["sandbox_id"].clone()).ok()?;
        (now != before).then_some(now)
    })
    .await
}

async fn kinds(api: &Running, spec: &str) -> Vec<String> {
    let (_, page) = api.get(&format!("/api/v1/specs/{spec}/events")).await;
    let items = page["items"].as_array().unwrap();
    items.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// Steps that follow one another without a pause; each `release` lets the duty look.
async fn steps_without_pauses(api: &Running, project: &str) {
    let rungs: Vec<Value> = ["nudge", "interrupt", "save_work", "end"]
        .map(|action| json!({ "action": action, "after_s": 0 }))
        .into();
    let path = format!("/api/v1/projects/{project}/liveness");
    let own = json!({ "stuck": rungs });
    let (status, settings) =
        api.request("PUT", &path, crate::testing::OWNER_TOKEN, Some(&own)).await;
    assert_eq!((status, &settings["idle_s"]), (200, &json!(600)), "{settings}");
    assert_eq!(api.get(&path).await.1["stuck"], own["stuck"]);
}

async fn shown(api: &Running, sandbox: SandboxId) -> Value {
    api.get(&format!("/api/v1/sandboxes/{sandbox}")).await.1
}

async fn look(api: &Running, sandbox: SandboxId) {
    api.post(&format!("/api/v1/sandboxes/{sandbox}/release"), &json!({})).await;
}

/// Looks until so many steps were taken; which they were, oldest first.
async fn until_steps(worker: &Worker<'_>, number: usize) -> Vec<String> {
    until(&format!("{number} steps were taken"), async || {
        look(worker.api, worker.id).await;
        let view = shown(worker.api, worker.id).await;
        let mut steps: Vec<String> = view["verdicts"]
            .as_array()?
            .iter()
            .filter_map(|judged| Some(judged["action"].as_str()?.to_owned()))
            .collect();
        steps.reverse();
        (steps.len() >= number).then_some(steps)
    })
    .await
}

#[tokio::test]
async fn a_run_that_loses_its_sandbox_goes_on_in_another_one_within_the_bound() {
    let api = with(|config| config.liveness.restarts = 1).await;
    let launched = api.launch(json!({})).await;
    let (first, spec) = (launched.sandbox_id, launched.spec.id.to_string());
    let mut worker = Worker::hello(&api, first).await;
    let old_token = worker.token.clone();
    let explore = worker.completed(Phase::Explore, documents::of(Phase::Explore).as_ref());
    worker.report(&[explore]).await;
    kill_worker(&api, first).await;

    let second = next_sandbox(&api, &spec, first).await;
    let (_, found) = api.get(&format!("/api/v1/specs/{spec}")).await;
    assert_eq!(found["status"], "executing");
    assert_eq!(found["current_phase"], "requirements", "it goes on from what was accepted");
    let (_, ended) = api.get(&format!("/api/v1/sandboxes/{first}")).await;
    assert_eq!((&ended["state"], &ended["outcome"]), (&json!("ended"), &json!("lost")));
    let worker = Worker::hello(&api, second).await;
    assert_ne!(worker.token, old_token);
    let job = serde_json::to_value(&worker.welcome.job).unwrap();
    assert_eq!(job["start"], "requirements");
    assert!(kinds(&api, &spec).await.contains(&"spec.restarted".to_owned()));

    kill_worker(&api, second).await;
    let failed = api.until_spec(&spec, "failed").await;
    assert_eq!(failed["reason"], "lost");
    assert!(failed["message"].as_str().unwrap().contains("signal 9"), "{failed}");
    api.end().await;
}

#[tokio::test]
async fn what_a_person_stopped_is_not_started_again() {
    let api = with(|config| config.liveness.restarts = 3).await;
    let launched = api.launch(json!({})).await;
    let spec = launched.spec.id;
    let (status, _) = api.post(&format!("/api/v1/specs/{spec}/cancel"), &json!({})).await;
    assert_eq!(status, 202);
    kill_worker(&api, launched.sandbox_id).await;
    api.until_spec(spec, "failed").await;
    // Nor what was said not to be.
    let launched = api.launch(json!({ "restarts": 0 })).await;
    kill_worker(&api, launched.sandbox_id).await;
    api.until_spec(launched.spec.id, "failed").await;
    api.end().await;
}

#[tokio::test]
async fn what_hangs_is_nudged_interrupted_saved_and_ended_with_the_cause_in_words() {
    let api = with(|config| config.liveness.restarts = 0).await;
    let launched = api.launch(json!({})).await;
    steps_without_pauses(&api, &launched.spec.project_id.to_string()).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    assert_eq!(worker.beat_stuck().await, json!({}));
    assert_eq!(until_steps(&worker, 1).await[0], "nudge");
    let steps = until_steps(&worker, 3).await;
    assert_eq!(steps[..3], ["nudge", "interrupt", "save_work"]);
    let path = format!("/api/v1/sandboxes/{}/messages", worker.id);
    let (_, messages) = api.get(&path).await;
    let kinds_of: Vec<&str> =
        messages["items"].as_array().unwrap().iter().map(|m| m["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds_of, ["system", "interrupt"]);
    let text = messages["items"][0]["text"].as_str().unwrap();
    assert!(text.contains("nothing has moved for too long"), "{text}");

    look(&api, worker.id).await;
    let spec = api.until_spec(launched.spec.id, "failed").await;
    assert_eq!(spec["reason"], "timed_out", "it is not called lost: {spec}");
    let message = spec["message"].as_str().unwrap();
    assert!(message.contains("the run is stuck: nothing has moved"), "{message}");
    let view = shown(&api, worker.id).await;
    assert_eq!(view["verdict"]["kind"], "finished");
    let evidence = &view["verdicts"][0]["verdict"]["evidence"][0];
    assert_eq!((&evidence["age_ms"].is_u64(), &evidence["limit_ms"]), (&true, &json!(900_000)));
    let judged = kinds(&api, &launched.spec.id.to_string()).await;
    assert!(judged.iter().filter(|kind| *kind == "sandbox.judged").count() >= 4, "{judged:?}");
    api.end().await;
}

#[tokio::test]
async fn a_worker_that_used_up_its_attempts_is_not_started_again() {
    let api = with(|config| config.liveness.restarts = 1).await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let timed_out = json!({
        "outcome": "timed_out", "failed_phase": "explore", "message": "three attempts",
        "cost_usd": 0.0, "duration_ms": 1,
    });
    let report = worker.event("spec.execution_failed", None, timed_out);
    worker.report(&[report]).await;
    let spec = api.until_spec(launched.spec.id, "failed").await;
    assert_eq!(
        (&spec["reason"], &spec["message"]),
        (&json!("timed_out"), &json!("three attempts"))
    );
    api.end().await;
}

/// A run that is found stuck, and whose worker does as it is asked.
async fn obeyed(api: &Running) -> (Launched, String) {
    let launched = api.launch(json!({})).await;
    let own = json!({ "stuck": [{ "action": "save_work", "after_s": 0 }] });
    let path = format!("/api/v1/projects/{}/liveness", launched.spec.project_id);
    api.request("PUT", &path, crate::testing::OWNER_TOKEN, Some(&own)).await;
    let mut worker = Worker::hello(api, launched.sandbox_id).await;
    let explore = worker.completed(Phase::Explore, documents::of(Phase::Explore).as_ref());
    worker.report(&[explore]).await;
    worker.beat_stuck().await;
    until_steps(&worker, 1).await;
    let ack = worker.beat_stuck().await;
    let reason = ack["stop"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("the run is stuck"), "{reason}");
    let cancelled = json!({
        "outcome": "cancelled", "failed_phase": "requirements", "message": "as asked",
        "cost_usd": 0.0, "duration_ms": 1,
    });
    let report = worker.event("spec.execution_failed", None, cancelled);
    worker.report(&[report]).await;
    (launched, reason)
}

#[tokio::test]
async fn a_stop_that_a_worker_obeys_counts_as_what_it_was_asked_for() {
    let api = with(|config| config.liveness.restarts = 0).await;
    let (launched, reason) = obeyed(&api).await;
    let spec = api.until_spec(launched.spec.id, "failed").await;
    assert_eq!(spec["reason"], "timed_out");
    assert_eq!(spec["message"], format!("{reason}; as asked"));
    api.end().await;
}

#[tokio::test]
async fn a_run_that_was_stopped_for_being_stuck_goes_on_in_another_sandbox_once() {
    let api = with(|config| config.liveness.restarts = 1).await;
    let (launched, reason) = obeyed(&api).await;
    let spec = launched.spec.id.to_string();
    let second = next_sandbox(&api, &spec, launched.sandbox_id).await;
    let (_, found) = api.get(&format!("/api/v1/specs/{spec}")).await;
    assert_eq!(
        (&found["status"], &found["current_phase"]),
        (&json!("executing"), &json!("requirements")),
        "from the last accepted phase: {found}"
    );
    let first = shown(&api, launched.sandbox_id).await;
    assert_eq!((&first["state"], &first["outcome"]), (&json!("ended"), &json!("timed_out")));
    assert_eq!(first["message"], format!("{reason}; as asked"));
    let told = kinds(&api, &spec).await;
    let ends = told.iter().filter(|kind| *kind == "spec.execution_failed").count();
    let restarts = told.iter().filter(|kind| *kind == "spec.restarted").count();
    assert_eq!((ends, restarts), (1, 1), "{told:?}");

    // The second one's bound is used up.
    let mut worker = Worker::hello(&api, second).await;
    worker.beat_stuck().await;
    until_steps(&worker, 1).await;
    let cancelled = json!({
        "outcome": "cancelled", "failed_phase": "requirements", "message": "as asked",
        "cost_usd": 0.0, "duration_ms": 1,
    });
    let report = worker.event("spec.execution_failed", None, cancelled);
    worker.report(&[report]).await;
    assert_eq!(api.until_spec(launched.spec.id, "failed").await["reason"], "timed_out");
    api.end().await;
}

#[tokio::test]
async fn a_held_sandbox_is_not_ended_until_it_is_released() {
    let api = with(|_| ()).await;
    let launched = api.launch(json!({})).await;
    steps_without_pauses(&api, &launched.spec.project_id.to_string()).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let hold = format!("/api/v1/sandboxes/{}/hold", worker.id);
    for (until, word) in
        [("2020-01-01T00:00:00Z", "has passed"), ("2999-01-01T00:00:00Z", "24 hours")]
    {
        let (status, problem) = api.post(&hold, &json!({ "until": until, "reason": "r" })).await;
        assert_eq!(status, 422);
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
    let now: specwright_shared::time::Timestamp = std::time::SystemTime::now().into();
    let in_an_hour = now.plus(std::time::Duration::from_secs(3600));
    let body = json!({ "until": in_an_hour, "reason": "I look into it" });
    let (status, view) = api.post(&hold, &body).await;
    assert_eq!((status, &view["hold"]["reason"]), (200, &json!("I look into it")), "{view}");
    assert_eq!(view["hold"]["by"], "owner");
    worker.beat_stuck().await;
    // The duty looks by itself when the control API starts.
    let api_again = api.beside().await;
    until("the agent is nudged", async || {
        let view = shown(&api, worker.id).await;
        (view["verdicts"][0]["action"] == "nudge").then_some(())
    })
    .await;
    let (_, list) = api.get("/api/v1/sandboxes").await;
    assert_eq!(list["items"][0]["verdict"]["kind"], "stuck");
    assert!(worker.beat_stuck().await.get("stop").is_none());
    until_steps(&worker, 3).await;
    assert!(shown(&api, worker.id).await.get("hold").is_none());
    api_again.end().await;
    api.end().await;
}

#[tokio::test]
async fn a_spec_that_has_used_up_its_starts_or_its_money_is_refused_until_it_is_reset() {
    let api = with(|config| config.liveness.starts_max = 1).await;
    let launched = api.launch(json!({})).await;
    let spec = format!("/api/v1/specs/{}", launched.spec.id);
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let explore = worker.completed(Phase::Explore, documents::of(Phase::Explore).as_ref());
    let failed = json!({
        "outcome": "failed", "failed_phase": "requirements", "message": "m",
        "cost_usd": 0.0, "duration_ms": 1,
    });
    let failed = worker.event("spec.execution_failed", None, failed);
    worker.report(&[explore, failed]).await;
    let execute = format!("{spec}/execute");
    let (status, problem) = api.post(&execute, &json!({})).await;
    assert_eq!((status, &problem["type"]), (409, &json!("breaker-open")), "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("1 sandboxes were asked for")
            && detail.ends_with(&format!("`specwright reset-breaker {}`", launched.spec.id)),
        "{detail}"
    );
    let (status, _) = api.post(&format!("{spec}/breaker/reset"), &json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(api.post(&execute, &json!({})).await.0, 202);
    api.end().await;
}

#[tokio::test]
async fn a_restart_that_the_breaker_refuses_says_so_where_the_run_ends() {
    let api = with(|config| {
        config.liveness.restarts = 3;
        config.liveness.starts_max = 1;
    })
    .await;
    let launched = api.launch(json!({})).await;
    kill_worker(&api, launched.sandbox_id).await;
    let spec = api.until_spec(launched.spec.id, "failed").await;
    assert_eq!(spec["reason"], "lost", "{spec}");
    let message = spec["message"].as_str().unwrap();
    let remedy = format!("`specwright reset-breaker {}`", launched.spec.id);
    for part in ["signal 9", "it is not started again: 1 sandboxes were asked for", &remedy] {
        assert!(message.contains(part), "{part}: {message}");
    }
    api.end().await;
}

#[tokio::test]
async fn a_run_whose_spec_has_cost_too_much_is_asked_to_stop_and_ends_as_that() {
    let api = with(|config| config.liveness.spend_max_usd = Some(0.1)).await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let turn = json!({
        "subtype": "success", "is_error": false, "terminal_reason": null,
        "structured_output": true, "num_turns": 1, "cost_usd": 0.125, "input_tokens": 1,
        "output_tokens": 1, "cache_read_tokens": 0, "cache_write_tokens": 0, "duration_ms": 1,
    });
    let turn = worker.event("agent.completed", Some(Phase::Explore), turn);
    worker.report(&[turn]).await;
    let reason = until("the worker is asked to stop", async || {
        look(&api, worker.id).await;
        worker.beat_stuck().await["stop"]["reason"].as_str().map(str::to_owned)
    })
    .await;
    assert!(reason.contains("have cost 0.12 US dollars (at most 0.10"), "{reason}");
    kill_worker(&api, worker.id).await;
    let spec = api.until_spec(launched.spec.id, "failed").await;
    assert_eq!(spec["reason"], "budget_exceeded", "{spec}");
    let remedy = format!("`specwright reset-breaker {}`", launched.spec.id);
    assert!(spec["message"].as_str().unwrap().contains(&remedy), "{spec}");
    let execute = format!("/api/v1/specs/{}/execute", launched.spec.id);
    let (status, problem) = api.post(&execute, &json!({})).await;
    assert_eq!((status, &problem["type"]), (409, &json!("breaker-open")), "{problem}");
    api.end().await;
}

#[tokio::test]
async fn one_of_three_replicas_does_a_duty_and_another_takes_over() {
    let first = with(|_| ()).await;
    let holders = async |api: &Running| {
        let (_, duties) = api.get("/api/v1/duties").await;
        let duties = duties.as_array()?.clone();
        let all = duties.len() == super::Duty::ALL.len()
            && duties.iter().all(|duty| duty["holder"].is_string());
        let failed = duties.iter().find(|duty| duty.get("failed").is_some());
        assert_eq!(failed, None);
        all.then(|| duties.iter().map(|duty| duty["holder"].clone()).collect::<Vec<_>>())
    };
    let before = until("every duty has a holder", async || holders(&first).await).await;
    let (second, third) = (first.beside().await, first.beside().await);
    assert_eq!(holders(&third).await, Some(before.clone()), "who holds it goes on");
    first.end().await;
    second.end().await;
    let after = until("the one that is left has taken all over", async || {
        holders(&third).await.filter(|after| after.iter().all(|holder| *holder == after[0]))
    })
    .await;
    assert!(before.iter().all(|holder| *holder != after[0]), "{before:?}");
    third.end().await;
}
