//! What a run comes to: documents, tickets, a draft that goes on, phases that are done again.

use serde_json::{Value, json};
use specwright_shared::phase::Phase;

use super::{complete_until, execution_completed, positions};
use crate::testing::worker::Worker;
use crate::testing::{Running, documents};

#[tokio::test]
async fn a_whole_run_becomes_a_completed_spec_with_tickets() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({ "agent": "rehearsal" })).await;
    let spec = launched.spec.id;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    assert_eq!(worker.welcome.generation, 1);
    let started = json!({
        "title": "t", "phases": ["explore"], "agent": "rehearsal", "model": null,
        "worker_version": "0", "commit": null, "max_attempts": 3, "phase_timeout_secs": 60,
        "max_budget_usd": null, "rehearsal": true,
    });
    let started = worker.event("spec.execution_started", None, started);
    let turn = json!({
        "subtype": "success", "is_error": false, "terminal_reason": null, "structured_output": true,
        "num_turns": 1, "cost_usd": 0.125, "input_tokens": 1, "output_tokens": 1,
        "cache_read_tokens": 0, "cache_write_tokens": 0, "duration_ms": 1,
    });
    let turn = worker.event("agent.completed", Some(Phase::Explore), turn);
    worker.report(&[started, turn]).await;
    complete_until(&mut worker, Phase::Complete).await;
    let document = json!({
        "name": "design.md", "media_type": "text/markdown", "path": "/x/design.md",
        "sha256": "00", "bytes": 3, "content": "a\u{0}b",
    });
    let document = worker.event("spec.artifact_created", Some(Phase::Design), document);
    let end = execution_completed(&mut worker);
    worker.report(&[document, end]).await;

    let (_, seen) = api.get(&format!("/api/v1/specs/{spec}")).await;
    assert_eq!(seen["status"], "completed");
    assert_eq!(seen["cost_usd"], 0.125);
    assert_eq!(seen["coverage"], json!({ "requirements": 2, "covered": 2 }));
    assert_eq!(seen["sandbox_id"], Value::Null);
    let (_, sandbox) = api.get(&format!("/api/v1/sandboxes/{}", launched.sandbox_id)).await;
    assert_eq!((&sandbox["state"], &sandbox["outcome"]), (&json!("ended"), &json!("succeeded")));

    let (_, tickets) = api.get(&format!("/api/v1/tickets?spec_id={spec}")).await;
    let tickets = tickets["items"].as_array().unwrap();
    assert_eq!(tickets.len(), 2);
    assert_eq!(tickets[1]["depends_on"], json!([tickets[0]["id"]]));
    assert_eq!(tickets[1]["tasks"][0]["depends_on"], json!([tickets[0]["tasks"][0]["id"]]));
    assert_eq!((&tickets[0]["owner"], &tickets[0]["rehearsal"]), (&json!("owner"), &json!(true)));
    let (_, board) = api.get("/api/v1/board").await;
    assert_eq!(board["columns"][0]["tickets"].as_array().unwrap().len(), 2);
    the_board_comes_in_pages(&api, &board).await;
    let (_, coverage) = api.get(&format!("/api/v1/specs/{spec}/coverage")).await;
    assert_eq!(coverage["totals"]["covered"], 2);
    let (_, document) = api.get(&format!("/api/v1/specs/{spec}/documents/design.md")).await;
    assert_eq!(document["content"], "a\u{FFFD}b");
    let (_, phase) = api.get(&format!("/api/v1/specs/{spec}/phases/design")).await;
    assert_eq!((&phase["status"], &phase["attempts"]), (&json!("accepted"), &json!(1)));
    assert_eq!(phase["output"]["feature_name"], "rate-limit");

    let events = positions(&api, spec).await;
    assert!(events.iter().zip(1..).all(|((position, _), expected)| *position == expected));
    assert_eq!(events.iter().filter(|(_, kind)| kind == "spec.tickets_created").count(), 1);
    // Terminal is final.
    let late = worker.event("spec.progress", None, json!({ "message": "late" }));
    let (status, answer) = worker.send(&[late]).await;
    assert_eq!((status, &answer["ended"]), (200, &json!(true)));
    assert_eq!(api.get(&format!("/api/v1/specs/{spec}")).await.1["status"], "completed");
    api.end().await;
}

/// A board whose first column holds two tickets.
async fn the_board_comes_in_pages(api: &Running, whole: &Value) {
    let (_, first) = api.get("/api/v1/board?limit=1").await;
    let [first, waiting] = [&first["columns"][0], &whole["columns"][0]["tickets"]];
    assert_eq!(first["tickets"], json!([waiting[0]]));
    let next = first["next"].as_str().unwrap();
    let path = format!("/api/v1/board?limit=1&phase=PHASE_INITIAL&after={next}");
    let (_, second) = api.get(&path).await;
    let column = json!({ "phase": "PHASE_INITIAL", "tickets": [waiting[1]] });
    assert_eq!(second, json!({ "columns": [column] }), "the last page of this column alone");
    for (query, word) in [("after=x", "`phase`"), ("phase=PHASE_INITIAL&after=x", "`after`")] {
        let (status, problem) = api.get(&format!("/api/v1/board?{query}")).await;
        assert_eq!((status, &problem["type"]), (422, &json!("invalid-request")));
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
}

#[tokio::test]
async fn sync_twice_makes_tickets_once() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let spec = launched.spec.id;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    complete_until(&mut worker, Phase::Sync).await;
    let (_, before) = api.get(&format!("/api/v1/tickets?spec_id={spec}")).await;
    let again = worker.completed(Phase::Sync, documents::of(Phase::Sync).as_ref());
    worker.report(&[again]).await;
    let (_, after) = api.get(&format!("/api/v1/tickets?spec_id={spec}")).await;
    assert_eq!(before, after);
    let (_, events) = api.get(&format!("/api/v1/specs/{spec}/events?limit=200")).await;
    let made = events["items"].as_array().unwrap().last().unwrap();
    assert_eq!(made["type"], "spec.tickets_created");
    assert_eq!(
        made["data"],
        json!({ "tickets_created": 0, "tickets_updated": 2, "tasks_created": 0, "tasks_updated": 2 })
    );
    api.end().await;
}

