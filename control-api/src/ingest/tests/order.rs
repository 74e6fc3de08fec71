//! Facts keep their order and are there once: replays, clocks, late ones, many at once.

use serde_json::json;
use specwright_shared::phase::Phase;

use super::{complete_until, execution_failed, positions};
use crate::testing::worker::{Worker, event};
use crate::testing::{Running, documents};

#[tokio::test]
async fn a_clock_that_was_set_back_an_hour_changes_no_order_and_loses_nothing() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let before = worker.event("spec.progress", None, json!({ "message": "before" }));
    worker.report(std::slice::from_ref(&before)).await;
    let mut after = worker.event("spec.progress", None, json!({ "message": "after" }));
    let hour = 3_600_000_000;
    after.at = specwright_shared::time::Timestamp::from_micros(before.at.as_micros() - hour);
    let mut end = execution_failed(&mut worker);
    end.at = after.at;
    worker.report(&[after, end]).await;
    let spec = launched.spec.id;
    let (_, page) = api.get(&format!("/api/v1/specs/{spec}/events?limit=200")).await;
    let said: Vec<_> = page["items"].as_array().unwrap().iter().collect();
    let messages: Vec<_> = said.iter().take(2).map(|one| &one["data"]["message"]).collect();
    assert_eq!(messages, ["before", "after"]);
    let positions: Vec<_> = said.iter().map(|one| one["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=said.len() as u64).collect::<Vec<_>>());
    api.until_spec(spec, "failed").await;
    api.end().await;
}

#[tokio::test]
async fn a_replayed_batch_gets_the_same_answer_and_changes_nothing() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let one = worker.event("spec.progress", None, json!({ "message": "one" }));
    let newer = worker.event("someone.newer", None, json!({ "unknown": ["shape"] }));
    let batch = [one, newer];
    worker.report(&batch).await;
    worker.report(&batch).await;
    // Overlapping: the known part is dropped, the new part is taken.
    let three = worker.event("spec.progress", None, json!({ "message": "three" }));
    worker.report(&[batch[1].clone(), three.clone()]).await;
    let kinds: Vec<_> = positions(&api, launched.spec.id).await;
    assert_eq!(kinds.len(), 3);
    assert_eq!(kinds[1].1, "someone.newer", "unknown types are stored");

    // After the end a replay still gets its answer.
    let failed = json!({
        "outcome": "agent_error", "failed_phase": "explore", "message": "broke", "cost_usd": 0.0,
        "duration_ms": 1,
    });
    let end = worker.event("spec.execution_failed", Some(Phase::Explore), failed);
    worker.report(std::slice::from_ref(&end)).await;
    worker.report(&[three, end]).await;
    let spec = api.until_spec(launched.spec.id, "failed").await;
    assert_eq!((&spec["reason"], &spec["message"]), (&json!("agent_error"), &json!("broke")));
    api.end().await;
}

#[tokio::test]
async fn late_facts_are_kept_once_and_in_order_and_change_nothing() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let spec = launched.spec.id;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    complete_until(&mut worker, Phase::Explore).await;
    let cancel = json!({ "force": true, "reason": "enough" });
    let (status, _) = api.post(&format!("/api/v1/specs/{spec}/cancel"), &cancel).await;
    assert_eq!(status, 200);
    let before = api.get(&format!("/api/v1/specs/{spec}")).await.1;
    let stored = positions(&api, spec).await.len();

    // It comes back: it has gone on, spent money and come to its end.
    let requirements = Some(Phase::Requirements);
    let started = worker.event("spec.phase_started", requirements, json!({ "max_attempts": 3 }));
    let document = documents::of(Phase::Requirements);
    let completed = worker.completed(Phase::Requirements, document.as_ref());
    let call = json!({ "call_id": uuid::Uuid::nil(), "cost_usd": 0.25, "counted_usd": 0.25 });
    let call = worker.event("agent.model_call", requirements, call);
    let failed = json!({
        "outcome": "agent_error", "failed_phase": "design", "message": "broke", "cost_usd": 0.0,
        "duration_ms": 1,
    });
    let end = worker.event("spec.execution_failed", requirements, failed);
    let late = [started, completed, call, end];
    for _ in 0..2 {
        let (status, answer) = worker.send(&late).await;
        let acked = worker.welcome.acked + 6;
        assert_eq!((status, answer), (200, json!({ "acked": acked, "ended": true })));
    }

    let kinds: Vec<String> =
        positions(&api, spec).await.into_iter().skip(stored).map(|(_, kind)| kind).collect();
    let sent: Vec<&str> = late.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, sent);
    let mut after = api.get(&format!("/api/v1/specs/{spec}")).await.1;
    for counts in ["updated_at", "events"] {
        after[counts] = before[counts].clone();
    }
    assert_eq!(after, before);
    let (_, phase) = api.get(&format!("/api/v1/specs/{spec}/phases/requirements")).await;
    assert_eq!(phase["status"], "pending");
    // Nor does a hello bring it back to life: there is nothing to do but to deliver.
    let newer = Worker::hello(&api, launched.sandbox_id).await;
    assert_eq!(newer.welcome.job, specwright_shared::wire::sandbox::Job::Deliver);
    let (_, sandbox) = api.get(&format!("/api/v1/sandboxes/{}", launched.sandbox_id)).await;
    assert_eq!((&sandbox["state"], &sandbox["outcome"]), (&json!("ended"), &json!("cancelled")));
    // Fenced off is fenced off, ended or not.
    let (status, problem) = worker.send(&late).await;
    assert_eq!((status, &problem["type"]), (409, &json!("fenced")));
    api.end().await;
}

#[tokio::test]
async fn batches_that_come_at_once_share_commits_and_nothing_else() {
    let api = Running::with_waiting_worker().await;
    let mut workers = Vec::new();
    for _ in 0..6 {
        let launched = api.launch(json!({})).await;
        workers.push((launched.spec.id, Worker::hello(&api, launched.sandbox_id).await));
    }
    let sent = workers.iter_mut().enumerate().map(|(number, (_, worker))| async move {
        for round in 1..=10_u64 {
            let good = worker.event("spec.progress", None, json!({ "message": "x" }));
            // Every other worker's batch comes twice at once, the rest's beside a broken one.
            let beside = if number % 2 == 0 {
                good.clone()
            } else {
                event(round, "spec.phase_started", None, json!({ "max_attempts": "many" }))
            };
            let (of_good, of_beside) = if number % 2 == 0 {
                let (good, beside) = ([good], [beside]);
                tokio::join!(worker.send(&good), worker.send(&beside))
            } else {
                let of_beside = worker.send(&[beside]).await;
                (worker.send(&[good]).await, of_beside)
            };
            assert_eq!((of_good.0, &of_good.1["acked"]), (200, &json!(round)), "{}", of_good.1);
            if number % 2 == 0 {
                assert_eq!(of_good, of_beside, "a replay gets the same answer");
            } else {
                assert_eq!((of_beside.0, &of_beside.1["seq"]), (422, &json!(round)));
            }
        }
    });
    futures_util::future::join_all(sent).await;
    for (spec, _) in &workers {
        let expected: Vec<_> =
            (1..=10).map(|position| (position, "spec.progress".into())).collect();
        assert_eq!(positions(&api, spec).await, expected);
    }
    api.end().await;
}
