//! Delivery against a real server that answers as it is told.

use std::collections::{BTreeSet, VecDeque};
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use specwright_shared::id::SandboxId;
use specwright_shared::redact::Redactor;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::{Event, Progress};
use specwright_shared::wire::problem::{Problem, ProblemType};
use specwright_shared::wire::sandbox::Ack;
use tokio::sync::Semaphore;

use super::*;
use crate::config::Secret;
use crate::spool::Spool;

/// How long something is waited for: longer is a hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the server treats the next batch.
#[derive(Debug, Clone)]
enum Answer {
    /// Stores nothing and says this.
    Refuse(Problem),
    /// Stores it and drops the answer: a status that no control API gives.
    StoreAndLose,
    /// Stores nothing: a proxy's page.
    Gateway,
}

#[derive(Debug, Default)]
struct Stored {
    events: Vec<RawEvent>,
    script: VecDeque<Answer>,
    batches: Vec<usize>,
    connections: BTreeSet<SocketAddr>,
    /// Whether each body was compressed, its size on the wire and its true size.
    compressed: Vec<(bool, usize, usize)>,
    /// Refused for good, by number.
    poison: Option<(u64, ProblemType)>,
    /// Whether the sandbox has ended.
    ended: bool,
    /// Batches with more events than this are too large.
    most: Option<usize>,
    /// Each batch is answered when this has a permit for it.
    hold: Option<Arc<Semaphore>>,
}

type Server = Arc<Mutex<Stored>>;

async fn take(
    State(server): State<Server>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: bytes::Bytes,
) -> Response {
    let gzip = headers.get("content-encoding").is_some_and(|coding| coding == "gzip");
    let mut json = Vec::new();
    if gzip {
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut json).unwrap();
    } else {
        json.extend_from_slice(&body);
    }
    let batch: Batch = serde_json::from_slice(&json).unwrap();
    let hold = {
        let mut server = server.lock().unwrap();
        server.connections.insert(from);
        server.compressed.push((gzip, body.len(), json.len()));
        server.batches.push(batch.events.len());
        server.hold.clone()
    };
    if let Some(hold) = hold {
        hold.acquire().await.unwrap().forget();
    }
    let mut server = server.lock().unwrap();
    let problem = |problem: Problem| {
        (StatusCode::from_u16(problem.status).unwrap(), Json(problem)).into_response()
    };
    let scripted = server.script.pop_front();
    match &scripted {
        Some(Answer::Refuse(refusal)) => return problem(refusal.clone()),
        Some(Answer::Gateway) => return (StatusCode::BAD_GATEWAY, "<html>").into_response(),
        Some(Answer::StoreAndLose) | None => {}
    }
    if server.most.is_some_and(|most| batch.events.len() > most) {
        return problem(Problem::new(ProblemType::TooLarge, "too large"));
    }
    if let Some((seq, kind)) = server.poison
        && batch.events.iter().any(|e| e.seq == seq && e.kind != "worker.event_refused")
    {
        return problem(Problem::new(kind, "it does not fit").at_seq(seq));
    }
    for event in batch.events {
        let next = server.events.len() as u64 + 1;
        if event.seq > next {
            return problem(Problem::new(ProblemType::SequenceGap, "a gap").at_seq(next));
        }
        if event.seq == next {
            server.events.push(event);
        }
    }
    if matches!(scripted, Some(Answer::StoreAndLose)) {
        return (StatusCode::SERVICE_UNAVAILABLE, "lost").into_response();
    }
    Json(Ack { acked: server.events.len() as u64, ended: server.ended }).into_response()
}

struct Scene {
    server: Server,
    spool: Spool,
    acked: watch::Receiver<u64>,
    problems: mpsc::Receiver<DeliverProblem>,
    stop: CancellationToken,
    courier: tokio::task::JoinHandle<()>,
    place: tempfile::TempDir,
}

impl Scene {
    async fn new(stored: Stored, acked: u64) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let server: Server = Arc::new(Mutex::new(stored));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v1", listener.local_addr().unwrap());
        let routes = axum::Router::new()
            .route("/api/v1/sandboxes/{id}/events", axum::routing::post(take))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&server));
        tokio::spawn(async move {
            axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>()).await
        });
        let place = tempfile::tempdir().unwrap();
        let (recovered, _) = Spool::open(place.path(), Redactor::default()).unwrap();
        let spool = recovered.start(0).unwrap();
        let id = SandboxId(uuid::Uuid::nil());
        let api = Api::new(&url.parse().unwrap(), id, Secret::new("token".into())).unwrap();
        let (tell, problems) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let (courier, acked) =
            Courier::new(api, 1, spool.reader(acked), spool.durable(), tell, stop.clone());
        let courier = tokio::spawn(courier.run());
        Self { server, spool, acked, problems, stop, courier, place }
    }

    async fn record(&self, count: usize) {
        for n in 1..=count {
            let event = Event::Progress(Progress { message: format!("fact {n}") });
            self.spool.record(Timestamp::from_micros(1), None, event).await.unwrap();
        }
    }

    async fn all_acked(&mut self, last: u64) {
        let acked = self.acked.wait_for(|acked| *acked >= last);
        tokio::time::timeout(PATIENCE, acked)
            .await
            .expect("all events acknowledged in the end")
            .unwrap();
        let server = self.server.lock().unwrap();
        let numbers: Vec<u64> = server.events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=last).collect::<Vec<_>>(), "each once, in order");
    }

    async fn problem(&mut self) -> DeliverProblem {
        tokio::time::timeout(PATIENCE, self.problems.recv()).await.expect("a problem told").unwrap()
    }
}

