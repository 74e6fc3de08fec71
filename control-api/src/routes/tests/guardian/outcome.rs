//! What came of an intervention, judged from what the run did before and since.

use serde_json::json;

use super::{Scene, call, nudge, receipt};
use crate::testing::Running;
use crate::testing::worker::Worker;

#[tokio::test]
async fn a_nudge_becomes_a_message_with_receipts_an_event_and_later_an_outcome() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    scene.settings(&json!({ "observe_s": 5 })).await;
    let mut worker = Worker::hello(&api, scene.launched.sandbox_id).await;
    for _ in 0..6 {
        call(&mut worker, "make", true, "no rule").await;
    }
    let (status, _, made) = scene.intervene("k-1", &nudge()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(
        (&made["by"], &made["message"]["kind"]),
        (&json!("owner"), &json!("guardian_nudge"))
    );
    assert_eq!(made["message"]["status"], "queued");
    let poll = format!("/api/v1/sandboxes/{}/messages/poll?after=0&wait_ms=0", worker.id);
    let (_, polled) = api.request("GET", &poll, &worker.token, None::<&()>).await;
    assert_eq!(polled["messages"][0]["text"], "Stop.", "the worker gets it");
    receipt(&mut worker, &made, "seen").await;
    for file in ["a", "b", "c"] {
        call(&mut worker, &format!("cat {file}"), false, file).await;
    }
    let judged = scene.judged().await;
    let assessment = &judged["assessment"];
    assert_eq!(assessment["outcome"], "helped", "{judged}");
    assert_eq!(
        (&assessment["before"]["failed"], &assessment["after"]["calls"]),
        (&json!(6), &json!(3))
    );
    assert_eq!(judged["message"]["status"], "seen");
    assert_eq!(scene.events("guardian.intervened").await[0]["data"]["reason"], "It loops.");
    let outcome = scene.events("guardian.outcome").await;
    assert_eq!(outcome.len(), 1);
    assert_eq!(outcome[0]["data"]["assessment"], *assessment);
    api.end().await;
}

#[tokio::test]
async fn an_agent_that_fails_more_since_a_nudge_than_before_it_is_worse_off() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    scene.settings(&json!({ "observe_s": 5 })).await;
    let mut worker = Worker::hello(&api, scene.launched.sandbox_id).await;
    for file in ["a", "b", "c"] {
        call(&mut worker, &format!("cat {file}"), false, file).await;
    }
    let (status, _, made) = scene.intervene("k-1", &nudge()).await;
    assert_eq!(status, 201, "{made}");
    receipt(&mut worker, &made, "seen").await;
    for _ in 0..4 {
        call(&mut worker, "make", true, "no rule").await;
    }
    let judged = scene.judged().await;
    let assessment = &judged["assessment"];
    assert_eq!(assessment["outcome"], "worse", "{judged}");
    assert_eq!(
        (&assessment["before"]["failed"], &assessment["after"]["failed"]),
        (&json!(0), &json!(4))
    );
    assert_eq!(scene.events("guardian.outcome").await[0]["data"]["assessment"], *assessment);
    api.end().await;
}

#[tokio::test]
async fn what_a_run_that_crashes_was_asked_for_has_not_helped() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    scene.settings(&json!({ "gap_s": 0 })).await;
    let worker = Worker::hello(&api, scene.launched.sandbox_id).await;
    let stop = json!({ "kind": "stop", "reason": "Because.", "evidence": "x" });
    assert_eq!(scene.intervene("k", &stop).await.0, 201);
    let cancel = format!("/api/v1/specs/{}/cancel", scene.launched.spec.id);
    assert_eq!(api.post(&cancel, &json!({ "force": true })).await.0, 200);
    let judged = scene.judged().await;
    assert_eq!(judged["assessment"]["outcome"], "no_effect", "{judged}");
    assert_eq!(worker.id, scene.launched.sandbox_id);
    api.end().await;
}
