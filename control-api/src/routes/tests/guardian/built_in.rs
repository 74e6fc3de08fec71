//! The guardian that is built in.

use serde_json::{Value, json};

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
