//! The open streams of messages: whether they stay open, and when something is pushed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::body::Body;
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::http::Connection;
use super::server::TOKEN;
use super::worker::Load;

/// Between two messages.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// Pushes that nobody looked at yet: one worker is told something at a time.
const PUSHES_MAX: usize = 16;
/// How long a push may take before the measurement breaks.
const PUSH_AT_MOST: Duration = Duration::from_secs(20);

/// All streams.
pub(super) struct Listeners {
    sandboxes: Vec<Uuid>,
    open: JoinSet<Result<()>>,
    heard: mpsc::Sender<Uuid>,
    pushes: tokio::sync::Mutex<mpsc::Receiver<Uuid>>,
    stop: CancellationToken,
}

impl Default for Listeners {
    fn default() -> Self {
        let (heard, pushes) = mpsc::channel(PUSHES_MAX);
        Self {
            sandboxes: Vec::new(),
            open: JoinSet::new(),
            heard,
            pushes: pushes.into(),
            stop: CancellationToken::new(),
        }
    }
}

impl Listeners {
    /// Listens to one more.
    pub(super) fn listen(&mut self, sandbox: Uuid, connection: Connection, body: Body) {
        self.sandboxes.push(sandbox);
        let (heard, stop) = (self.heard.clone(), self.stop.clone());
        self.open.spawn(async move {
            let listening = listen(sandbox, body, &heard);
            let over = stop.run_until_cancelled(listening).await;
            drop(connection);
            over.unwrap_or(Ok(()))
        });
    }

    /// Says something to one worker after the other while a load lasts; how long each push took, in
    /// ms.
    pub(super) async fn say(&self, address: SocketAddr, load: Load) -> Result<Vec<f64>> {
        let mut owner = Connection::open(address, TOKEN).await?;
        let mut pushes = self.pushes.lock().await;
        let mut took_ms = Vec::new();
        let mut due = load.begins + SAY_EVERY / 2;
        // Never the neighbour of the one before.
        for sandbox in self.sandboxes.iter().step_by(1 + self.sandboxes.len() / 97).cycle() {
            if due >= load.begins + load.lasts {
                break;
            }
            sleep_until(due).await;
            due += SAY_EVERY;
            let began = Instant::now();
            let message = json!({ "kind": "user_message", "text": "Measure" }).to_string();
            let path = format!("/api/v1/sandboxes/{sandbox}/messages");
            let (status, answer) = owner.post(&path, message).await?;
            ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&answer));
            let pushed = timeout(PUSH_AT_MOST, pushes.recv()).await;
            let pushed = pushed.context("a message was not pushed")?;
            ensure!(pushed == Some(*sandbox), "a message was pushed to another worker");
            took_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(took_ms)
    }

    /// Ends all; an error if one had ended before.
    pub(super) async fn end(mut self) -> Result<()> {
        self.stop.cancel();
        while let Some(one) = self.open.join_next().await {
            one??;
        }
        Ok(())
    }
}

async fn listen(sandbox: Uuid, body: Body, heard: &mpsc::Sender<Uuid>) -> Result<()> {
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.context("a stream of messages broke")?;
        // One frame is one chunk, however the network cuts: it is flushed as one.
        if chunk.starts_with(b"id: ") {
            heard.send(sandbox).await?;
        }
    }
    bail!("a stream of messages ended")
}
