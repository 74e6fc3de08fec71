//! A control API of a few lines: the worker's four routes, kept in memory.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use specwright_shared::documents::Accepted;
use specwright_shared::id::MessageId;
use specwright_shared::phase::Phase;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::credential::Entrusted;
use specwright_shared::wire::event::RawEvent;
use specwright_shared::wire::message::{Deliver, Message, MessageKind, Poll, Stop};
use specwright_shared::wire::problem::{Problem, ProblemType};
use specwright_shared::wire::sandbox::{
    Ack, Batch, Heartbeat, HeartbeatAck, Hello, Job, SpecJob, Welcome,
};

#[derive(Default)]
struct Kept {
    repository: Option<String>,
    generation: u64,
    boot: Option<uuid::Uuid>,
    events: Vec<RawEvent>,
    messages: Vec<Message>,
    stop: Option<Stop>,
    /// Workers are there to deliver what is left, and nothing else.
    delivers: bool,
    refuse_events: bool,
    /// The worker's token is no longer good, and how often it was shown with events since.
    revoked: Option<ProblemType>,
    shown: usize,
    poison: Option<String>,
}

type Shared = Arc<Mutex<Kept>>;

/// The running server; it ends with the test's process.
pub(crate) struct Control {
    pub(crate) url: String,
    kept: Shared,
    /// While it is there. Its connections end with it.
    runtime: Option<tokio::runtime::Runtime>,
}

/// Waits, bounded, until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "not within 60 s: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

impl Control {
    pub(crate) fn start(repository: Option<String>) -> Self {
        let kept: Shared = Arc::new(Mutex::new(Kept { repository, ..Kept::default() }));
        let (url, runtime) = serve(&kept, "127.0.0.1:0");
        Self { url, kept, runtime: Some(runtime) }
    }

    /// Closes the port and every connection. What was kept is kept.
    pub(crate) fn go_away(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Listens again where it did.
    pub(crate) fn come_back(&mut self) {
        self.runtime = Some(serve(&self.kept, self.url.trim_start_matches("http://")).1);
    }

    pub(crate) fn kinds(&self) -> Vec<String> {
        self.kept.lock().unwrap().events.iter().map(|event| event.kind.clone()).collect()
    }

    pub(crate) fn phases_of(&self, kind: &str) -> Vec<Option<Phase>> {
        let kept = self.kept.lock().unwrap();
        kept.events.iter().filter(|event| event.kind == kind).map(|event| event.phase).collect()
    }

    /// The bodies of all events of a type, as text.
    pub(crate) fn describe(&self, kind: &str) -> String {
        let kept = self.kept.lock().unwrap();
        let bodies = kept.events.iter().filter(|event| event.kind == kind);
        bodies.map(|event| event.data.to_string()).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn(&[String]) -> bool) {
        until(what, || is_so(&self.kinds()));
    }

    pub(crate) fn generation(&self) -> u64 {
        self.kept.lock().unwrap().generation
    }

    /// From now on a worker that says hello is to deliver only.
    pub(crate) fn deliver_only(&self) {
        self.kept.lock().unwrap().delivers = true;
    }

    pub(crate) fn refuse_events(&self, refuse: bool) {
        self.kept.lock().unwrap().refuse_events = refuse;
    }

    /// Takes the worker's token back, or gives it again.
    pub(crate) fn revoke(&self, refusal: Option<ProblemType>) {
        let mut kept = self.kept.lock().unwrap();
        (kept.revoked, kept.shown) = (refusal, 0);
    }

    /// How often events came with a token that was taken back.
    pub(crate) fn refused_events(&self) -> usize {
        self.kept.lock().unwrap().shown
    }

    /// Refuses every event of this type for good.
    pub(crate) fn poison(&self, kind: &str) {
        self.kept.lock().unwrap().poison = Some(kind.to_owned());
    }

    pub(crate) fn stop(&self, reason: &str) {
        self.kept.lock().unwrap().stop = Some(Stop { reason: reason.to_owned() });
    }

    /// Another worker said hello.
    pub(crate) fn fence(&self) {
        self.kept.lock().unwrap().generation += 1;
    }

    pub(crate) fn message(&self, text: &str, kind: MessageKind, deliver: Deliver) -> MessageId {
        let mut kept = self.kept.lock().unwrap();
        let id = MessageId(uuid::Uuid::new_v4());
        let position = kept.messages.len() as u64 + 1;
        let new = serde_json::json!({ "kind": kind, "text": text, "deliver": deliver });
        let new = serde_json::from_value(new).unwrap();
        let now = Timestamp::from_micros(1);
        kept.messages.push(Message::queued(id, position, &new, None, now));
        id
    }
}

fn serve(kept: &Shared, address: &str) -> (String, tokio::runtime::Runtime) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let at = |route: &str| format!("/api/v1/sandboxes/{{id}}/{route}");
    let routes = Router::new()
        .route(&at("hello"), post(hello))
        .route(&at("events"), post(events))
        .route(&at("heartbeat"), post(heartbeat))
        .route(&at("messages/poll"), get(poll))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(kept), token_is_good))
        .with_state(Arc::clone(kept));
    let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move { axum::serve(listener, routes).await });
    (url, runtime)
}

