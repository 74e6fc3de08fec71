//! The wrong side of the socket: a sandbox that lies, floods and bloats is refused, and harms nobody.

use std::io::Write as _;
use std::time::Instant;

use axum::body::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use serde_json::{Value, json};

use crate::auth::{Rate, Rates};
use crate::testing::worker::{Worker, event, token_of};
use crate::testing::{Running, WAITING_WORKER};

/// How much this process may grow while it refuses what would fill any memory.
const GROWTH_MAX_KIB: u64 = 96 * 1024;

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn a_sandbox_cannot_speak_for_another_nor_for_what_it_was() {
    let api = Running::with_waiting_worker().await;
    let (mine, theirs) = (api.launch(json!({})).await, api.launch(json!({})).await);
    let worker = Worker::hello(&api, mine.sandbox_id).await;
    let line = event(1, "spec.progress", None, json!({ "message": "not mine" }));
    let batch = json!({ "generation": 1, "events": [line] });
    let other = format!("/api/v1/sandboxes/{}/events", theirs.sandbox_id);
    let (status, _) = api.request("POST", &other, &worker.token, Some(&batch)).await;
    assert_eq!(status, 403);
    // A newer worker said hello; the older generation is history.
    let newer = Worker::hello(&api, mine.sandbox_id).await;
    assert_eq!(newer.welcome.generation, 2);
    let own = format!("/api/v1/sandboxes/{}/events", mine.sandbox_id);
    let (status, problem) = api.request("POST", &own, &worker.token, Some(&batch)).await;
    assert_eq!((status, &problem["type"]), (409, &json!("fenced")));
    for spec in [mine.spec.id, theirs.spec.id] {
        let (_, page) = api.get(&format!("/api/v1/specs/{spec}/events")).await;
        assert_eq!(page["items"], json!([]));
    }
    api.end().await;
}

#[tokio::test]
async fn a_sandbox_that_floods_is_slowed_and_the_others_are_not() {
    // Slower than any machine sends.
    let slow = Rate { per_second: 1, burst: 2000 };
    let rates = Rates { events: slow, ..Rates::default() };
    let api = Running::with_settings(WAITING_WORKER, |config| config.rates = rates).await;
    let (flood, calm) = (api.launch(json!({})).await, api.launch(json!({})).await);
    let mut flood = Worker::hello(&api, flood.sandbox_id).await;
    let mut calm = Worker::hello(&api, calm.sandbox_id).await;
    let (mut taken, mut slowed) = (0_u32, 0_u32);
    let begin = Instant::now();
    for _ in 0..300 {
        let batch: Vec<_> = (0..100)
            .map(|_| flood.event("spec.progress", None, json!({ "message": "x" })))
            .collect();
        let (status, answer) = flood.send(&batch).await;
        match status {
            200 => taken += 100,
            429 => {
                slowed += 1;
                assert_eq!(answer["type"], "rate-limited");
                // It has to send the same again: nothing of it was taken in.
                flood.forget(100);
            }
            other => panic!("{other} {answer}"),
        }
        if slowed >= 20 {
            break;
        }
    }
    let seconds = u32::try_from(begin.elapsed().as_secs()).unwrap() + 1;
    assert!(slowed > 0 && taken <= 2000 + seconds, "{taken} taken, {slowed} slowed");
    // It is told what it used up: events, not requests.
    let path = format!("{}/api/v1/sandboxes/{}/events", api.base, flood.id);
    let lines: Vec<_> = (1..=1000).map(|seq| event(seq, "x", None, json!({}))).collect();
    let batch = json!({ "generation": 1, "events": lines });
    let refused = api.http.post(path).bearer_auth(&flood.token).json(&batch).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["ratelimit-policy"], "\"events\";q=2000;w=2000");
    assert!(refused.headers()["ratelimit"].to_str().unwrap().starts_with("\"events\";r="));
    let line = calm.event("spec.progress", None, json!({ "message": "calm" }));
    calm.report(&[line]).await;
    api.end().await;
}

