//! What a guardian is shown of a run: bounded, the same until something happens.

use serde_json::json;
use specwright_shared::phase::Phase;

use super::{Scene, call, excerpt, nudge};
use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running, until};

#[tokio::test]
async fn the_trajectory_of_a_long_run_is_bounded_says_what_it_leaves_out_and_shows_the_verdict() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    let mut worker = Worker::hello(&api, scene.launched.sandbox_id).await;
    for _ in 0..13 {
        let mut batch = Vec::new();
        for number in 0..100 {
            let said = json!({ "content": excerpt(&format!("step {number}")) });
            batch.push(worker.event("agent.message", Some(Phase::Explore), said));
        }
        worker.report(&batch).await;
    }
    worker.beat_stuck().await;
    let path = format!("/api/v1/sandboxes/{}", worker.id);
    let trajectory = until("the verdict is shown", async || {
        // The duty looks.
        api.post(&format!("{path}/release"), &json!({})).await;
        let trajectory = scene.trajectory("").await;
        (trajectory["verdict"]["verdict"]["kind"] == "stuck").then_some(trajectory)
    })
    .await;
    let fact = &trajectory["verdict"]["verdict"]["evidence"][0];
    assert_eq!((&fact["limit_ms"], fact["age_ms"].is_u64()), (&json!(900_000), true), "{fact}");
    // 1,300 events: the newest 768, in whole blocks of 256.
    assert_eq!(trajectory["begins"], 513);
    assert!(trajectory.to_string().len() <= specwright_shared::trajectory::MAX_BYTES);
    let left_out = trajectory["left_out_to"].as_u64().unwrap();
    let first = trajectory["steps"][0]["seq"].as_u64().unwrap();
    assert!(left_out >= 512 && first > left_out, "{left_out} {first}");
    let behind = scene.trajectory("?since=100").await;
    assert_eq!(behind["left_out_to"], left_out, "there were steps behind the cursor");
    let near = scene.trajectory(&format!("?since={left_out}")).await;
    assert_eq!((near.get("left_out_to"), &near["steps"]), (None, &trajectory["steps"]));
    api.end().await;
}

#[tokio::test]
async fn a_trajectory_has_the_same_bytes_until_something_happens() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    let mut worker = Worker::hello(&api, scene.launched.sandbox_id).await;
    let started = json!({
        "title": "t", "phases": ["explore"], "agent": "claude", "model": null, "worker_version": "1",
        "commit": null, "max_attempts": 3, "phase_timeout_secs": 9, "max_budget_usd": 2.5,
        "rehearsal": false,
    });
    let started = worker.event("spec.execution_started", None, started);
    let phase = Some(Phase::Explore);
    let begun = worker.event("spec.phase_started", phase, json!({ "max_attempts": 3 }));
    worker.report(&[started, begun]).await;
    for _ in 0..3 {
        call(&mut worker, "make", true, "no rule").await;
    }
    let trajectory = scene.trajectory("").await;
    assert_eq!(trajectory["goal"], "Limit each client to 100 requests a minute");
    assert_eq!(trajectory["plan"][0]["status"], "running");
    assert_eq!(trajectory["spend"]["budget_usd"], 2.5);
    assert_eq!(trajectory["errors"][0]["times"], 3);
    let steps = trajectory["steps"].as_array().unwrap();
    assert!(
        steps.last().unwrap()["text"].as_str().unwrap().contains("error, 3 times"),
        "{steps:?}"
    );

    let url = format!("{}/api/v1/sandboxes/{}/trajectory", api.base, worker.id);
    let ask = async |etag: &str| {
        let request = api.http.get(&url).bearer_auth(OWNER_TOKEN).header("if-none-match", etag);
        let answer = request.send().await.unwrap();
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), etag)
    };
    let (status, etag) = ask("\"none\"").await;
    assert_eq!(status, 200);
    assert_eq!(ask(&etag).await, (304, etag.clone()), "nothing has happened");
    let next = trajectory["next"].as_str().unwrap();
    assert_eq!(scene.trajectory(&format!("?since={next}")).await["steps"], json!([]));
    call(&mut worker, "ls", false, "src").await;
    assert_eq!(ask(&etag).await.0, 200);
    let newer = scene.trajectory(&format!("?since={next}")).await;
    assert_eq!(newer["steps"].as_array().unwrap().len(), 1);
    assert!(newer["steps"][0]["text"].as_str().unwrap().contains("Bash ls -> ok"), "{newer}");
    assert_eq!(scene.intervene("k", &nudge()).await.0, 201);
    assert_eq!(scene.trajectory("").await["interventions"][0]["receipt"], "queued");
    let (status, _) = api.get(&format!("/api/v1/sandboxes/{}/trajectory?since=x", worker.id)).await;
    assert_eq!(status, 422);
    api.end().await;
}
