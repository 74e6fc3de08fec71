//! Events in JSON pages: how much one holds.

use serde_json::json;
use specwright_shared::wire::sandbox::BATCH_MAX_EVENTS;

use super::{event, table};
use crate::testing::Running;
use crate::testing::worker::Worker;

#[tokio::test]
async fn a_page_of_large_events_ends_early_and_the_next_goes_on_there() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let large = |seq| event(seq, "x.large", None, json!({ "text": "x".repeat(200_000) }));
    worker.send(&(1..=12).map(large).collect::<Vec<_>>()).await;
    for path in [
        format!("/api/v1/specs/{}/events", launched.spec.id),
        format!("/api/v1/sandboxes/{}/events", launched.sandbox_id),
        "/api/v1/events".to_owned(),
    ] {
        let (status, page) = api.get(&format!("{path}?limit=1000")).await;
        assert_eq!(status, 200, "{page}");
        let first = page["items"].as_array().unwrap().len();
        assert!((1..12).contains(&first), "{first} of 12");
        let seqs: Vec<u64> = table(&api, &path)
            .await
            .iter()
            .filter(|event| event["type"] == "x.large")
            .map(|event| event["seq"].as_u64().unwrap())
            .collect();
        assert_eq!(seqs, (1..=12).collect::<Vec<_>>(), "{path}");
        let (status, refused) = api.get(&format!("{path}?limit=1001")).await;
        assert_eq!(status, 422, "{refused}");
    }
    api.end().await;
}

#[tokio::test]
async fn a_search_that_waits_goes_on_through_all_that_is_there() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let before: Vec<_> = (1..=6_000).map(|seq| event(seq, "x.before", None, json!({}))).collect();
    for some in before.chunks(BATCH_MAX_EVENTS) {
        worker.send(some).await;
    }
    worker.send(&[event(6_001, "x.sought", None, json!({}))]).await;
    let path = format!("/api/v1/specs/{}/events?type=x.sought&wait_ms=25000", launched.spec.id);
    let (_, first) = api.get(&path).await;
    assert!(first["items"].as_array().unwrap().is_empty(), "a look has a bound");
    let (_, next) = api.get(&format!("{path}&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!(next["items"][0]["seq"], 6_001);
    api.end().await;
}
