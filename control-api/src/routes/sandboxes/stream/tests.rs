//! The push channel and what steers a run, over real sockets.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use specwright_shared::phase::Phase;
use specwright_shared::time::Timestamp;

use crate::testing::worker::Worker;
use crate::testing::{Running, documents};

/// A stream as it comes, and what of it was looked at.
struct Stream {
    answer: reqwest::Response,
    text: String,
}

impl Stream {
    async fn open(worker: &Worker<'_>, query: &str, last_event_id: Option<&str>) -> Self {
        let url = format!("{}/api/v1/sandboxes/{}/messages/stream", worker.api.base, worker.id);
        let mut request = worker.api.http.get(format!("{url}{query}")).bearer_auth(&worker.token);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        Self { answer, text: String::new() }
    }

    /// All that came until something stands in it.
    async fn until(&mut self, needle: &str) -> &str {
        let wait = async {
            while !self.text.contains(needle) {
                let chunk = self.answer.chunk().await.unwrap();
                let chunk =
                    chunk.unwrap_or_else(|| panic!("ended without {needle}: {}", self.text));
                self.text.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the push came");
        &self.text
    }

    /// The rest, up to its end.
    async fn rest(mut self) -> String {
        while let Some(chunk) = self.answer.chunk().await.unwrap() {
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
        self.text
    }
}

fn said(text: &str) -> Value {
    json!({ "kind": "user_message", "text": text })
}

#[tokio::test]
async fn what_was_said_before_hello_is_pushed_first_and_a_cut_loses_nothing() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let messages = format!("/api/v1/sandboxes/{}/messages", launched.sandbox_id);
    assert_eq!(api.post(&messages, &said("early")).await.0, 201);
    let worker = Worker::hello(&api, launched.sandbox_id).await;

    let mut stream = Stream::open(&worker, "", None).await;
    let early = stream.until("early").await;
    assert!(early.contains("id: 1") && early.contains("event: message"), "{early}");
    assert!(early.contains(r#""sender":"owner""#), "the token says who it is: {early}");
    api.post(&messages, &said("second")).await;
    assert!(stream.until("second").await.contains("id: 2"));
    drop(stream);

    api.post(&messages, &said("meanwhile")).await;
    let mut again = Stream::open(&worker, "", Some("2")).await;
    let text = again.until("meanwhile").await;
    assert!(text.contains("id: 3") && !text.contains("second"), "{text}");
    let mut by_query = Stream::open(&worker, "?after=1", None).await;
    assert!(!by_query.until("meanwhile").await.contains("early"));
    assert_eq!(api.get(&messages).await.1["items"].as_array().unwrap().len(), 3);
    api.end().await;
}

#[tokio::test]
async fn pause_and_stop_are_pushed_under_their_names_and_nothing_comes_behind_a_stop() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let mut stream = Stream::open(&worker, "", None).await;
    let spec = format!("/api/v1/specs/{}", launched.spec.id);
    assert_eq!(api.post(&format!("{spec}/pause"), &json!({})).await.0, 202);
    stream.until("event: pause").await;
    let reason = json!({ "reason": "enough" });
    assert_eq!(api.post(&format!("{spec}/cancel"), &reason).await.0, 202);
    let whole = stream.rest().await;
    assert_eq!(whole.matches("event: pause").count(), 1, "{whole}");
    assert!(whole.trim_end().ends_with(r#"data: {"reason":"enough"}"#), "{whole}");
    api.end().await;
}

#[tokio::test]
async fn a_shutdown_ends_an_open_stream_with_a_goodbye_and_nothing_else() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let stream = Stream::open(&worker, "", None).await;
    let (rest, ()) = tokio::join!(stream.rest(), async { api.shut_down() });
    let said: Vec<_> = rest.lines().filter(|line| !line.is_empty() && *line != ": here").collect();
    assert_eq!(said, ["event: goodbye", "data: {\"resume\":\"0\"}"], "{rest}");
    drop(worker);
    api.end().await;
}

#[tokio::test]
async fn a_paused_run_ends_as_a_draft_that_can_be_resumed_and_only_when_it_was_asked_to() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let explore = Some(Phase::Explore);
    let started = worker.event("spec.phase_started", explore, json!({ "max_attempts": 3 }));
    let completed = worker.completed(Phase::Explore, documents::of(Phase::Explore).as_ref());
    worker.report(&[started, completed]).await;
    let ended = json!({
        "phases_completed": ["explore"], "paused_after": "explore", "cost_usd": 0.0,
        "duration_ms": 9,
    });
    let ended = worker.event("spec.execution_completed", None, ended);
    let (status, problem) = worker.send(std::slice::from_ref(&ended)).await;
    assert_eq!((status, &problem["type"]), (422, &json!("gate-refused")), "nobody asked");

    let spec = format!("/api/v1/specs/{}", launched.spec.id);
    assert_eq!(api.post(&format!("{spec}/pause"), &json!({})).await.0, 202);
    worker.report(&[ended]).await;
    let (_, paused) = api.get(&spec).await;
    assert_eq!(paused["status"], "draft", "{paused}");
    assert_eq!(paused["message"], "paused after `explore`, as asked");
    assert_eq!(api.post(&format!("{spec}/pause"), &json!({})).await.0, 409, "nothing is at work");
    let (status, resumed) = api.post(&format!("{spec}/execute"), &json!({})).await;
    assert_eq!((status, &resumed["spec"]["current_phase"]), (202, &json!("requirements")));
    api.end().await;
}

#[tokio::test]
async fn a_message_is_taken_once_and_one_whose_time_is_over_says_so() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let messages = format!("/api/v1/sandboxes/{}/messages", launched.sandbox_id);
    let at = |secs| Timestamp::from(SystemTime::now()).plus(Duration::from_secs(secs));
    let id = uuid::Uuid::now_v7();
    let message = json!({
        "id": id, "kind": "guardian_nudge", "text": "t", "phase": "design", "expires_at": at(1),
    });
    assert_eq!(api.post(&messages, &message).await.0, 201);
    assert_eq!(api.post(&messages, &message).await.0, 200, "the same again");
    let mut other = message.clone();
    other["phase"] = json!("tasks");
    assert_eq!(api.post(&messages, &other).await.0, 422, "the id is another message's");
    let late = json!({ "kind": "system", "text": "t", "expires_at": "2020-01-01T00:00:00Z" });
    let (status, problem) = api.post(&messages, &late).await;
    assert_eq!(status, 422);
    assert!(problem["detail"].as_str().unwrap().contains("expires_at"), "{problem}");
    let odd = json!({ "kind": "system", "text": "t", "cancel_queued": true });
    assert_eq!(api.post(&messages, &odd).await.0, 422);

    // No worker fetches it: the control API says itself that it came to nothing.
    let expired = crate::testing::until("the message expires", async || {
        let (_, page) = api.get(&messages).await;
        (page["items"][0]["status"] == "expired").then(|| page["items"][0].clone())
    })
    .await;
    assert!(expired["reason"].as_str().unwrap().contains("time ran out"), "{expired}");
    assert!(expired["ended_at"].is_string(), "{expired}");
    api.end().await;
}
