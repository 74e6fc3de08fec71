//! Ingest over the real wire: every rule of the module's head.

mod killed;
mod order;
mod refused;
mod replicas;
mod runs;

use serde_json::{Value, json};
use specwright_shared::documents::Document;
use specwright_shared::phase::Phase;

use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running, documents};

async fn positions(api: &Running, spec: impl std::fmt::Display) -> Vec<(u64, String)> {
    let (_, page) = api.get(&format!("/api/v1/specs/{spec}/events?limit=200")).await;
    let item = |item: &Value| {
        (item["position"].as_u64().unwrap(), item["type"].as_str().unwrap().to_owned())
    };
    page["items"].as_array().unwrap().iter().map(item).collect()
}

/// Reports every phase up to one as completed.
async fn complete_until(worker: &mut Worker<'_>, last: Phase) {
    for phase in Phase::ALL.into_iter().filter(|phase| *phase <= last) {
        let started = worker.event("spec.phase_started", Some(phase), json!({ "max_attempts": 3 }));
        let completed = worker.completed(phase, documents::of(phase).as_ref());
        worker.report(&[started, completed]).await;
    }
}

fn execution_completed(worker: &mut Worker<'_>) -> specwright_shared::wire::event::RawEvent {
    let data = json!({ "phases_completed": [], "cost_usd": 0.0, "duration_ms": 9 });
    worker.event("spec.execution_completed", None, data)
}

fn execution_failed(worker: &mut Worker<'_>) -> specwright_shared::wire::event::RawEvent {
    let data = json!({
        "outcome": "agent_error", "failed_phase": null, "message": "broke", "cost_usd": 0.0,
        "duration_ms": 1,
    });
    worker.event("spec.execution_failed", None, data)
}

#[tokio::test]
async fn where_there_is_a_ledger_its_calls_are_the_cost_and_the_agents_figure_is_not_added() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({ "agent": "claude" })).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let call = json!({ "call_id": uuid::Uuid::nil(), "cost_usd": 0.25, "counted_usd": 0.25 });
    let call = worker.event("agent.model_call", Some(Phase::Explore), call);
    let unknown = json!({ "call_id": uuid::Uuid::max(), "cost_usd": null, "counted_usd": 0.5 });
    let unknown = worker.event("agent.model_call", Some(Phase::Explore), unknown);
    let turn = json!({
        "subtype": "success", "is_error": false, "terminal_reason": null, "structured_output": true,
        "num_turns": 1, "cost_usd": 7.0, "ledger_usd": 0.25, "input_tokens": 1, "output_tokens": 1,
        "cache_read_tokens": 0, "cache_write_tokens": 0, "duration_ms": 1,
    });
    let turn = worker.event("agent.completed", Some(Phase::Explore), turn);
    worker.report(&[call, unknown, turn]).await;
    let (_, seen) = api.get(&format!("/api/v1/specs/{}", launched.spec.id)).await;
    assert_eq!(seen["cost_usd"], 0.25);
    api.end().await;
}

#[tokio::test]
async fn the_owners_token_is_in_nothing_that_is_stored() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let spec = launched.spec.id;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let said = json!({ "message": format!("I read {OWNER_TOKEN}") });
    let known = worker.event("spec.progress", None, said.clone());
    let newer = worker.event("someone.newer", None, said);
    worker.report(&[known, newer]).await;
    // An output is judged by the worker's digest of what it has, and kept without the token.
    let mut explore = documents::of(Phase::Explore).unwrap().to_value();
    explore["codebase_summary"] = json!(format!("The token is {OWNER_TOKEN}."));
    let explore = Document::parse(Phase::Explore, &explore).unwrap();
    let completed = worker.completed(Phase::Explore, Some(&explore));
    let mut false_digest = completed.clone();
    false_digest.data["digest"] = json!("00");
    let (status, problem) = worker.send(&[false_digest]).await;
    assert_eq!((status, &problem["type"]), (422, &json!("gate-refused")), "{problem}");
    worker.report(&[completed]).await;

    let (_, phase) = api.get(&format!("/api/v1/specs/{spec}/phases/explore")).await;
    assert_eq!(phase["status"], "accepted");
    assert_eq!(phase["output"]["codebase_summary"], "The token is [redacted].");
    let kept = Document::parse(Phase::Explore, &phase["output"]).unwrap();
    assert_eq!(phase["digest"], kept.digest());
    let (_, events) = api.get(&format!("/api/v1/specs/{spec}/events?limit=200")).await;
    let events = events.to_string();
    assert!(!events.contains(OWNER_TOKEN) && events.contains("I read [redacted]"), "{events}");
    assert!(events.contains(&kept.digest()), "{events}");
    // What comes behind it goes on from what is kept.
    let next = documents::of(Phase::Requirements);
    let next = worker.completed(Phase::Requirements, next.as_ref());
    worker.report(&[next]).await;
    let mut holds = 0;
    for name in ["specwright.db", "specwright.db-wal"] {
        let stored = std::fs::read(api.config.data_dir.join(name)).unwrap();
        let has = |text: &str| stored.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!has(OWNER_TOKEN), "{name}");
        holds += usize::from(has("I read [redacted]"));
    }
    assert!(holds > 0, "it was looked for where events are");
    api.end().await;
}
