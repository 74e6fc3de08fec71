//! Old events are packed by one control API of several, and every route answers as before.

use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use specwright_shared::id::SandboxId;
use specwright_shared::time::Timestamp;
use sse_stream::SseByteStream;

use super::with;
use crate::store::postgres_server::PostgresServer;
use crate::store::{Store, event};
use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running, until};

/// How many events each of two runs reports: several pieces of each.
const EVENTS: u64 = 450;
const DAY: Duration = Duration::from_secs(86_400);

/// Every page of a list: what `after` was asked, and what came.
async fn pages(api: &Running, path: &str) -> Vec<(String, Value)> {
    let (mut pages, mut after) = (Vec::new(), String::new());
    loop {
        let (status, page) = api.get(&format!("{path}?limit=137{after}")).await;
        assert_eq!(status, 200, "{path}{after}: {page}");
        if page["items"].as_array().unwrap().is_empty() {
            return pages;
        }
        let next = format!("&after={}", page["next"].as_str().unwrap());
        pages.push((std::mem::replace(&mut after, next), page["items"].clone()));
    }
}

/// So many events of a stream, each with its id.
async fn streamed(api: &Running, path: &str, after: &str, number: usize) -> Vec<(String, Value)> {
    let request = api.http.get(format!("{}{path}/stream", api.base)).bearer_auth(OWNER_TOKEN);
    let answer = request.header("last-event-id", after).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut frames = SseByteStream::new(answer.bytes_stream().boxed());
    let mut found = Vec::new();
    while found.len() < number {
        let frame = tokio::time::timeout(Duration::from_secs(30), frames.next()).await;
        let frame = frame.expect("a frame in time").unwrap().unwrap();
        if let Some(data) = frame.data {
            assert_eq!(frame.event, None, "{data}");
            found.push((frame.id.unwrap(), serde_json::from_str(&data).unwrap()));
        }
    }
    found
}

/// A trajectory, but for the verdict, which has a duty of its own.
async fn trajectory(api: &Running, id: SandboxId) -> Value {
    let (status, mut shown) = api.get(&format!("/api/v1/sandboxes/{id}/trajectory")).await;
    assert_eq!(status, 200, "{shown}");
    shown.as_object_mut().unwrap().remove("verdict");
    shown
}

/// What the duty did, by all who did it.
async fn packed(api: &Running) -> u64 {
    let (_, duties) = api.get("/api/v1/duties").await;
    let of = duties.as_array().unwrap().iter().filter(|duty| duty["name"] == "old_events");
    of.map(|duty| duty["did_total"].as_u64().unwrap()).sum()
}

async fn nobody_can_tell(api: Running) {
    let mut paths = vec!["/api/v1/events".to_owned()];
    let mut sandboxes = Vec::new();
    let (mut numbers, mut runs) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let launched = api.launch(json!({})).await;
        paths.push(format!("/api/v1/specs/{}/events", launched.spec.id));
        paths.push(format!("/api/v1/sandboxes/{}/events", launched.sandbox_id));
        sandboxes.push(launched.sandbox_id);
        runs.push(launched);
    }
    let mut workers = Vec::new();
    for launched in &runs {
        workers.push(Worker::hello(&api, launched.sandbox_id).await);
    }
    for number in 0..EVENTS / 50 {
        for worker in &mut workers {
            let some = (0..50).map(|one| {
                let text = format!("words {number}.{one} {}", "x".repeat(90));
                let content = json!({ "text": text, "bytes": text.len(), "cut": false });
                worker.event("agent.message", None, json!({ "content": content }))
            });
            let some: Vec<_> = some.collect();
            worker.report(&some).await;
        }
    }
    drop(workers);
    let mut before = Vec::new();
    for path in &paths {
        let found = pages(&api, path).await;
        let number: usize = found.iter().map(|(_, items)| items.as_array().unwrap().len()).sum();
        let stream = streamed(&api, path, "0", number).await;
        numbers.push(number);
        before.push((found, stream));
    }
    let shown = [trajectory(&api, sandboxes[0]).await, trajectory(&api, sandboxes[1]).await];
    assert!(shown[0].to_string().contains("words 8.49"), "{}", shown[0]);

    let none = packed(&api).await;
    let mut api = api;
    api.config.events_kept = Some(DAY);
    api.config.end_sandboxes_on_shutdown = true;
    let url = api.config.database_url.clone();
    let api = api
        .restart_after(async || {
            let store = Store::open(&url).await.unwrap();
            let mut write = store.write().await.unwrap();
            let old = Timestamp::from(SystemTime::now()).minus(DAY + DAY);
            event::make_old(&mut write, old).await;
            write.commit().await.unwrap();
            store.close().await;
        })
        .await;
    let others = [api.beside().await, api.beside().await];
    // All of it by one of them, or by one after the other: never twice.
    let all = numbers[0] as u64;
    until("all is packed", async || (packed(&api).await >= all).then_some(())).await;
    assert_eq!((none, packed(&api).await), (0, all), "each once");

    for replica in [&api, &others[0], &others[1]] {
        for ((path, (found, stream)), number) in paths.iter().zip(&before).zip(&numbers) {
            for (after, items) in found {
                let (status, page) = replica.get(&format!("{path}?limit=137{after}")).await;
                assert_eq!(status, 200, "{path} {after}: {page}");
                assert!(page["items"] == *items, "{path} {after}");
            }
            assert!(streamed(replica, path, "0", *number).await == *stream, "{path}");
            let (id, rest) = (&stream[number / 2].0, &stream[number / 2 + 1..]);
            assert!(streamed(replica, path, id, rest.len()).await == rest, "{path} {id}");
        }
        for (id, shown) in sandboxes.iter().zip(&shown) {
            assert_eq!(trajectory(replica, *id).await, *shown);
        }
    }
    for other in others {
        other.end().await;
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_answers_as_before_when_old_events_are_packed_on_sqlite() {
    nobody_can_tell(with(|config| config.end_sandboxes_on_shutdown = false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_answers_as_before_when_old_events_are_packed_on_postgres() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let api = with(|config| {
        config.database_url = server.address();
        config.end_sandboxes_on_shutdown = false;
    });
    nobody_can_tell(api.await).await;
}
