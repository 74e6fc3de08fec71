//! What a reader with an open stream lacks is gone: it is told so, and where to go on.

use futures_util::future::join_all;
use serde_json::json;

use super::subscriber::Subscriber;
use super::{event, progress};
use crate::store::Store;
use crate::store::postgres_server::PostgresServer;
use crate::testing::Running;
use crate::testing::worker::Worker;

/// With events of this size, more than all buffers between the two hold.
const EVENTS: u64 = 100;
const SIZE: usize = 250_000;
/// Up to here they are taken away, which is farther than a reader can be that took nothing.
const GONE: u64 = 95;

#[tokio::test]
async fn on_a_file_a_reader_behind_what_is_gone_is_told_where_to_go_on() {
    is_told_where_to_go_on(Running::with_waiting_worker().await).await;
}

#[tokio::test]
async fn on_a_server_a_reader_behind_what_is_gone_is_told_where_to_go_on() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    is_told_where_to_go_on(Running::on(server.address()).await).await;
}

async fn is_told_where_to_go_on(api: Running) {
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let text = "x".repeat(SIZE);
    for seq in 1..=EVENTS {
        let large = event(seq, "agent.words", None, json!({ "text": text }));
        assert_eq!(worker.send(&[large]).await.0, 200);
    }
    let paths = [
        format!("/api/v1/specs/{}/events/stream", launched.spec.id),
        format!("/api/v1/sandboxes/{}/events/stream", launched.sandbox_id),
        "/api/v1/events/stream".to_owned(),
    ];
    let mut behind = Vec::new();
    for path in &paths {
        behind.push(Subscriber::open(&api, path, None).await);
    }
    // They have begun to read, and take nothing for a moment.
    let store = Store::open(&api.config.database_url).await.unwrap();
    let mut write = store.write().await.unwrap();
    crate::store::event::take_away(&mut write, GONE as i64).await;
    write.commit().await.unwrap();
    store.close().await;

    let ends = join_all(behind.into_iter().zip(&paths).map(|(mut reader, path)| async move {
        let mut last = 0;
        let expired = loop {
            let frame = reader.next().await;
            if frame.name.is_some() {
                break frame;
            }
            last += 1;
            assert_eq!(frame.json()["seq"], last, "{path}: no hole before it");
        };
        assert!(last < GONE, "{path}: {last} were read in time");
        assert!(reader.is_at_its_end().await, "{path}: nothing comes behind it");
        expired
    }))
    .await;
    for (expired, path) in ends.into_iter().zip(&paths) {
        let problem = expired.json();
        assert_eq!((expired.name.as_deref(), expired.id), (Some("expired"), None), "{path}");
        assert_eq!((&problem["type"], &problem["status"]), (&json!("cursor-expired"), &json!(410)));
        // With it the reader gets all that is there.
        let oldest = problem["oldest"].as_str().unwrap();
        let mut again = Subscriber::open(&api, path, Some(oldest)).await;
        for seq in GONE + 1..=EVENTS {
            assert_eq!(again.next().await.json()["seq"], seq, "{path}");
        }
    }
    api.end().await;
}

/// What the store knows its database by; and the end of the connection for news, on which it is compared.
const FAILOVER: [&str; 2] = [
    "UPDATE event_order SET life = 'of a primary that is gone'",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'",
];

#[tokio::test]
async fn readers_of_a_database_that_began_another_life_are_told_where_to_go_on() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let one = Running::on(server.address()).await;
    let two = one.beside().await;
    let launched = one.launch(json!({})).await;
    let worker = Worker::hello(&one, launched.sandbox_id).await;
    assert_eq!(worker.send(&[progress(1)]).await.0, 200);
    let paths = [
        format!("/api/v1/specs/{}/events/stream", launched.spec.id),
        format!("/api/v1/sandboxes/{}/events/stream", launched.sandbox_id),
        "/api/v1/events/stream".to_owned(),
    ];
    let mut readers = Vec::new();
    for (api, path) in [&one, &two].into_iter().flat_map(|api| paths.iter().map(move |p| (api, p)))
    {
        let mut reader = Subscriber::open(api, path, None).await;
        assert_eq!(reader.next().await.json()["seq"], 1, "{path}");
        readers.push((api, path, reader));
    }

    let store = Store::open(&server.address()).await.unwrap();
    for sql in FAILOVER {
        let mut write = store.write().await.unwrap();
        assert!(write.query(sql).execute().await.unwrap() > 0, "{sql}");
        write.commit().await.unwrap();
    }
    store.close().await;
    let mut oldest = Vec::new();
    for (api, path, mut reader) in readers {
        let expired = reader.next().await;
        let problem = expired.json();
        assert_eq!(expired.name.as_deref(), Some("expired"), "{path}: {problem}");
        assert_eq!(problem["type"], "cursor-expired", "{path}");
        assert!(problem["detail"].as_str().unwrap().contains("another life"), "{path}: {problem}");
        assert!(reader.is_at_its_end().await, "{path}");
        oldest.push((api, path, problem["oldest"].as_str().unwrap().to_owned()));
    }
    assert_eq!(worker.send(&[progress(2)]).await.0, 200);
    for (api, path, oldest) in oldest {
        let mut again = Subscriber::open(api, path, Some(&oldest)).await;
        for seq in 1..=2 {
            assert_eq!(again.next().await.json()["seq"], seq, "{path}");
        }
    }
    for api in [two, one] {
        api.end().await;
    }
}
