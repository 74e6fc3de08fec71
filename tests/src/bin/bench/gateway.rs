//! What the gateway adds to a call of the model, beside the same call made directly, in turns.
//!
//! The service is a few lines on loopback that answers at once. A real one takes a second to begin
//! and sends some kilobytes a second; the stream here is paced at a hundred times that. Its pieces are
//! due by the clock, as a model writes: a pause that is counted from the piece before would measure how
//! the runtime rounds pauses.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::post;
use futures_util::{StreamExt as _, stream};
use specwright_shared::budget::Budget;
use specwright_shared::ledger::Ledger;
use specwright_shared::stall::Patience;
use specwright_worker::gateway::{
    Credential, FACTS_MAX, Gateway, Journal, Metering, ModelFact, Upstream,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::figure::{Figure, median};

const REQUEST_AIM_MS: f64 = 1.0;
const STREAM_AIM_PERCENT: f64 = 2.0;
/// Requests of each kind; the first ones open the connections.
const REQUESTS: usize = 400;
const WARM_UP: usize = 20;
/// Streams of each kind.
const STREAMS: usize = 7;
/// A stream: 5 MB in pieces, one every four milliseconds.
const PIECES: usize = 500;
const PIECE_BYTES: usize = 10_000;
const PIECE_EVERY: Duration = Duration::from_millis(4);
/// What a request carries: as much as a conversation of some turns.
const REQUEST_BYTES: usize = 100_000;

const HEAD: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\
    \"claude-opus-5-5\",\"usage\":{\"input_tokens\":100,\"output_tokens\":1}}}\n\n";
const TAIL: &str = "event: message_delta\ndata: {\"usage\":{\"output_tokens\":40}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let direct = serve(&stop, &tasks).await?;
    let (facts, mut told) = mpsc::channel(FACTS_MAX);
    let patience = Patience { silence: Duration::from_secs(60), pings: Duration::from_secs(60) };
    let place = tempfile::NamedTempFile::new()?;
    let (journal, _) = Journal::open(place.path())?;
    let (ledger, budget) = (Ledger::default(), Budget::of(Some(9.0)));
    let metering = Metering { ledger, budget, journal, patience, facts };
    let upstream = Upstream {
        base_url: direct.clone(),
        credential: Credential::ApiKey("the-real-key".to_owned()),
    };
    let gateway = Gateway::start(upstream, metering, &stop).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let through = Way { client: &client, base_url: &gateway.base_url, key: &gateway.dummy_key };
    let beside = Way { client: &client, base_url: &direct, key: "any" };

    let (mut one, mut other, mut kept) = (Vec::new(), Vec::new(), 0);
    for number in 0..WARM_UP + REQUESTS {
        let (gateway_ms, direct_ms) = (through.ask("short").await?, beside.ask("short").await?);
        kept += keep(&gateway, &mut told);
        if number >= WARM_UP {
            one.push(gateway_ms);
            other.push(direct_ms);
        }
    }
    let request = Pair::of(one, other)?;
    let paced = pair(&through, &beside, "paced").await?;
    let rushed = pair(&through, &beside, "rushed").await?;
    let calls = keep(&gateway, &mut told);
    gateway.stop().await;
    stop.cancel();
    tasks.close();
    let calls = kept + calls;
    ensure!(calls == WARM_UP + REQUESTS + 2 * STREAMS, "{calls} calls were counted");
    let beside_ms =
        |pair: &Pair| format!("direct {:.2} ms, through it {:.2} ms", pair.direct, pair.through);
    Ok(vec![
        Figure::new("gateway_request_p50", request.through - request.direct, "ms")
            .aim(REQUEST_AIM_MS)
            .beside(format!("{}; {REQUESTS} requests of 100 kB", beside_ms(&request))),
        Figure::new("gateway_stream_5mb", (paced.through / paced.direct - 1.0) * 100.0, "%")
            .aim(STREAM_AIM_PERCENT)
            .beside(format!("{}; paced, 500 pieces in 2 s", beside_ms(&paced))),
        Figure::new("gateway_stream_5mb_unpaced", rushed.through - rushed.direct, "ms")
            .beside(format!("{}; as fast as loopback goes", beside_ms(&rushed))),
    ])
}

/// Takes what the gateway told, as a run does; how many calls that were.
fn keep(gateway: &Gateway, told: &mut mpsc::Receiver<ModelFact>) -> usize {
    let mut calls = 0;
    while let Ok(fact) = told.try_recv() {
        if let ModelFact::Called(call) = fact {
            gateway.recorded(call.call_id);
            calls += 1;
        }
    }
    calls
}

/// Medians of the two ways.
struct Pair {
    through: f64,
    direct: f64,
}

impl Pair {
    fn of(through: Vec<f64>, direct: Vec<f64>) -> Result<Self> {
        let through = median(through).context("no measurement")?;
        Ok(Self { through, direct: median(direct).context("no measurement")? })
    }
}

async fn pair(through: &Way<'_>, direct: &Way<'_>, what: &str) -> Result<Pair> {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for _ in 0..STREAMS {
        one.push(through.ask(what).await?);
        other.push(direct.ask(what).await?);
    }
    Pair::of(one, other)
}

/// A way to the service.
struct Way<'a> {
    client: &'a reqwest::Client,
    base_url: &'a str,
    key: &'a str,
}

impl Way<'_> {
    /// From the request to the last byte of the answer, in milliseconds.
    async fn ask(&self, what: &str) -> Result<f64> {
        let filling = "x".repeat(REQUEST_BYTES);
        let body = format!("{{\"model\":\"m\",\"stream\":true,\"filling\":\"{filling}\"}}");
        let request = self
            .client
            .post(format!("{}/v1/messages?{what}", self.base_url))
            .header("x-api-key", self.key)
            .body(body);
        let began = Instant::now();
        let mut answer = request.send().await?.error_for_status()?;
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await? {
            bytes += chunk.len();
        }
        let took = began.elapsed().as_secs_f64() * 1000.0;
        ensure!(what == "short" || bytes > PIECES * PIECE_BYTES, "{bytes} bytes came");
        Ok(took)
    }
}

async fn serve(stop: &CancellationToken, tasks: &TaskTracker) -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let routes = Router::new().route("/v1/messages", post(answer));
    let served = axum::serve(listener, routes);
    let stop = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            ended = served.into_future() => ended,
            () = stop.cancelled() => Ok(()),
        }
    });
    Ok(format!("http://{address}"))
}

async fn answer(request: axum::extract::Request) -> Response {
    let what = request.uri().query().unwrap_or_default().to_owned();
    // All of a request is read before it is answered.
    let read = axum::body::to_bytes(request.into_body(), 2 * REQUEST_BYTES).await.is_ok();
    let pieces = if what == "short" || !read { 1 } else { PIECES };
    let piece = Bytes::from(format!(
        "event: content_block_delta\ndata: {{\"delta\":\"{}\"}}\n\n",
        "x".repeat(PIECE_BYTES)
    ));
    let paced = what == "paced";
    let began = tokio::time::Instant::now();
    let middle = stream::iter((1_u32..).take(pieces)).then(move |number| {
        let piece = piece.clone();
        async move {
            if paced {
                tokio::time::sleep_until(began + PIECE_EVERY * number).await;
            }
            piece
        }
    });
    let head = stream::iter([Bytes::from_static(HEAD.as_bytes())]);
    let tail = stream::iter([Bytes::from_static(TAIL.as_bytes())]);
    let all = head.chain(middle).chain(tail).map(Ok::<_, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(all));
    let media_type = axum::http::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, media_type);
    response
}
