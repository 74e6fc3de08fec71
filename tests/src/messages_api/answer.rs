//! What a request can be answered.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ask::Ask;
use super::stream;

/// What a request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The model speaks and calls tools.
    Speak(Vec<Block>),
    /// The service refuses.
    Refuse(Refusal),
    /// The connection breaks in the middle of a reply; the text is what came through.
    CutAfter(String),
    /// The stream opens, and nothing more comes until the client gives up.
    Hang,
    /// The request is taken, and not even the head of an answer comes until the client gives up.
    Mute,
    /// The model says something, and then nothing more comes until the client gives up.
    HangAfter(String),
    /// The stream opens and pings until the token is cancelled; then the reply comes.
    Hold(CancellationToken, Vec<Block>),
}

/// One block of a reply.
#[derive(Debug, Clone)]
pub enum Block {
    /// Text.
    Text(String),
    /// A call of a tool.
    Tool {
        /// Which.
        name: String,
        /// With what.
        input: Value,
    },
}

/// A refusal of the service, in its own shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The error's name.
    pub kind: &'static str,
    /// The error in words.
    pub message: &'static str,
    /// The header `retry-after`, in seconds.
    pub retry_after: Option<u32>,
    /// The usage limit of a subscription is reached, and set back in so many seconds: the headers
    /// `anthropic-ratelimit-unified-*`.
    pub unified_reset: Option<u32>,
    /// The header `x-should-retry: false`: the client is not to repeat the request by itself.
    pub is_final: bool,
}

impl Refusal {
    /// 429: too many requests. Asks to come back after a second.
    pub const RATE_LIMITED: Self = Self {
        status: 429,
        kind: "rate_limit_error",
        message: "This request would exceed the rate limit.",
        retry_after: Some(1),
        unified_reset: None,
        is_final: false,
    };
    /// 529: too many people at once.
    pub const OVERLOADED: Self = Self {
        status: 529,
        kind: "overloaded_error",
        message: "Overloaded",
        retry_after: None,
        unified_reset: None,
        is_final: false,
    };
    /// 401: the key is not known.
    pub const BAD_KEY: Self = Self {
        status: 401,
        kind: "authentication_error",
        message: "invalid x-api-key",
        retry_after: None,
        unified_reset: None,
        is_final: false,
    };
}

impl Answer {
    /// The model says something and ends its turn.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Speak(vec![Block::Text(text.into())])
    }

    /// The model calls one tool.
    pub fn tool(name: &str, input: Value) -> Self {
        Self::Speak(vec![Block::tool(name, input)])
    }

    /// The model gives its structured output.
    #[must_use]
    pub fn output(output: Value) -> Self {
        Self::Speak(vec![Block::output(output)])
    }
}

impl Block {
    /// A call of a tool.
    #[must_use]
    pub fn tool(name: &str, input: Value) -> Self {
        Self::Tool { name: name.to_owned(), input }
    }

    /// The structured output.
    #[must_use]
    pub fn output(output: Value) -> Self {
        Self::tool("StructuredOutput", output)
    }
}

/// Makes the HTTP response.
pub(super) async fn respond(
    answer: Answer,
    ask: &Ask,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Response {
    match answer {
        Answer::Refuse(refusal) => refuse(&refusal),
        Answer::Speak(blocks) if !ask.streams() => whole(ask, &blocks),
        Answer::Hold(until, blocks) if !ask.streams() => {
            until.cancelled().await;
            whole(ask, &blocks)
        }
        // Without a stream there is no middle to cut and nothing to open: no answer at all.
        Answer::CutAfter(_) | Answer::HangAfter(_) | Answer::Hang if !ask.streams() => {
            std::future::pending().await
        }
        Answer::Mute => std::future::pending().await,
        answer => streamed(stream::open(answer, ask, tasks, stop)),
    }
}

fn streamed(body: Body) -> Response {
    let mut response = Response::new(body);
    let media_type = header::HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

fn whole(ask: &Ask, blocks: &[Block]) -> Response {
    let mut message = stream::message_head(ask);
    let content: Vec<Value> = blocks
        .iter()
        .enumerate()
        .map(|(index, block)| match block {
            Block::Text(text) => json!({ "type": "text", "text": text }),
            Block::Tool { name, input } => json!({
                "type": "tool_use", "id": stream::tool_id(ask, index), "name": name, "input": input,
            }),
        })
        .collect();
    message["content"] = content.into();
    message["stop_reason"] = stream::stop_reason(blocks).into();
    as_json(StatusCode::OK, &message)
}

fn refuse(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let error = json!({ "type": refusal.kind, "message": refusal.message });
    let mut response = as_json(status, &json!({ "type": "error", "error": error }));
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if let Some(seconds) = refusal.unified_reset {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let reset = now.unwrap_or_default().as_secs() + u64::from(seconds);
        let headers = response.headers_mut();
        let name = |rest: &'static str| header::HeaderName::from_static(rest);
        let value = header::HeaderValue::from_static;
        headers.insert(name("anthropic-ratelimit-unified-status"), value("rejected"));
        headers.insert(name("anthropic-ratelimit-unified-reset"), reset.into());
        let claim = name("anthropic-ratelimit-unified-representative-claim");
        headers.insert(claim, value("five_hour"));
    }
    if refusal.is_final {
        let name = header::HeaderName::from_static("x-should-retry");
        response.headers_mut().insert(name, header::HeaderValue::from_static("false"));
    }
    response
}

fn as_json(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let media_type = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}
