//! The control API, as the worker calls it: four requests, each answered or refused in a type.
//!
//! Deliberately absent: retries. Who calls knows how long it may wait.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use specwright_shared::excerpt::Excerpt;
use specwright_shared::id::SandboxId;
use specwright_shared::trace::{TRACEPARENT, TraceContext};
use specwright_shared::wire::message::Poll;
use specwright_shared::wire::problem::{Problem, ProblemType};
use specwright_shared::wire::sandbox::{
    Ack, Heartbeat, HeartbeatAck, Hello, TranscriptSaved, Welcome,
};

use crate::config::Secret;
use crate::deliver::Parcel;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request may take: a batch of 4 MiB over a slow line.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the control API may hold a poll open.
pub(crate) const POLL_WAIT: Duration = Duration::from_secs(20);
/// How long a stream of messages may be silent: three of its heartbeats.
const STREAM_SILENCE: Duration = Duration::from_secs(15);
/// The most bytes of a strange answer that are shown.
const SHOWN_MAX_BYTES: usize = 300;

/// Why a request got no proper answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer came.
    #[error("the control API could not be reached ({0})")]
    Unreachable(String),
    /// The control API said no, in its own words.
    #[error("the control API refused ({}): {}", .0.kind.as_str(), .0.detail)]
    Refused(Box<Problem>),
    /// An answer that is none of the control API's.
    #[error("something that is not the control API answered {status}: {shown}")]
    Strange {
        /// The HTTP status.
        status: u16,
        /// The answer's beginning.
        shown: String,
    },
}

impl ApiError {
    /// The kind of refusal, if it is one.
    #[must_use]
    pub fn problem(&self) -> Option<ProblemType> {
        match self {
            Self::Refused(problem) => Some(problem.kind),
            Self::Unreachable(_) | Self::Strange { .. } => None,
        }
    }

    /// Whether the same request may be answered later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let status = match self {
            Self::Unreachable(_) => return true,
            Self::Refused(problem) => problem.status,
            Self::Strange { status, .. } => *status,
        };
        matches!(status, 408 | 429 | 500..)
    }
}

/// A client for one sandbox's routes.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    /// Without a limit for the whole answer: a stream has no end.
    streaming: reqwest::Client,
    base: String,
    token: Secret,
    /// The run's trace; each request is a step of its own.
    trace: Option<TraceContext>,
}

impl Api {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// [`ApiError::Unreachable`] when the system gives no TLS or DNS settings.
    pub fn new(
        control_api: &reqwest::Url,
        sandbox_id: SandboxId,
        token: Secret,
    ) -> Result<Self, ApiError> {
        Self::with_stream_silence(control_api, sandbox_id, token, STREAM_SILENCE)
    }

    /// The same; a stream of messages may be silent for so long.
    pub(crate) fn with_stream_silence(
        control_api: &reqwest::Url,
        sandbox_id: SandboxId,
        token: Secret,
        stream_silence: Duration,
    ) -> Result<Self, ApiError> {
        let builder = || {
            let builder = reqwest::Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .user_agent(concat!("specwright-worker/", env!("CARGO_PKG_VERSION")));
            // A proxy cannot reach our own machine's loopback.
            if is_loopback(control_api) { builder.no_proxy() } else { builder }
        };
        let http = builder().timeout(REQUEST_TIMEOUT).build().map_err(unreachable)?;
        let streaming = builder().read_timeout(stream_silence).build().map_err(unreachable)?;
        let base = format!("{}/sandboxes/{sandbox_id}", control_api.as_str().trim_end_matches('/'));
        Ok(Self { http, streaming, base, token, trace: None })
    }

    /// The same, in a trace.
    #[must_use]
    pub fn in_trace(self, trace: TraceContext) -> Self {
        Self { trace: Some(trace), ..self }
    }

    /// We are up; what is the job?
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn hello(&self, hello: &Hello) -> Result<Welcome, ApiError> {
        self.post("hello", hello).await
    }

    /// Facts, in order.
    ///
    /// # Errors
    /// [`ApiError`]
    pub(crate) async fn events(&self, parcel: &Parcel) -> Result<Ack, ApiError> {
        let mut request = self
            .http
            .post(format!("{}/events", self.base))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(parcel.body.clone());
        if parcel.gzip {
            request = request.header(http::header::CONTENT_ENCODING, "gzip");
        }
        self.send(request).await
    }

    /// We live.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatAck, ApiError> {
        self.post("heartbeat", heartbeat).await
    }

    /// Messages behind a position, or nothing after [`POLL_WAIT`].
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn poll(&self, after: u64) -> Result<Poll, ApiError> {
        let wait_ms = u64::try_from(POLL_WAIT.as_millis()).unwrap_or(u64::MAX);
        let request = self
            .http
            .get(format!("{}/messages/poll", self.base))
            .query(&[("after", after), ("wait_ms", wait_ms)]);
        self.send(request).await
    }

    /// The agent's newest conversation, as gzip.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn transcript(
        &self,
        generation: u64,
        session_id: uuid::Uuid,
        packed: Vec<u8>,
    ) -> Result<TranscriptSaved, ApiError> {
        let request = self
            .http
            .put(format!("{}/transcript", self.base))
            .query(&[
                ("session_id", session_id.to_string()),
                ("generation", generation.to_string()),
            ])
            .header(http::header::CONTENT_TYPE, "application/gzip")
            .body(packed);
        self.send(request).await
    }

    /// The stream of messages behind a position, opened.
    ///
    /// # Errors
    /// [`ApiError`]
    pub(crate) async fn message_stream(&self, after: u64) -> Result<reqwest::Response, ApiError> {
        let request = self
            .streaming
            .get(format!("{}/messages/stream", self.base))
            .query(&[("after", after)])
            .header(http::header::ACCEPT, "text/event-stream");
        let answer = self.ours(request).send().await.map_err(unreachable)?;
        let kind = answer.headers().get(http::header::CONTENT_TYPE);
        let is_stream = kind
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        if answer.status().is_success() && is_stream {
            return Ok(answer);
        }
        let status = answer.status();
        Err(no_answer(status, &answer.bytes().await.map_err(unreachable)?))
    }

    async fn post<B: Serialize, A: DeserializeOwned>(
        &self,
        route: &str,
        body: &B,
    ) -> Result<A, ApiError> {
        self.send(self.http.post(format!("{}/{route}", self.base)).json(body)).await
    }

    /// Says who asks, and in which trace.
    fn ours(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let request = request.bearer_auth(self.token.reveal());
        match self.trace {
            Some(trace) => {
                request.header(TRACEPARENT, trace.step(uuid::Uuid::new_v4()).to_string())
            }
            None => request,
        }
    }

    async fn send<A: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<A, ApiError> {
        let answer = self.ours(request).send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        if status.is_success()
            && let Ok(parsed) = serde_json::from_slice(&body)
        {
            return Ok(parsed);
        }
        Err(no_answer(status, &body))
    }
}

/// What came in the place of the answer.
fn no_answer(status: http::StatusCode, body: &[u8]) -> ApiError {
    if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
        return ApiError::Refused(Box::new(problem));
    }
    let shown = Excerpt::within(&String::from_utf8_lossy(body), SHOWN_MAX_BYTES).text;
    ApiError::Strange { status: status.as_u16(), shown }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

/// The innermost cause says what happened; reqwest's own sentence names only the address.
#[expect(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn unreachable(error: reqwest::Error) -> ApiError {
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    ApiError::Unreachable(cause.to_string())
}
