//! Delivery against a real server that answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use specwright_shared::id::SandboxId;
use specwright_shared::redact::Redactor;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::{Event, Progress};
use specwright_shared::wire::problem::{Problem, ProblemType};
use specwright_shared::wire::sandbox::Ack;

use super::*;
use crate::config::Secret;
use crate::spool::Spool;

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
    /// Refused for good, by number.
    poison: Option<(u64, ProblemType)>,
    /// Batches with more events than this are too large.
    most: Option<usize>,
}

type Server = Arc<Mutex<Stored>>;

async fn take(State(server): State<Server>, Json(batch): Json<Batch>) -> Response {
    let mut server = server.lock().unwrap();
    server.batches.push(batch.events.len());
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
    Json(Ack { acked: server.events.len() as u64 }).into_response()
}

struct Scene {
    server: Server,
    spool: Spool,
    acked: watch::Receiver<u64>,
    problems: mpsc::Receiver<DeliverProblem>,
    stop: CancellationToken,
    courier: tokio::task::JoinHandle<()>,
    _place: tempfile::TempDir,
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
        tokio::spawn(async move { axum::serve(listener, routes).await });
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
        Self { server, spool, acked, problems, stop, courier, _place: place }
    }

    async fn record(&self, count: usize) {
        for n in 1..=count {
            let event = Event::Progress(Progress { message: format!("fact {n}") });
            self.spool.record(Timestamp::from_micros(1), None, event).await.unwrap();
        }
    }

    async fn all_acked(&mut self, last: u64) {
        let acked = self.acked.wait_for(|acked| *acked >= last);
        tokio::time::timeout(Duration::from_secs(10), acked)
            .await
            .expect("all events acknowledged within 10 s")
            .unwrap();
        let server = self.server.lock().unwrap();
        let numbers: Vec<u64> = server.events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=last).collect::<Vec<_>>(), "each once, in order");
    }

    async fn problem(&mut self) -> DeliverProblem {
        tokio::time::timeout(Duration::from_secs(10), self.problems.recv())
            .await
            .expect("a problem told within 10 s")
            .unwrap()
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
        };
        assert_eq!(scene.problem().await, expected);
        let server = scene.server.lock().unwrap();
        assert_eq!(server.events[1].kind, "worker.event_refused");
        assert_eq!(server.events[1].data["refused"], "spec.progress");
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
async fn fenced_and_ended_are_told_and_end_delivery() {
    for (kind, expected) in [
        (ProblemType::Fenced, DeliverProblem::Fenced),
        (ProblemType::SandboxEnded, DeliverProblem::SandboxEnded),
    ] {
        let script = [Answer::Refuse(Problem::new(kind, "no"))].into();
        let mut scene = Scene::new(Stored { script, ..Stored::default() }, 0).await;
        scene.record(1).await;
        assert_eq!(scene.problem().await, expected);
        scene.courier.await.unwrap();
        assert!(scene.server.lock().unwrap().events.is_empty());
    }
}

#[tokio::test]
async fn a_refused_token_is_told_once_and_tried_on() {
    let no = Answer::Refuse(Problem::new(ProblemType::Unauthorized, "who are you?"));
    let mut scene = Scene::new(Stored { script: [no].into(), ..Stored::default() }, 0).await;
    scene.record(1).await;
    assert!(matches!(scene.problem().await, DeliverProblem::Refused { .. }));
    scene.all_acked(1).await;
}