#[tokio::test]
async fn bodies_without_end_deep_ones_and_bombs_are_refused_in_bounded_memory() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let url = format!("{}/api/v1/sandboxes/{}/events", api.base, launched.sandbox_id);
    let post = || api.http.post(&url).bearer_auth(&worker.token);
    let before = resident_kib();

    // A gigabyte, in chunks, without saying so beforehand.
    let chunk = Bytes::from(vec![b'['; 1024 * 1024]);
    let chunks = stream::iter((0..1024).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    let endless = post().body(reqwest::Body::wrap_stream(chunks)).send().await;
    // Refused while it is sent: the answer may find the sender still sending.
    assert!(endless.is_err_and(|e| !e.is_timeout()) || true_413(&post).await);

    let deep =
        format!("{{\"generation\":1,\"events\":[{}{}]}}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = post().body(deep).send().await.unwrap();
    assert_eq!(answer.status(), 422);
    let mut nested = json!({});
    for _ in 0..110 {
        nested = json!({ "a": nested });
    }
    let line = event(1, "spec.progress", None, nested);
    let (status, problem) = worker.send(&[line]).await;
    assert!(status < 500, "{status} {problem}");

    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![b' '; 1024 * 1024];
    for _ in 0..256 {
        bomb.write_all(&zeros).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 400_000);
    let answer = post().header("content-encoding", "gzip").body(bomb).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    let torn = post().header("content-encoding", "gzip").body(vec![0x1f, 0x8b, 8, 0]).send().await;
    assert_eq!(torn.unwrap().status(), 422);

    let grown = resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_MAX_KIB, "the process grew by {grown} KiB");
    // Whoever tried that can still do its work.
    let (_, page) = api.get(&format!("/api/v1/specs/{}/events", launched.spec.id)).await;
    assert!(page["items"].as_array().unwrap().len() <= 1);
    assert_eq!(token_of(&api, launched.sandbox_id).await, worker.token);
    api.end().await;
}

/// A body just above the limit, sent whole.
async fn true_413(post: &dyn Fn() -> reqwest::RequestBuilder) -> bool {
    let body = vec![b' '; 5 * 1024 * 1024];
    post().body(body).send().await.is_ok_and(|answer| answer.status() == 413)
}

#[tokio::test]
async fn every_route_bounds_body_and_time() {
    for route in super::super::table() {
        let what = format!("{} {}", route.method, route.path);
        assert!((1..=8 * 1024 * 1024).contains(&route.body_max), "{what}: {}", route.body_max);
        let seconds = route.time_max.as_secs();
        assert!((1..=60).contains(&seconds), "{what}: {seconds} s");
    }
    // What a body's limit says holds on every route that reads one.
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let token = token_of(&api, launched.sandbox_id).await;
    for route in super::super::table() {
        if route.method == "GET" || route.method == "DELETE" {
            continue;
        }
        let own = route.access == crate::auth::Access::OwnSandbox;
        let token = if own { token.as_str() } else { crate::testing::OWNER_TOKEN };
        let id = match crate::auth::Thing::of(route.path) {
            Some(crate::auth::Thing::Sandbox) => launched.sandbox_id.to_string(),
            Some(crate::auth::Thing::Spec) => launched.spec.id.to_string(),
            Some(crate::auth::Thing::Project) => launched.spec.project_id.to_string(),
            _ => continue,
        };
        let path = route.path.replace("{id}", &id).replace("{name}", "github_token");
        let path = if path.ends_with("/transcript") {
            format!("{path}?session_id={}&generation=1", uuid::Uuid::nil())
        } else {
            path
        };
        let url = format!("{}{path}", api.base);
        let body = vec![b' '; route.body_max + 1];
        let request = api.http.request(route.method.clone(), url).bearer_auth(token).body(body);
        // Refused before it was read whole: the sender may find the connection closed.
        if let Ok(answer) = request.send().await {
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap_or_default();
            let no_body_is_read = status < 300 || status == 404 || status == 409;
            assert!(status == 413 || no_body_is_read, "{path}: {status} {text}");
        }
    }
    let (status, _) = api.get("/api/v1/specs").await;
    assert_eq!(status, 200);
    api.end().await;
}

#[tokio::test]
async fn ids_of_others_are_answered_like_ids_of_nothing() {
    let api = Running::with_waiting_worker().await;
    let theirs = api.launch(json!({})).await;
    let ada = super::access::user(&api, "ada").await;
    let get = async |path: String| api.request("GET", &path, &ada, None::<&()>).await;
    let nothing = uuid::Uuid::now_v7();
    let without = |problem: Value, id: String| problem.to_string().replace(&id, "ID");
    for (collection, id) in [
        ("specs", theirs.spec.id.0),
        ("sandboxes", theirs.sandbox_id.0),
        ("projects", theirs.spec.project_id.0),
    ] {
        let below = if collection == "projects" { "/members" } else { "" };
        let (status, there) = get(format!("/api/v1/{collection}/{id}{below}")).await;
        let (_, absent) = get(format!("/api/v1/{collection}/{nothing}{below}")).await;
        assert_eq!(status, 404);
        assert_eq!(without(there, id.to_string()), without(absent, nothing.to_string()));
    }
    api.end().await;
}
