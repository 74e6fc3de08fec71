//! `GET /sandboxes/{id}/messages/stream?after=`, by the worker: messages behind a position as
//! server-sent events, those that are there already first; the requests to stop and to pause as
//! events of their own names.
//!
//! What holds: an event's id is the message's position, so that `Last-Event-ID` (or `?after=`) goes on
//! without a gap; reading consumes nothing; the store is looked at for every event, so nothing is
//! lost with a connection. The stream ends with the sandbox, at shutdown, and after the request to
//! stop, behind which nothing comes.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::SandboxId;
use specwright_shared::wire::message::{Poll, push};
use uuid::Uuid;

use super::poll::{PollError, look};
use crate::app::App;
use crate::extract::{Params, PathId};
use crate::problem::chain;
use crate::stream::{self, Chunk, Source};

/// The query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    #[serde(default)]
    after: u64,
}

/// One worker's messages, as a stream's source.
struct Messages {
    sandbox: SandboxId,
    after: u64,
    pause_told: bool,
}

/// Opens the stream.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(sandbox): PathId<SandboxId>,
    Params(query): Params<Query>,
    headers: HeaderMap,
) -> Result<Response, PollError> {
    // Refused as an answer, not as a stream that ends at once.
    look(&app, sandbox, u64::MAX).await?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let after = last.unwrap_or(query.after);
    Ok(stream::open(&app, Messages { sandbox, after, pause_told: false }))
}

impl Source for Messages {
    fn about(&self) -> Uuid {
        self.sandbox.0
    }

    fn resume(&self) -> String {
        self.after.to_string()
    }

    async fn read(&mut self, app: &App) -> Chunk {
        match look(app, self.sandbox, self.after).await {
            Ok(poll) => self.take(&poll),
            Err(PollError::Ended) => Chunk::end(),
            Err(error) => {
                // The worker connects again; a store that is away is then said with a status.
                let sandbox = self.sandbox;
                tracing::error!(error = chain(&error), %sandbox, "a stream of messages broke");
                Chunk::end()
            }
        }
    }
}

impl Messages {
    fn take(&mut self, poll: &Poll) -> Chunk {
        let mut chunk = Chunk::default();
        for message in &poll.messages {
            self.after = self.after.max(message.position);
            if let Ok(data) = serde_json::to_string(message) {
                chunk.frame(Some(&message.position.to_string()), Some(push::MESSAGE), &data);
            }
        }
        if poll.pause && !std::mem::replace(&mut self.pause_told, poll.pause) {
            chunk.frame(None, Some(push::PAUSE), "{}");
        }
        if let Some(stop) = &poll.stop {
            if let Ok(data) = serde_json::to_string(stop) {
                chunk.frame(None, Some(push::STOP), &data);
            }
            return chunk.and_over();
        }
        chunk
    }
}

#[cfg(test)]
mod tests;
