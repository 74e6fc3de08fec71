//! What a server's log says, and what it says elsewhere: one trace from a request to the worker's log
//! and back, no secret anywhere, spans at a collector.

mod collector;

use std::path::Path;

use serde_json::{Value, json};
use specwright_shared::phase::Phase;
use specwright_shared::trace::{TRACEPARENT, TraceContext};
use specwright_tests::messages_api::{Answer, Block, MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Finished, MODEL_KEY, Running, System};
use specwright_tests::wait::{PATIENCE, wait_for};
use tokio_util::sync::CancellationToken;

use self::collector::{Collector, text};

const OWNER: &str = "swo_the-owner-of-a-traced-server";
const LAUNCHES: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const SAYS: &str = "00-5bf92f3577b34da6a3ce929d0e0e4736-01f067aa0ba902b7-01";

fn trace_of(context: &str) -> String {
    context.parse::<TraceContext>().unwrap().trace.to_string()
}

/// A server with a JSON log, and someone who speaks to it.
struct Served {
    server: Running,
    url: String,
    http: reqwest::Client,
}

impl Served {
    async fn by(system: &mut System) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        system.set("SPECWRIGHT_OWNER_TOKEN", OWNER);
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--local-repositories", "--own-keys"];
        let arguments = arguments.into_iter().chain(["--log", "json", "--json"]);
        let mut server = system.start(system.root(), arguments);
        let url = server.url().await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { server, url, http }
    }

    fn ask(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(OWNER)
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.ask(reqwest::Method::GET, path).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    async fn post(&self, path: &str, context: &str, request_id: &str, body: &Value) -> Value {
        let request = self.ask(reqwest::Method::POST, path).header(TRACEPARENT, context);
        let answer = request.header("x-request-id", request_id).json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    async fn end(self) -> Finished {
        self.server.signal(rustix::process::Signal::TERM);
        self.server.finish().await.expect_code(0)
    }
}

/// The lines of a log, each of which must be JSON.
fn lines(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[tokio::test]
async fn who_knows_the_trace_of_a_message_finds_it_in_both_logs_and_in_its_receipts() {
    let release = CancellationToken::new();
    let read = Block::tool("Glob", json!({ "pattern": "**/*.rs" }));
    let playbook =
        Playbook::new().with(Phase::Explore, [Answer::Hold(release.clone(), vec![read])]);
    let model = MessagesApi::start(playbook.script()).await.unwrap();
    let mut system = System::with_claude(&model);
    let repository = Repository::with_files(sample::FILES);
    let api = Served::by(&mut system).await;
    let launch = json!({
        "spec": { "description": sample::IDEA, "repository": repository.path() },
        "run": { "until": "explore" },
    });
    let launched = api.post("/api/v1/specs/launch", LAUNCHES, "the-launch", &launch).await;
    let [spec, sandbox] = [&launched["spec"]["id"], &launched["sandbox_id"]]
        .map(|id| id.as_str().unwrap().to_owned());
    wait_for("the model to be asked", PATIENCE, async || {
        model.asks().iter().any(|ask| ask.phase() == Some(Phase::Explore)).then_some(())
    })
    .await;
    let say = json!({ "kind": "user_message", "text": "Mind the marmalade clients" });
    let path = format!("/api/v1/sandboxes/{sandbox}/messages");
    let said = api.post(&path, SAYS, "the-say", &say).await;
    let receipts = async |status: &str| {
        let page = api.get(&format!("/api/v1/specs/{spec}/events?limit=200")).await;
        let events = page["items"].as_array().unwrap().clone();
        let is = |event: &&Value| {
            event["data"]["message_id"] == said["id"] && event["data"]["status"] == status
        };
        events.iter().any(|event| is(&event)).then_some(events)
    };
    wait_for("the message to be written", PATIENCE, async || receipts("written").await).await;
    release.cancel();
    let events =
        wait_for("the message to be settled", PATIENCE, async || receipts("settled").await).await;
    for event in &events {
        let of = if event["data"]["message_id"] == said["id"] { SAYS } else { LAUNCHES };
        assert_eq!(event["trace_id"], trace_of(of), "{event}");
    }

    let path = system.data().join("sandboxes").join(&sandbox).join("worker.log");
    let of_worker = lines(&std::fs::read_to_string(path).unwrap());
    assert!(of_worker.iter().all(|line| line["sandbox"] == sandbox && line["spec"] == spec));
    let has = |log: &[Value], context: &str, message: &str| {
        let trace = trace_of(context);
        log.iter().any(|line| line["trace_id"] == trace && line["message"] == message)
    };
    assert!(has(&of_worker, SAYS, "a message came"), "{of_worker:#?}");
    assert!(has(&of_worker, LAUNCHES, "a worker begins"), "{of_worker:#?}");
    let of_server = lines(&api.end().await.stderr);
    assert!(has(&of_server, LAUNCHES, "a worker said hello"), "{of_server:#?}");
    assert!(has(&of_server, SAYS, "a message was stored"), "{of_server:#?}");
    let answered = of_server
        .iter()
        .find(|line| line["request_id"] == "the-say" && line["message"] == "answered");
    let answered = answered.unwrap_or_else(|| panic!("{of_server:#?}"));
    assert_eq!(answered["route"], "/api/v1/sandboxes/{id}/messages");
    assert_eq!((&answered["status"], &answered["method"]), (&json!(201), &json!("POST")));
    assert_eq!(answered["trace_id"], trace_of(SAYS));
}

#[tokio::test]
async fn nothing_of_a_hostile_request_that_is_secret_is_in_the_log() {
    let mut system = System::new();
    system.set("ANTHROPIC_API_KEY", MODEL_KEY).set("SPECWRIGHT_LOG", "debug");
    let api = Served::by(&mut system).await;
    let forged = "swt_a-forged-token-that-is-a-secret-elsewhere";
    let text = "the-word-that-only-the-agent-may-hear";
    let say = json!({ "kind": "user_message", "text": text, "titel": text });
    let sandbox = "/api/v1/sandboxes/01890a5d-ac96-774b-bcce-b302099a8057";
    for (method, path) in [
        ("GET", format!("/api/v1/specs/{OWNER}?token={OWNER}&key={MODEL_KEY}")),
        ("GET", format!("/nowhere/{forged}?access_token={forged}")),
        ("GET", format!("/api/v1/specs?after={forged}&limit={forged}")),
        ("POST", format!("{sandbox}/messages")),
        ("PUT", format!("/api/v1/credentials/{forged}")),
        ("BREW", "/api/v1/specs".to_owned()),
    ] {
        for token in [OWNER, forged, MODEL_KEY, "two words", ""] {
            let request = api
                .http
                .request(method.parse().unwrap(), format!("{}{path}", api.url))
                .header("authorization", format!("Bearer {token}"))
                .header("cookie", format!("session={forged}"))
                .header("x-api-key", MODEL_KEY)
                .header("user-agent", format!("curl/8 {forged}"))
                .header("x-request-id", format!("{forged} {OWNER}"))
                .header(TRACEPARENT, format!("00-{forged}"));
            let answer = request.json(&say).send().await.unwrap();
            let [id, context] =
                ["x-request-id", TRACEPARENT].map(|name| answer.headers()[name].to_str().unwrap());
            assert!(!id.contains(OWNER), "{id}");
            assert!(context.parse::<TraceContext>().is_ok(), "{context}");
        }
    }
    // An id that would be taken, were it not a secret that this process knows.
    api.ask(reqwest::Method::GET, "/healthz").header("x-request-id", OWNER).send().await.unwrap();
    let log = api.end().await.stderr;
    assert!(lines(&log).iter().any(|line| line["message"] == "answered"), "{log}");
    for secret in [OWNER, forged, MODEL_KEY, text] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn a_collector_gets_the_span_of_a_request_below_the_callers() {
    let collector = Collector::start().await;
    let mut system = System::new();
    system.set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint);
    system.set("OTEL_SERVICE_NAME", "planning");
    let api = Served::by(&mut system).await;
    let request = api.ask(reqwest::Method::GET, "/api/v1/specs").header(TRACEPARENT, LAUNCHES);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let own: TraceContext = answer.headers()[TRACEPARENT].to_str().unwrap().parse().unwrap();
    // What was not sent by then is sent at the end.
    let log = api.end().await;
    let given: TraceContext = LAUNCHES.parse().unwrap();
    let spans = collector.spans();
    let ours = spans.iter().find(|(_, span)| span.span_id == own.span.get().to_be_bytes());
    let (service, span) = ours.unwrap_or_else(|| panic!("{spans:#?}\n{log:?}"));
    assert_eq!(service, "planning");
    assert_eq!(span.trace_id, given.trace.get().to_be_bytes());
    assert_eq!(span.parent_span_id, given.span.get().to_be_bytes());
    assert_eq!(span.name, "GET /api/v1/specs");
    assert_eq!(span.kind, opentelemetry_proto::tonic::trace::v1::span::SpanKind::Server as i32);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/api/v1/specs"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(text(&span.attributes, name), value, "{span:#?}");
    }
    assert!(span.events.is_empty(), "the log's lines stay in the log: {span:#?}");
}

#[tokio::test]
async fn a_collector_that_is_dead_or_deaf_changes_nothing() {
    // One that takes connections and never answers, and one that is not there.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for endpoint in [deaf.local_addr().unwrap(), dead] {
        let mut system = System::new();
        system.set("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{endpoint}"));
        // Every span is sent at once, and does not fit behind the one before.
        system.set("OTEL_BSP_SCHEDULE_DELAY", "1").set("OTEL_BSP_MAX_QUEUE_SIZE", "1");
        let api = Served::by(&mut system).await;
        for _ in 0..50 {
            assert_eq!(api.get("/api/v1/specs").await["items"], json!([]));
        }
        api.end().await;
        assert!(left(system.root()), "{endpoint}");
    }
}

/// Whether what a server leaves is there: it came to its end, and was not cut off.
fn left(root: &Path) -> bool {
    // A write-ahead log that was not folded into its file would stand beside it.
    root.join("data/specwright.db").exists() && !root.join("data/specwright.db-wal").exists()
}
