//! Streams of server-sent events: what is stored behind a cursor, then what comes, without a gap and
//! without a repeat.
//!
//! What holds: a [`Source`] reads on from the store, a wake says only "look again", and one loop
//! ([`feed`]) turns both into chunks; so nothing depends on a wake that is missed. A subscriber has at
//! most [`CHUNKS`] of [`CHUNK_BYTES`] waiting for it. One that takes none for [`PATIENCE`] is cut off:
//! behind what it still gets stands a `lagged` frame with the cursor to go on from.
//!
//! Deliberately absent: a parser (readers use a library), and names for ordinary frames: `onmessage`
//! of a browser hears them all; only `lagged`, `expired` and `goodbye` have names. The last is the word
//! at shutdown: the reader goes on behind its last event, at another replica or at the next start.

pub(crate) mod cursor;
pub(crate) mod facts;
pub(crate) mod filter;
mod tail;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::json;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) use self::tail::Tails;
use crate::app::App;

/// How many chunks may wait for a subscriber: with the size of one, 1 MiB at most.
const CHUNKS: usize = 16;
/// A chunk is closed when it is this large: large enough that a replay is not slowed by its pieces.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long a subscriber may take nothing before it is cut off: longer than a hiccup of a network,
/// shorter than what anyone would call live.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an idle stream says that it is there. The worker takes three silent ones for a dead
/// connection; proxies hang up after 30 s and more.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// When to look again for what waits for an older transaction to end: those take milliseconds.
const HELD_BACK: Duration = Duration::from_millis(10);

/// What a source found.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    frames: String,
    /// There is more behind it that cannot be read yet.
    pub(crate) held_back: bool,
    /// Nothing more will come.
    over: bool,
}

impl Chunk {
    /// The end of a stream.
    pub(crate) fn end() -> Self {
        Self { over: true, ..Self::default() }
    }

    /// Whether nothing was put into it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether no more should be put into it.
    pub(crate) const fn is_full(&self) -> bool {
        self.frames.len() >= CHUNK_BYTES
    }

    /// Nothing more will come behind it.
    pub(crate) fn and_over(self) -> Self {
        Self { over: true, ..self }
    }

    /// Adds a frame. The data is JSON, in which a line break is white space only.
    pub(crate) fn frame(&mut self, id: Option<&str>, name: Option<&str>, data: &str) {
        for (field, value) in [("id", id), ("event", name)] {
            if let Some(value) = value {
                self.frames.extend([field, ": ", value, "\n"]);
            }
        }
        self.frames.push_str("data: ");
        if data.contains(['\n', '\r']) {
            self.frames.push_str(&data.replace(['\n', '\r'], " "));
        } else {
            self.frames.push_str(data);
        }
        self.frames.push_str("\n\n");
    }
}

/// Where a stream's frames come from.
pub(crate) trait Source: Send + 'static {
    /// What commits are about that may bring something.
    fn about(&self) -> Uuid;

    /// From where a reader goes on that has all that was read so far.
    fn resume(&self) -> String;

    /// Reads on: what there is, at most a chunk; empty when there is nothing.
    fn read(&mut self, app: &App) -> impl Future<Output = Chunk> + Send;

    /// The least time between two reads that found something.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }
}

/// Opens a stream on a source.
pub(crate) fn open(app: &App, source: impl Source) -> Response {
    let (sender, mut chunks) = mpsc::channel(CHUNKS);
    // Kept for the last word: it must not wait for room.
    if let Ok(farewell) = sender.clone().try_reserve_owned() {
        app.tasks.spawn(feed(app.clone(), source, sender, farewell));
    }
    let body = futures_util::stream::poll_fn(move |context| {
        chunks.poll_recv(context).map(|chunk| chunk.map(Ok::<Bytes, Infallible>))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache"),
        (http::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// Feeds one subscriber until it goes, lags, or nothing more comes.
async fn feed(
    app: App,
    mut source: impl Source,
    chunks: mpsc::Sender<Bytes>,
    farewell: OwnedPermit<Bytes>,
) {
    let _open = app.metrics.stream_opened();
    // Proxies pass the head of an answer on with its first byte.
    let hello = chunks.try_send(Bytes::from_static(b": here\n\n"));
    let mut next_look = Instant::now();
    let mut over = hello.is_err();
    while !over {
        let seat = app.wakes.seat(source.about());
        // Enabled before the look, so that a commit right after it still wakes.
        let mut woken = pin!(seat.woken());
        woken.as_mut().enable();
        let resume = source.resume();
        // Boxed: reading needs much room, and a stream is idle most of its life.
        let chunk = Box::pin(source.read(&app)).await;
        over = chunk.over;
        let found = !chunk.is_empty();
        if found {
            let sent = tokio::select! {
                sent = tokio::time::timeout(PATIENCE, chunks.send(chunk.frames.into())) => sent,
                () = app.shutdown.cancelled() => return last_word(farewell, "goodbye", &resume),
            };
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => {
                    tracing::debug!(about = %source.about(), resume, "a slow subscriber is cut off");
                    app.metrics.stream_lagged();
                    return last_word(farewell, "lagged", &resume);
                }
            }
            let pace = source.pace();
            if pace.is_zero() {
                continue;
            }
            next_look = Instant::now() + pace;
        } else if chunk.held_back {
            next_look = Instant::now() + HELD_BACK;
        }
        drop(resume);
        let look_again = if found || chunk.held_back {
            next_look
        } else {
            Instant::now() + app.wakes.look_again()
        };
        loop {
            let beat = Instant::now() + HEARTBEAT;
            tokio::select! {
                () = woken.as_mut() => {
                    tokio::time::sleep_until(next_look).await;
                    break;
                }
                () = tokio::time::sleep_until(look_again.min(beat)) => {
                    if Instant::now() >= look_again {
                        break;
                    }
                    // One that has not taken the last ones has something to read.
                    drop(chunks.try_send(Bytes::from_static(b": here\n\n")));
                }
                () = chunks.closed() => return,
                () = app.shutdown.cancelled() => {
                    return last_word(farewell, "goodbye", &source.resume());
                }
            }
        }
    }
}

/// Says from where to go on, behind all that still waits for the subscriber.
fn last_word(farewell: OwnedPermit<Bytes>, name: &str, resume: &str) {
    let mut last = Chunk::default();
    last.frame(None, Some(name), &json!({ "resume": resume }).to_string());
    farewell.send(last.frames.into());
}