#[tokio::test]
async fn a_run_that_was_to_stop_early_leaves_a_draft_and_goes_on_from_there() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({ "until": "requirements" })).await;
    let spec = launched.spec.id;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    complete_until(&mut worker, Phase::Requirements).await;
    let end = execution_completed(&mut worker);
    worker.report(&[end]).await;
    let seen = api.until_spec(spec, "draft").await;
    assert_eq!(seen["current_phase"], "design");

    let (status, launched) = api.post(&format!("/api/v1/specs/{spec}/execute"), &json!({})).await;
    assert_eq!(status, 202, "{launched}");
    let sandbox = launched["sandbox_id"].as_str().unwrap().parse().unwrap();
    let worker = Worker::hello(&api, sandbox).await;
    let specwright_shared::wire::sandbox::Job::Spec(job) = &worker.welcome.job else {
        panic!("{:?}", worker.welcome.job)
    };
    assert_eq!((job.start, job.until), (Phase::Design, Phase::Complete));
    assert!(job.accepted.has(Phase::Requirements) && !job.accepted.has(Phase::Design));
    api.end().await;
}

#[tokio::test]
async fn retries_failures_and_receipts_reach_their_records() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let messages = format!("/api/v1/sandboxes/{}/messages", launched.sandbox_id);
    let said = json!({ "kind": "user_message", "text": "hello", "deliver": "now" });
    let (_, message) = api.post(&messages, &said).await;
    let finding = json!({
        "severity": "error", "code": "not_ears", "where": "requirements[0]", "message": "m", "fix": "f",
    });
    let explore = Some(Phase::Explore);
    let started = worker.event("spec.phase_started", explore, json!({ "max_attempts": 3 }));
    let retry = worker.event("spec.phase_retry", explore, json!({
        "attempt": 1, "max_attempts": 3, "reason": "gate_rejected", "message": "m", "score": 0.2,
        "findings": [finding],
    }));
    let seen = worker.event(
        "agent.message_injected",
        explore,
        json!({ "message_id": message["id"], "status": "seen" }),
    );
    worker.report(&[started, retry, seen]).await;
    let phase = format!("/api/v1/specs/{}/phases/explore", launched.spec.id);
    let (_, record) = api.get(&phase).await;
    assert_eq!((&record["status"], &record["attempts"]), (&json!("running"), &json!(2)));
    assert_eq!(record["findings"], json!([finding]));
    assert_eq!(api.get(&messages).await.1["items"][0]["status"], "seen");

    let failed = worker.event(
        "spec.phase_failed",
        explore,
        json!({
            "attempts": 3, "reason": "timed_out", "message": "m", "duration_ms": 9, "cost_usd": 0.5,
            "findings": [],
        }),
    );
    worker.report(&[failed]).await;
    let (_, record) = api.get(&phase).await;
    assert_eq!((&record["status"], &record["attempts"]), (&json!("failed"), &json!(3)));
    assert_eq!((&record["cost_usd"], &record["duration_ms"]), (&json!(0.5), &json!(9)));
    let nameless = worker.event("spec.phase_started", None, json!({ "max_attempts": 3 }));
    let (status, problem) = worker.send(&[nameless]).await;
    assert_eq!((status, &problem["type"]), (422, &json!("invalid-event")), "it says no phase");
    api.end().await;
}

#[tokio::test]
async fn going_back_sets_later_outputs_aside() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let spec = launched.spec.id;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    complete_until(&mut worker, Phase::Complete).await;
    let end = execution_completed(&mut worker);
    worker.report(&[end]).await;
    let execute = format!("/api/v1/specs/{spec}/execute");
    let (status, problem) = api.post(&execute, &json!({})).await;
    assert_eq!((status, &problem["type"]), (409, &json!("illegal-transition")));
    let (status, problem) =
        api.post(&execute, &json!({ "from": "design", "until": "explore" })).await;
    assert_eq!((status, &problem["type"]), (422, &json!("invalid-request")));
    let (status, launched) = api.post(&execute, &json!({ "from": "design" })).await;
    assert_eq!(status, 202, "{launched}");
    assert_eq!(launched["spec"]["current_phase"], "design");
    assert_eq!(launched["spec"].get("coverage"), None);
    let (_, phases) = api.get(&format!("/api/v1/specs/{spec}/phases")).await;
    let statuses: Vec<&Value> =
        phases["items"].as_array().unwrap().iter().map(|phase| &phase["status"]).collect();
    assert_eq!(statuses, ["accepted", "accepted", "pending", "pending", "pending", "pending"]);
    api.end().await;
}
