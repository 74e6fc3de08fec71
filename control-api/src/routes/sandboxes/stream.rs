//! `GET /sandboxes/{id}/messages/stream?after=`, by the worker: messages behind a position as
//! server-sent events, those that are there already first; the requests to stop and to pause as
//! events of their own names.
//!
//! What holds: an event's id is the message's position, so that `Last-Event-ID` (or `?after=`) goes on
//! without a gap; reading consumes nothing; the store is looked at for every event, so nothing is
//! lost with a connection. The stream ends with the sandbox, at shutdown, and after the request to
//! stop, behind which nothing comes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use http::HeaderMap;
use serde::Deserialize;
use specwright_shared::id::SandboxId;
use specwright_shared::wire::message::{Poll, push};

use super::poll::{PollError, look};
use crate::app::App;
use crate::extract::{Params, PathId};
use crate::problem::chain;
use crate::wake::Find;

/// How often an idle stream says that it is there. The worker takes three silent ones for a dead
/// connection; proxies hang up after 30 s and more.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long one wait of the stream's lasts; it waits again then.
const WAIT: Duration = Duration::from_secs(25);

/// The query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    #[serde(default)]
    after: u64,
}

/// What a stream waits for: also a pause that it has not told yet.
struct Found {
    poll: Poll,
    pause_is_news: bool,
}

impl Find for Found {
    fn is_found(&self) -> bool {
        self.pause_is_news || self.poll.is_found()
    }
}

/// One worker's stream.
struct Push {
    app: App,
    sandbox: SandboxId,
    after: u64,
    pause_told: bool,
    /// Made and not yet taken by the connection.
    ready: VecDeque<Event>,
    over: bool,
}

/// Opens the stream.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(sandbox): PathId<SandboxId>,
    Params(query): Params<Query>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, PollError> {
    // Refused as an answer, not as a stream that ends at once.
    look(&app, sandbox, u64::MAX).await?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let after = last.unwrap_or(query.after);
    let push = Push { app, sandbox, after, pause_told: false, ready: VecDeque::new(), over: false };
    let events = futures_util::stream::unfold(push, async |mut push| {
        let event = push.next().await?;
        Some((Ok(event), push))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

impl Push {
    async fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() && !self.over && !self.app.shutdown.is_cancelled() {
            let (app, sandbox, after) = (&self.app, self.sandbox, self.after);
            let told = self.pause_told;
            let found = app.wakes.until_found(sandbox.0, WAIT, &app.shutdown, async || {
                let poll = look(app, sandbox, after).await?;
                Ok(Found { pause_is_news: poll.pause && !told, poll })
            });
            match found.await {
                Ok(found) => self.take(found),
                Err(PollError::Ended) => self.over = true,
                Err(error) => {
                    // The worker connects again; a store that is away is then said with a status.
                    tracing::error!(error = chain(&error), %sandbox, "a stream of messages broke");
                    self.over = true;
                }
            }
        }
        self.ready.pop_front()
    }

    fn take(&mut self, found: Found) {
        for message in &found.poll.messages {
            self.after = self.after.max(message.position);
            let event = Event::default().id(message.position.to_string()).event(push::MESSAGE);
            self.ready.extend(event.json_data(message).ok());
        }
        if found.pause_is_news {
            self.pause_told = true;
            self.ready.push_back(Event::default().event(push::PAUSE).data("{}"));
        }
        if let Some(stop) = &found.poll.stop {
            self.ready.extend(Event::default().event(push::STOP).json_data(stop).ok());
            self.over = true;
        }
    }
}

#[cfg(test)]
mod tests;