#[tokio::test]
async fn a_lone_event_leaves_at_once() {
    let mut scene = Scene::new(Stored::default(), 0).await;
    scene.record(1).await;
    scene.all_acked(1).await;
    scene.record(2).await;
    scene.all_acked(3).await;
    scene.stop.cancel();
    scene.courier.await.unwrap();
}

#[tokio::test]
async fn lone_events_are_stored_one_by_one_without_company() {
    let mut scene = Scene::new(Stored::default(), 0).await;
    for seq in 1..=20 {
        scene.record(1).await;
        scene.all_acked(seq).await;
    }
}

#[tokio::test]
async fn a_flood_goes_in_full_compressed_batches_over_one_connection() {
    // The control API answers when all of it waits.
    let hold = Arc::new(Semaphore::new(0));
    let stored = Stored { hold: Some(Arc::clone(&hold)), ..Stored::default() };
    let mut scene = Scene::new(stored, 0).await;
    let mut pending = Vec::new();
    for n in 0..1000 {
        let event = Event::Progress(Progress { message: format!("{n} {}", "word ".repeat(40)) });
        pending.push(scene.spool.submit(Timestamp::from_micros(1), None, event).await.unwrap());
    }
    let mut durable = scene.spool.durable();
    let all = durable.wait_for(|durable| *durable >= 1000);
    drop(tokio::time::timeout(PATIENCE, all).await.expect("all of it is durable").unwrap());
    hold.add_permits(1000);
    scene.all_acked(1000).await;
    let server = scene.server.lock().unwrap();
    assert!(server.batches.iter().filter(|size| **size == BATCH_MAX_EVENTS).count() >= 8);
    assert!(server.batches.len() <= 16, "{:?}", server.batches);
    assert_eq!(server.connections.len(), 1, "keep-alive");
    for (gzip, wire, json) in &server.compressed {
        assert!(!gzip || wire * 3 < *json, "{wire} of {json} bytes");
    }
    assert!(server.compressed.iter().any(|(gzip, ..)| *gzip));
}

#[tokio::test]
async fn an_output_that_is_refused_is_fatal_whatever_the_refusal() {
    use specwright_shared::phase::Phase;
    use specwright_shared::wire::event::PhaseCompleted;
    let poison = Some((1, ProblemType::InvalidEvent));
    let mut scene = Scene::new(Stored { poison, ..Stored::default() }, 0).await;
    let event: PhaseCompleted = serde_json::from_value(serde_json::json!({
        "attempt": 1, "score": 1.0, "duration_ms": 1, "cost_usd": 0.0, "findings": [],
    }))
    .unwrap();
    let event = Event::PhaseCompleted(event);
    scene.spool.record(Timestamp::from_micros(1), Some(Phase::Complete), event).await.unwrap();
    let told = scene.problem().await;
    assert!(matches!(told, DeliverProblem::EventRefused { fatal: true, .. }), "{told:?}");
}

/// A courier that is driven by hand; nobody is at its address.
fn idle(
    spool: &Spool,
    acked: u64,
    durable: watch::Receiver<u64>,
) -> (Courier, watch::Receiver<u64>) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let (tell, _problems) = mpsc::channel(8);
    let nobody = "http://127.0.0.1:9".parse().unwrap();
    let id = SandboxId(uuid::Uuid::nil());
    let api = Api::new(&nobody, id, Secret::new("token".into())).unwrap();
    Courier::new(api, 1, spool.reader(acked), durable, tell, CancellationToken::new())
}

#[tokio::test]
async fn a_late_answer_that_says_less_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let spool = Spool::open(place.path(), Redactor::default()).unwrap().0.start(3).unwrap();
    let (mut courier, seen) = idle(&spool, 3, spool.durable());
    courier.acknowledged(1);
    assert_eq!((courier.reader.acked(), *seen.borrow()), (3, 3));
}

