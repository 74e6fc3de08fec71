//! The routes over a real socket: who may use them, what they refuse, and the life of a spec.

mod access;
mod audit;
mod bounds;
mod credentials;
mod entrusted;
mod frozen;
mod guardian;
mod health;
mod hostile;
mod reading;
mod tenants;
mod tokens;
mod traces;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running};

#[tokio::test]
async fn what_does_not_fit_is_answered_with_a_problem_that_names_it() {
    let api = Running::with_waiting_worker().await;
    let cases: [(&str, &str, Value, u16, &str, &str); 9] = [
        ("POST", "/api/v1/specs", json!({}), 422, "invalid-request", "description"),
        (
            "POST",
            "/api/v1/specs",
            json!({ "description": "a\u{0}b" }),
            422,
            "invalid-request",
            "U+0000",
        ),
        (
            "POST",
            "/api/v1/specs",
            json!({ "description": "x", "titel": "y" }),
            422,
            "invalid-request",
            "titel",
        ),
        (
            "POST",
            "/api/v1/specs",
            json!({ "description": "x", "title": "t".repeat(300) }),
            422,
            "invalid-request",
            "at most 200",
        ),
        (
            "POST",
            "/api/v1/specs",
            json!({ "description": "x", "repository": "../up" }),
            422,
            "invalid-request",
            "absolute path",
        ),
        (
            "POST",
            "/api/v1/specs/launch",
            json!({ "spec": { "description": "x" }, "run": { "agent": "gpt" } }),
            422,
            "invalid-request",
            "`agent`",
        ),
        ("GET", "/api/v1/specs/nonsense", Value::Null, 422, "invalid-request", "nonsense"),
        ("GET", "/api/v1/nowhere", Value::Null, 404, "not-found", "path"),
        ("DELETE", "/api/v1/specs", Value::Null, 405, "method-not-allowed", "method"),
    ];
    for (method, path, body, status, kind, word) in cases {
        let (found, problem) = api.request(method, path, OWNER_TOKEN, Some(&body)).await;
        assert_eq!((found, &problem["type"]), (status, &json!(kind)), "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
    let huge = json!({ "name": "x".repeat(100_000) });
    let (status, problem) = api.post("/api/v1/projects", &huge).await;
    assert_eq!((status, &problem["type"]), (413, &json!("too-large")));
    let (_, specs) = api.get("/api/v1/specs").await;
    assert_eq!(specs["items"], json!([]), "what is refused leaves nothing behind");
    let (status, _) = api.get(&format!("/api/v1/specs/{}", Uuid::now_v7())).await;
    assert_eq!(status, 404);
    api.end().await;
}

#[tokio::test]
async fn specs_come_in_pages() {
    let api = Running::with_waiting_worker().await;
    for number in 0..3 {
        let idea = json!({ "description": format!("Idea {number}\nand more") });
        let (status, spec) = api.post("/api/v1/specs", &idea).await;
        assert_eq!((status, &spec["title"]), (201, &json!(format!("Idea {number}"))));
    }
    let (_, first) = api.get("/api/v1/specs?limit=2").await;
    assert_eq!(first["items"][0]["title"], "Idea 2");
    let next = first["next"].as_str().unwrap();
    let (_, second) = api.get(&format!("/api/v1/specs?limit=2&after={next}")).await;
    assert_eq!(second["items"][0]["title"], "Idea 0");
    assert_eq!(second.get("next"), None);
    let (_, none) = api.get("/api/v1/specs?status=completed").await;
    assert_eq!(none["items"], json!([]));
    let (status, _) = api.get("/api/v1/specs?limit=201").await;
    assert_eq!(status, 422);
    api.end().await;
}

#[tokio::test]
async fn of_two_executions_at_once_one_wins_and_one_is_told() {
    let api = Running::with_waiting_worker().await;
    let (_, spec) = api.post("/api/v1/specs", &json!({ "description": "x" })).await;
    let path = format!("/api/v1/specs/{}/execute", spec["id"].as_str().unwrap());
    let run = json!({});
    let (one, two) = tokio::join!(api.post(&path, &run), api.post(&path, &run));
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409]);
    let loser = if one.0 == 409 { one.1 } else { two.1 };
    assert_eq!(loser["type"], "already-executing");
    let (_, sandboxes) = api.get("/api/v1/sandboxes").await;
    assert_eq!(sandboxes["items"].as_array().unwrap().len(), 1);
    api.end().await;
}

