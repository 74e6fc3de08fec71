//! A Messages API on loopback whose model follows a script.
//!
//! It answers `POST /v1/messages` (streaming, and as one JSON object where `stream` is absent: the
//! CLI falls back to that) and `POST /v1/messages/count_tokens`, and records every request with its
//! headers. What each request is answered is decided by a [`Script`]: a function of the [`Ask`], or
//! a [`Playbook`] that knows the phases of a spec.
//!
//! Deliberately absent: any judgement of the request. What the CLI sends is looked at by the tests.

mod answer;
mod ask;
mod playbook;
mod stream;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use answer::{Answer, Block, Refusal};
pub use ask::Ask;
pub use playbook::Playbook;

/// What decides the answers.
pub type Script = Arc<dyn Fn(&Ask) -> Answer + Send + Sync>;

/// The largest request that is read: above what the real service takes (32 MB).
const REQUEST_MAX_BYTES: usize = 64 * 1024 * 1024;

/// A running fake. Dropping it ends it, and every answer that it still holds.
pub struct MessagesApi {
    address: SocketAddr,
    recorded: Arc<Recorder>,
    stop: CancellationToken,
}

struct Recorder {
    asks: Mutex<Vec<Ask>>,
}

#[derive(Clone)]
struct Shared {
    script: Script,
    recorded: Arc<Recorder>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl MessagesApi {
    /// Starts one on a free port of loopback.
    ///
    /// # Errors
    /// No port could be bound.
    pub async fn start(
        script: impl Fn(&Ask) -> Answer + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let recorded = Arc::new(Recorder { asks: Mutex::default() });
        let stop = CancellationToken::new();
        let shared = Shared {
            script: Arc::new(script),
            recorded: Arc::clone(&recorded),
            stop: stop.clone(),
            tasks: TaskTracker::new(),
        };
        let router = Router::new()
            .route("/v1/messages", post(messages))
            .route("/v1/messages/count_tokens", post(count_tokens))
            .route("/v1/models", get(models))
            .layer(DefaultBodyLimit::max(REQUEST_MAX_BYTES))
            .with_state(shared.clone());
        let tasks = shared.tasks;
        let until = stop.clone();
        tasks.clone().spawn(async move {
            let served = axum::serve(listener, router);
            tokio::select! {
                ended = served.into_future() => ended,
                () = until.cancelled() => Ok(()),
            }
        });
        Ok(Self { address, recorded, stop })
    }

    /// What goes into `ANTHROPIC_BASE_URL`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request to `/v1/messages` so far, in the order of arrival.
    #[must_use]
    pub fn asks(&self) -> Vec<Ask> {
        self.recorded.lock().clone()
    }
}

impl Drop for MessagesApi {
    fn drop(&mut self) {
        // Every task of ours watches this token; the runtime of the test ends after it.
        self.stop.cancel();
    }
}

impl Recorder {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Ask>> {
        // A script that panics has failed its test already; the record is still whole.
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Known here are keys that do not say that they were revoked.
async fn models(headers: HeaderMap) -> Response {
    let key = headers.get("x-api-key").and_then(|key| key.to_str().ok());
    match key {
        Some(key) if !key.contains("revoked") => axum::Json(json!({ "data": [] })).into_response(),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn messages(
    State(shared): State<Shared>,
    headers: HeaderMap,
    axum::Json(body): axum::Json<Value>,
) -> Response {
    let ask = {
        let mut asks = shared.recorded.lock();
        let ask = Ask::new(asks.len(), &headers, body);
        asks.push(ask.clone());
        ask
    };
    let answer = (shared.script)(&ask);
    tokio::select! {
        response = answer::respond(answer, &ask, &shared.tasks, &shared.stop) => response,
        // The test is over: whoever still waits for an answer gets none.
        () = shared.stop.cancelled() => Response::new(Body::empty()),
    }
}

async fn count_tokens(axum::Json(body): axum::Json<Value>) -> axum::Json<Value> {
    // Four bytes a token: near enough for a client that only budgets with it.
    axum::Json(serde_json::json!({ "input_tokens": body.to_string().len() / 4 }))
}

#[cfg(test)]
mod tests;