async fn token_is_good(State(kept): State<Shared>, request: Request, next: Next) -> Response {
    {
        let mut kept = kept.lock().unwrap();
        if let Some(refusal) = kept.revoked {
            kept.shown += usize::from(request.uri().path().ends_with("/events"));
            return problem(Problem::new(refusal, "this token was taken back"));
        }
    }
    next.run(request).await
}

fn problem(problem: Problem) -> Response {
    (StatusCode::from_u16(problem.status).unwrap(), Json(problem)).into_response()
}

/// The idea of every job. Its last sentence holds what one test makes the key.
pub(crate) const IDEA: &str = "Limit each API client to 100 requests a minute. Answer 429 beyond it. \
                               Rotate the key sk-ant-in-the-idea each day.";

async fn hello(State(kept): State<Shared>, Json(hello): Json<Hello>) -> Json<Welcome> {
    let mut kept = kept.lock().unwrap();
    if kept.boot != Some(hello.boot_id) {
        kept.boot = Some(hello.boot_id);
        kept.generation += 1;
    }
    let job = SpecJob {
        spec_id: super::SPEC.parse().unwrap(),
        title: "Rate limit $(reboot) {}".to_owned(),
        description: IDEA.to_owned(),
        repository: kept.repository.clone(),
        start: Phase::Explore,
        until: Phase::Complete,
        accepted: Accepted::default(),
    };
    Json(Welcome {
        credentials: Entrusted::default(),
        generation: kept.generation,
        acked: kept.events.len() as u64,
        heartbeat_ms: 200,
        job: if kept.delivers { Job::Deliver } else { Job::Spec(Box::new(job)) },
    })
}

async fn events(State(kept): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let batch: Batch = if headers.get("content-encoding").is_some_and(|coding| coding == "gzip") {
        serde_json::from_reader(flate2::read::GzDecoder::new(&body[..])).unwrap()
    } else {
        serde_json::from_slice(&body).unwrap()
    };
    let mut kept = kept.lock().unwrap();
    if kept.refuse_events {
        return (StatusCode::SERVICE_UNAVAILABLE, "down").into_response();
    }
    if batch.generation < kept.generation {
        return problem(Problem::new(ProblemType::Fenced, "a newer one is at work"));
    }
    let poisoned = batch.events.iter().find(|event| Some(&event.kind) == kept.poison.as_ref());
    if let Some(event) = poisoned {
        let refused = Problem::new(ProblemType::GateRefused, "it does not pass");
        return problem(refused.at_seq(event.seq));
    }
    for event in batch.events {
        let next = kept.events.len() as u64 + 1;
        if event.seq > next {
            return problem(Problem::new(ProblemType::SequenceGap, "a gap").at_seq(next));
        }
        if event.seq == next {
            event.decode().expect("every event has the body of its type");
            kept.events.push(event);
        }
    }
    Json(Ack { acked: kept.events.len() as u64, ended: false }).into_response()
}

async fn heartbeat(State(kept): State<Shared>, Json(beat): Json<Heartbeat>) -> Response {
    let kept = kept.lock().unwrap();
    if beat.generation < kept.generation {
        return problem(Problem::new(ProblemType::Fenced, "a newer one is at work"));
    }
    Json(HeartbeatAck { stop: kept.stop.clone() }).into_response()
}

#[derive(serde::Deserialize)]
struct After {
    after: u64,
}

async fn poll(State(kept): State<Shared>, Query(After { after }): Query<After>) -> Json<Poll> {
    // A short long poll: the worker asks again at once.
    for _ in 0..50 {
        {
            let kept = kept.lock().unwrap();
            let messages: Vec<Message> =
                kept.messages.iter().filter(|one| one.position > after).cloned().collect();
            if !messages.is_empty() || kept.stop.is_some() {
                return Json(Poll { messages, stop: kept.stop.clone(), pause: false });
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Json(Poll { messages: Vec::new(), stop: None, pause: false })
}