#[tokio::test]
async fn a_message_is_stored_once_wakes_the_worker_and_is_refused_after_the_end() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let path = format!("/api/v1/sandboxes/{}/messages", launched.sandbox_id);
    let poll = format!("{path}/poll?after=0&wait_ms=20000");
    let message = json!({ "id": Uuid::now_v7(), "kind": "user_message", "text": "careful" });
    let (polled, said) = tokio::join!(
        api.request("GET", &poll, &worker.token, None::<&()>),
        api.post(&path, &message)
    );
    assert_eq!(said.0, 201, "{}", said.1);
    assert_eq!(polled.1["messages"][0]["text"], "careful");
    assert_eq!(api.post(&path, &message).await, (200, said.1), "the same id is one message");

    let cancel = format!("/api/v1/specs/{}/cancel", launched.spec.id);
    let (status, _) = api.post(&cancel, &json!({ "reason": "enough" })).await;
    assert_eq!(status, 202);
    let stop = format!("{path}/poll?after=1&wait_ms=20000");
    let (_, polled) = api.request("GET", &stop, &worker.token, None::<&()>).await;
    assert_eq!(polled["stop"]["reason"], "enough");
    let heartbeat = json!({ "generation": 1, "agent_alive": true, "spool_depth": 0 });
    let beat = format!("/api/v1/sandboxes/{}/heartbeat", launched.sandbox_id);
    let (_, ack) = api.request("POST", &beat, &worker.token, Some(&heartbeat)).await;
    assert_eq!(ack["stop"]["reason"], "enough");

    let (status, spec) = api.post(&cancel, &json!({ "force": true })).await;
    assert_eq!(
        (status, &spec["status"], &spec["reason"]),
        (200, &json!("failed"), &json!("cancelled"))
    );
    let (_, history) = api.get(&path).await;
    assert_eq!(history["items"][0]["status"], "expired");
    let late = json!({ "kind": "user_message", "text": "too late" });
    let (status, problem) = api.post(&path, &late).await;
    assert_eq!((status, &problem["type"]), (409, &json!("sandbox-ended")));
    let (status, problem) = api.post(&cancel, &json!({})).await;
    assert_eq!((status, &problem["type"]), (409, &json!("illegal-transition")));
    api.end().await;
}

#[tokio::test]
async fn a_transcript_is_kept_for_the_owner_and_taken_from_the_newest_worker_only() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let session = Uuid::now_v7();
    let path = format!("{}/api/v1/sandboxes/{}/transcript", api.base, launched.sandbox_id);
    let put = async |generation: u64, body: Vec<u8>| {
        let url = format!("{path}?session_id={session}&generation={generation}");
        let request = api.http.put(url).bearer_auth(&worker.token).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let get = async || api.http.get(&path).bearer_auth(OWNER_TOKEN).send().await.unwrap();
    assert_eq!(get().await.status(), 404);
    let (older, newer) = (b"\x1f\x8bolder".to_vec(), b"\x1f\x8bnewer".to_vec());
    assert_eq!(put(worker.welcome.generation, b"{}\n".to_vec()).await, 422, "it is not gzip");
    assert_eq!(put(worker.welcome.generation, older.clone()).await, 200);
    assert_eq!(put(worker.welcome.generation, newer.clone()).await, 200);
    assert_eq!(put(worker.welcome.generation - 1, older).await, 409);
    assert_eq!(put(worker.welcome.generation, vec![0x1f; 9 * 1024 * 1024]).await, 413);
    let found = get().await;
    assert_eq!(found.headers()["content-type"], "application/gzip");
    let name = format!("attachment; filename=\"{session}.jsonl.gz\"");
    assert_eq!(found.headers()["content-disposition"], name.as_str());
    assert_eq!(found.bytes().await.unwrap(), newer);
    api.end().await;
}

#[tokio::test]
async fn a_reader_of_events_is_woken_and_a_restart_loses_nothing() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let events = format!("/api/v1/specs/{}/events?after=0&wait_ms=20000", launched.spec.id);
    let line = worker.event("spec.progress", None, json!({ "message": "x" }));
    let batch = [line];
    let ((_, page), ()) = tokio::join!(api.get(&events), worker.report(&batch));
    assert_eq!(page["items"][0]["type"], "spec.progress");
    assert!(page["next"].as_str().unwrap().ends_with(".1"), "behind the first one: {page}");
    // Ending the control API ends its sandboxes, and says how.
    let api = api.restart().await;
    let spec = api.until_spec(launched.spec.id, "failed").await;
    assert_eq!(spec["reason"], "lost");
    let (_, page) = api.get(&events).await;
    assert_eq!(page["items"][1]["type"], "spec.execution_failed");
    api.end().await;
}
