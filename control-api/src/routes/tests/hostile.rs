//! The wrong side of the socket: a sandbox that lies, floods and bloats is refused, and harms nobody.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use axum::body::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use serde_json::{Value, json};
use specwright_shared::wire::sandbox::BATCH_MAX_BYTES;

use crate::auth::{Rate, Rates};
use crate::store::Store;
use crate::store::postgres_server::PostgresServer;
use crate::store::sandbox::salvage::{self, Claim};
use crate::testing::worker::{Worker, event, token_of};
use crate::testing::{Running, WAITING_WORKER};

/// How much this process may grow while it refuses what would fill any memory.
const GROWTH_MAX_KIB: u64 = 96 * 1024;

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How many batches were refused for this, as the operator sees it.
async fn refused_batches(api: &Running, problem: &str) -> f64 {
    let name = format!("specwright_ingest_batches_refused_total{{problem=\"{problem}\"}}");
    api.number(&name).await
}

/// How many requests to a route were answered with this.
async fn answered(api: &Running, method: &str, route: &str, status: u16) -> f64 {
    let name = format!(
        "specwright_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"
    );
    api.number(&name).await
}

/// How many posts of events were answered with this.
async fn answered_events(api: &Running, status: u16) -> f64 {
    answered(api, "POST", "/api/v1/sandboxes/{id}/events", status).await
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
    assert_eq!(refused_batches(&api, "fenced").await, 1.0);
    assert_eq!(answered_events(&api, 403).await, 1.0);
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
    assert_eq!(refused_batches(&api, "rate-limited").await, f64::from(slowed) + 1.0);
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
    let (chunk, sent) = (Bytes::from(vec![b'['; 1024 * 1024]), Arc::new(AtomicUsize::new(0)));
    let counts = Arc::clone(&sent);
    let chunks = stream::iter((0..1024).map(move |_| {
        counts.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>(chunk.clone())
    }));
    match post().body(reqwest::Body::wrap_stream(chunks)).send().await {
        Ok(answer) => assert_eq!(answer.status(), 413),
        // Refused while it was sent: the sender finds the connection closed.
        Err(error) => assert!(!error.is_timeout() && !error.is_connect(), "{error}"),
    }
    // What buffers on the way hold, and far from all.
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 512, "{sent} MiB were taken");
    // One just above the limit, sent whole, is read up to there and answered.
    let answer = post().body(vec![b' '; BATCH_MAX_BYTES + 1]).send().await.unwrap();
    assert_eq!(answer.status(), 413);

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

    // All were counted: two of them by their size, at least, and those that do not read.
    let (large, wrong) = (answered_events(&api, 413).await, answered_events(&api, 422).await);
    assert!(large >= 2.0 && wrong >= 2.0, "{large} too large, {wrong} wrong");

    let grown = resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_MAX_KIB, "the process grew by {grown} KiB");
    // Whoever tried that can still do its work.
    let (_, page) = api.get(&format!("/api/v1/specs/{}/events", launched.spec.id)).await;
    assert!(page["items"].as_array().unwrap().len() <= 1);
    assert_eq!(token_of(&api, launched.sandbox_id).await, worker.token);
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
        // Counted alike, too: the operator sees the tries, and not which of them hit something.
        let route = format!("/api/v1/{collection}/{{id}}{below}");
        assert_eq!(answered(&api, "GET", &route, 404).await, 2.0, "{route}");
    }
    api.end().await;
}

#[tokio::test]
async fn a_cost_beyond_all_money_harms_nobody() {
    let api = Running::with_waiting_worker().await;
    let (dear, fair) = (api.launch(json!({})).await, api.launch(json!({})).await);
    let mut liar = Worker::hello(&api, dear.sandbox_id).await;
    let mut other = Worker::hello(&api, fair.sandbox_id).await;
    for usd in [1.5, 1e300, 1e300, 2.5] {
        let line = |cost_usd| json!({ "call_id": uuid::Uuid::now_v7(), "cost_usd": cost_usd, "counted_usd": cost_usd });
        let lies = [liar.event("agent.model_call", None, line(usd))];
        let true_one = [other.event("agent.model_call", None, line(0.25))];
        tokio::join!(liar.report(&lies), other.report(&true_one));
    }
    for (spec, least, most) in [(dear.spec.id, 9e12, 1e13), (fair.spec.id, 1.0, 1.0)] {
        let (status, spec) = api.get(&format!("/api/v1/specs/{spec}")).await;
        let cost = spec["cost_usd"].as_f64().unwrap();
        assert!(status == 200 && (least..=most).contains(&cost), "{spec}");
    }
    api.end().await;
}

#[tokio::test]
async fn on_a_file_a_token_that_was_replaced_is_refused_soon_however_busily_it_is_brought() {
    is_refused_when_replaced(Running::with_waiting_worker().await).await;
}

#[tokio::test]
async fn on_a_server_a_token_that_was_replaced_is_refused_soon_however_busily_it_is_brought() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    is_refused_when_replaced(Running::on(server.address()).await).await;
}

async fn is_refused_when_replaced(api: Running) {
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let said = worker.event("spec.progress", None, json!({ "message": "x" }));
    worker.report(std::slice::from_ref(&said)).await;
    let store = Store::open(&api.config.database_url).await.unwrap();
    let mut write = store.write().await.unwrap();
    let claim = Claim { by: json!({}), until: SystemTime::now().into() };
    let new = crate::auth::hash("another");
    salvage::claim(&mut write, worker.id, &claim, &new).await.unwrap();
    write.commit().await.unwrap();
    let replaced = Instant::now();
    while replaced.elapsed() < Duration::from_secs(5) {
        let (status, answer) = worker.send(std::slice::from_ref(&said)).await;
        assert!(matches!(status, 200 | 401), "{status}: {answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(worker.send(&[said]).await.0, 401);
    store.close().await;
    api.end().await;
}
