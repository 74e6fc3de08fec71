//! The guardian that is built in.

use serde_json::{Value, json};
use specwright_shared::phase::Phase;
use uuid::Uuid;

use super::{Scene, call};
use crate::testing::worker::Worker;
use crate::testing::{Running, until};

#[tokio::test]
async fn the_built_in_guardian_nudges_a_loop_once_through_the_same_door() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    let mut worker = Worker::hello(&api, scene.launched.sandbox_id).await;
    for _ in 0..6 {
        call(&mut worker, "make", false, "nothing to do").await;
    }
    scene.settings(&json!({ "on": true, "observe_s": 1, "gap_s": 0 })).await;
    let made = until("the built-in guardian intervenes", async || {
        scene.events("guardian.intervened").await.first().cloned()
    })
    .await;
    assert_eq!(
        (&made["data"]["kind"], &made["data"]["by"]),
        (&json!("nudge"), &json!("built-in guardian"))
    );
    let (_, page) = api.get(&scene.path).await;
    let text = page["items"][0]["message"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("6 times: Bash make"), "{text}");
    assert_eq!(scene.judged().await["assessment"]["outcome"], "no_effect", "it was never seen");
    // What it saw before is no reason for another one.
    scene.settings(&json!({ "on": true, "observe_s": 1, "gap_s": 0 })).await;
    for _ in 0..6 {
        call(&mut worker, "make", false, "nothing to do").await;
    }
    scene.settings(&json!({ "on": true, "observe_s": 1, "gap_s": 0 })).await;
    let kinds = until("it goes one step further", async || {
        let events = scene.events("guardian.intervened").await;
        let kinds: Vec<Value> = events.iter().map(|event| event["data"]["kind"].clone()).collect();
        (kinds.len() > 1).then_some(kinds)
    })
    .await;
    assert_eq!(kinds, ["nudge", "interrupt"]);
    api.end().await;
}

#[tokio::test]
async fn each_of_its_other_rules_reaches_the_run_through_the_same_door() {
    let api = Running::with_waiting_worker().await;
    for rule in ["storm", "writes", "spend"] {
        let scene = Scene::new(&api).await;
        let mut worker = Worker::hello(&api, scene.launched.sandbox_id).await;
        let phase = Some(Phase::Explore);
        let (reason, evidence) = match rule {
            "storm" => {
                for file in 0..8 {
                    call(&mut worker, &format!("cat {file}"), true, "denied").await;
                }
                ("one call after the other fails", "8 in a row, the last one: Bash: denied")
            }
            "writes" => {
                let file = json!({ "path": "src/a.rs", "change": "modified" });
                let file = worker.event("agent.file_edited", phase, file);
                worker.report(&[file]).await;
                ("files are changed in a phase that only plans", "1 changes in the phase explore")
            }
            _ => {
                let spent = json!({ "call_id": Uuid::now_v7(), "counted_usd": 1.5 });
                let spent = worker.event("agent.model_call", phase, spent);
                worker.report(&[spent]).await;
                ("money is spent and nothing new comes of it", "1.50 USD since anything new")
            }
        };
        scene.settings(&json!({ "on": true })).await;
        let made = until("the built-in guardian intervenes", async || {
            api.get(&scene.path).await.1["items"].as_array()?.first().cloned()
        })
        .await;
        let of = |field: &str| made[field].as_str().unwrap().to_owned();
        assert_eq!((of("by"), of("kind")), ("built-in guardian".into(), "nudge".into()), "{rule}");
        assert_eq!((of("reason"), of("evidence")), (reason.into(), evidence.into()), "{rule}");
        let poll = format!("/api/v1/sandboxes/{}/messages/poll?after=0&wait_ms=0", worker.id);
        let (_, polled) = api.request("GET", &poll, &worker.token, None::<&()>).await;
        let text = polled["messages"][0]["text"].as_str().unwrap();
        assert!(text.contains(evidence), "{rule}: {text}");
    }
    api.end().await;
}