#[tokio::test]
async fn a_lone_event_goes_at_once_and_what_comes_meanwhile_goes_together() {
    let hold = Arc::new(Semaphore::new(0));
    let stored = Stored { hold: Some(Arc::clone(&hold)), ..Stored::default() };
    let mut scene = Scene::new(stored, 0).await;
    scene.record(1).await;
    let server = Arc::clone(&scene.server);
    let under_way = async {
        while server.lock().unwrap().batches.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, under_way).await.expect("it went alone");
    scene.record(5).await;
    hold.add_permits(2);
    scene.all_acked(6).await;
    assert_eq!(server.lock().unwrap().batches, [1, 5]);
}

#[tokio::test]
async fn lost_answers_and_broken_proxies_change_nothing() {
    let script = [Answer::Gateway, Answer::StoreAndLose, Answer::Gateway].into();
    let mut scene = Scene::new(Stored { script, ..Stored::default() }, 0).await;
    scene.record(5).await;
    scene.all_acked(5).await;
}

#[tokio::test]
async fn batches_that_are_too_large_are_split() {
    let mut scene = Scene::new(Stored { most: Some(3), ..Stored::default() }, 0).await;
    scene.record(40).await;
    scene.all_acked(40).await;
}

#[tokio::test]
async fn a_single_event_that_is_too_large_is_replaced() {
    let mut scene = Scene::new(Stored { most: Some(0), ..Stored::default() }, 0).await;
    scene.record(1).await;
    let told = scene.problem().await;
    assert!(matches!(told, DeliverProblem::EventRefused { seq: 1, .. }), "{told:?}");
    scene.server.lock().unwrap().most = None;
    // It was refused as a replacement too, until now: the next try comes after a pause.
    scene.all_acked(1).await;
    assert_eq!(scene.server.lock().unwrap().events[0].kind, "worker.event_refused");
}

#[tokio::test]
async fn a_refused_event_is_replaced_under_its_number_and_the_run_is_told() {
    for kind in [ProblemType::InvalidEvent, ProblemType::GateRefused] {
        let poison = Some((2, kind));
        let mut scene = Scene::new(Stored { poison, ..Stored::default() }, 0).await;
        scene.record(3).await;
        scene.all_acked(3).await;
        let expected = DeliverProblem::EventRefused {
            seq: 2,
            kind: "spec.progress".into(),
            reason: "it does not fit".into(),
            fatal: kind == ProblemType::GateRefused,
        };
        assert_eq!(scene.problem().await, expected);
        let server = scene.server.lock().unwrap();
        assert_eq!(server.events[1].kind, "worker.event_refused");
        assert_eq!(server.events[1].data["refused"], "spec.progress");
        let kept = std::fs::read_to_string(scene.place.path().join("refused.jsonl")).unwrap();
        assert!(kept.contains("fact 2") && kept.contains("it does not fit"), "{kept}");
    }
}

#[tokio::test]
async fn events_that_the_server_lost_are_sent_again() {
    // Our note says that 2 are stored; the server has none.
    let mut scene = Scene::new(Stored::default(), 2).await;
    scene.record(3).await;
    scene.all_acked(3).await;
}

#[tokio::test]
async fn a_newer_generation_is_told_and_ends_delivery() {
    let script = [Answer::Refuse(Problem::new(ProblemType::Fenced, "no"))].into();
    let mut scene = Scene::new(Stored { script, ..Stored::default() }, 0).await;
    scene.record(1).await;
    assert_eq!(scene.problem().await, DeliverProblem::Fenced);
    let ended = tokio::time::timeout(PATIENCE, scene.courier).await;
    ended.expect("delivery ends").unwrap();
    assert!(scene.server.lock().unwrap().events.is_empty());
}

#[tokio::test]
async fn an_ended_sandbox_is_told_once_and_the_rest_is_shipped() {
    let mut scene = Scene::new(Stored { ended: true, ..Stored::default() }, 0).await;
    scene.record(1).await;
    assert_eq!(scene.problem().await, DeliverProblem::SandboxEnded);
    scene.record(2).await;
    scene.all_acked(3).await;
    assert!(scene.problems.try_recv().is_err(), "told once");
}

#[tokio::test]
async fn a_refused_token_is_told_once_and_tried_on() {
    let mut scenes = Vec::new();
    for kind in [ProblemType::Unauthorized, ProblemType::Forbidden] {
        let no = Answer::Refuse(Problem::new(kind, "who are you?"));
        let scene = Scene::new(Stored { script: [no].into(), ..Stored::default() }, 0).await;
        scene.record(1).await;
        scenes.push(scene);
    }
    // Side by side: the pause after such a refusal is long.
    for mut scene in scenes {
        assert!(matches!(scene.problem().await, DeliverProblem::Refused { .. }));
        scene.all_acked(1).await;
        assert!(scene.problems.try_recv().is_err(), "told once");
    }
}
