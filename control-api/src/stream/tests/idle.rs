//! A stream on which nothing happens says that it is there, by comments: proxies do not hang up on it,
//! and who reads it finds out that a connection is dead.

use std::time::Duration;

use serde_json::json;

use super::TOKEN;
use crate::testing::Running;
use crate::testing::worker::Worker;

/// A comment, as everyone who speaks of server-sent events knows it.
const HERE: &str = ": here\n\n";
/// How long a test waits for some of them: longer than that is a hang.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_idle_stream_says_that_it_is_there_and_nothing_else() {
    // Sooner than those hang up who lie between, and than a worker takes it for dead.
    const { assert!(super::super::HEARTBEAT.as_secs() <= 15) };
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let (spec, sandbox) = (launched.spec.id, launched.sandbox_id);
    let streams = [
        (format!("/api/v1/specs/{spec}/events/stream"), TOKEN),
        (format!("/api/v1/sandboxes/{sandbox}/events/stream"), TOKEN),
        ("/api/v1/events/stream".to_owned(), TOKEN),
        (format!("/api/v1/sandboxes/{sandbox}/messages/stream"), &worker.token),
    ];
    let heard = streams.iter().map(async |(path, token)| {
        let request = api.http.get(format!("{}{path}", api.base)).bearer_auth(token);
        let mut answer = request.send().await.unwrap();
        let mut text = String::new();
        let listen = async {
            // The first comes with the head, two more while nothing happens.
            while text.len() < 3 * HERE.len() {
                let chunk = answer.chunk().await.unwrap().expect("the stream goes on");
                text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        let waited = tokio::time::timeout(PATIENCE, listen).await;
        assert!(waited.is_ok(), "{path}: {text:?}");
        text
    });
    for (text, (path, _)) in futures_util::future::join_all(heard).await.into_iter().zip(&streams) {
        assert_eq!(text.replace(HERE, ""), "", "{path}");
    }
    api.end().await;
}
