//! A spec's events as they come: over a stream, or in pages where no stream comes through.
//!
//! What holds: each event once, in commit order, whatever breaks; a stream that breaks is opened again
//! behind the last event, and what one of them cannot give, a page does. Where the control API does
//! not know the place any more, the feed goes on behind the last event if that is still there, and else
//! from the oldest one that is, and says so ([`EventFeed::passed_over`]). Dropping a wait loses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use specwright_shared::id::{EventId, SpecId};
use specwright_shared::wire::Page;
use specwright_shared::wire::event::EventView;
use sse_stream::SseByteStream;

use super::{Client, ClientError};

/// How long a stream may last: it is not an answer that must come to its end.
const STREAM_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long the first byte may take: it is sent at once, so what holds it back holds all back.
const FIRST_BYTE: Duration = Duration::from_secs(5);
/// How long nothing may come: the control API says every 5 seconds that it is there.
const SILENCE: Duration = Duration::from_secs(20);
/// The most events that are given at once.
const EVENTS_MAX: usize = 200;

/// Where events come from.
#[derive(Debug)]
pub struct EventFeed {
    client: Client,
    spec: SpecId,
    after: Option<String>,
    /// The last event that was given.
    last: Option<(u64, EventId)>,
    passed_over: bool,
    ready: Vec<EventView>,
    by: By,
}

enum By {
    /// The next look opens a stream.
    NotYet,
    Stream(Box<Open>),
    /// No stream comes through.
    Pages,
}

impl std::fmt::Debug for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotYet => "NotYet",
            Self::Stream(_) => "Stream",
            Self::Pages => "Pages",
        })
    }
}

struct Open {
    frames: SseByteStream<BoxStream<'static, Result<Bytes, reqwest::Error>>>,
    moved: Arc<AtomicBool>,
    heard_anything: bool,
    silent_since: tokio::time::Instant,
}

/// What a stream gave.
enum Came {
    Event(Box<EventView>, Option<String>),
    Nothing,
    /// It ended, broke, or is held back by something in between.
    Over,
}

impl Client {
    /// The events of a spec behind `after` (absent: all), as they come.
    #[must_use]
    pub fn feed(&self, spec: SpecId, after: Option<String>) -> EventFeed {
        EventFeed {
            client: self.clone(),
            spec,
            after,
            last: None,
            passed_over: false,
            ready: Vec::new(),
            by: By::NotYet,
        }
    }
}

impl EventFeed {
    /// What came: at once if something is there, else within `wait`; empty if nothing came. Without
    /// a wait it is a page of what is stored: an empty one means that nothing more is.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn next(&mut self, wait: Duration) -> Result<Vec<EventView>, ClientError> {
        if wait.is_zero() {
            self.by = By::NotYet;
            return self.page(wait).await;
        }
        if matches!(self.by, By::NotYet) {
            self.by = self.open().await?;
        }
        let deadline = tokio::time::Instant::now() + wait;
        while self.ready.len() < EVENTS_MAX {
            let By::Stream(open) = &mut self.by else { break };
            let came = if self.ready.is_empty() {
                open.next(deadline).await
            } else {
                // What is there already comes along; nothing is waited for.
                match open.next(deadline).now_or_never() {
                    Some(came) => came,
                    None => break,
                }
            };
            match came {
                Came::Event(event, id) => {
                    self.after = id.or(self.after.take());
                    self.last = Some((event.position, event.event.id));
                    self.ready.push(*event);
                }
                Came::Nothing => break,
                Came::Over => {
                    self.by = if open.heard_anything { By::NotYet } else { By::Pages };
                    // What is wrong, if anything is, is said by the page.
                    if self.ready.is_empty() {
                        return self.page(Duration::ZERO).await;
                    }
                }
            }
        }
        if matches!(self.by, By::Pages) && self.ready.is_empty() {
            return self.page(wait).await;
        }
        Ok(std::mem::take(&mut self.ready))
    }

    /// Whether events before those that were given last are gone, and were passed over. Said once.
    pub const fn passed_over(&mut self) -> bool {
        std::mem::replace(&mut self.passed_over, false)
    }

    async fn page(&mut self, wait: Duration) -> Result<Vec<EventView>, ClientError> {
        if !self.ready.is_empty() {
            return Ok(std::mem::take(&mut self.ready));
        }
        let mut page = self.client.events(self.spec, self.after.as_deref(), wait).await;
        if let Err(error) = &page
            && let Some(oldest) = error.oldest().map(str::to_owned)
        {
            let (after, passed_over) = self.go_on(oldest).await?;
            // What a place that is known now can give, a stream can, too.
            self.by = By::NotYet;
            page = self.client.events(self.spec, Some(&after), wait).await;
            (self.after, self.passed_over) = (Some(after), self.passed_over || passed_over);
        }
        let page: Page<EventView> = page?;
        self.after = page.next.or(self.after.take());
        if let Some(last) = page.items.last() {
            self.last = Some((last.position, last.event.id));
        }
        Ok(page.items)
    }

    /// From where to go on when the place is not known any more, and whether that passes events over.
    /// A database that failed over knows none of the places that it gave out, but all events.
    async fn go_on(&self, oldest: String) -> Result<(String, bool), ClientError> {
        let Some((position, id)) = self.last else { return Ok((oldest, true)) };
        let before = position.saturating_sub(1).to_string();
        match self.client.events(self.spec, Some(&before), Duration::ZERO).await {
            Ok(page) => {
                let is_there =
                    page.items.first().is_some_and(|e| (e.position, e.event.id) == (position, id));
                Ok(if is_there { (position.to_string(), false) } else { (oldest, true) })
            }
            Err(error) if error.oldest().is_some() => Ok((oldest, true)),
            Err(error) => Err(error),
        }
    }

    async fn open(&self) -> Result<By, ClientError> {
        let path = format!("/api/v1/specs/{}/events/stream", self.spec);
        let mut request = self.client.request(Method::GET, &path)?.timeout(STREAM_MAX);
        if let Some(after) = &self.after {
            request = request.header("last-event-id", after);
        }
        let answer = tokio::time::timeout(FIRST_BYTE, request.send()).await;
        let Ok(Ok(answer)) = answer else { return Ok(By::Pages) };
        if !answer.status().is_success() {
            return Ok(By::Pages);
        }
        let moved = Arc::new(AtomicBool::new(false));
        let moves = Arc::clone(&moved);
        let bytes = answer.bytes_stream().inspect_ok(move |_| moves.store(true, Ordering::Relaxed));
        Ok(By::Stream(Box::new(Open {
            frames: SseByteStream::new(bytes.boxed()),
            moved,
            heard_anything: false,
            silent_since: tokio::time::Instant::now(),
        })))
    }
}

impl Open {
    async fn next(&mut self, deadline: tokio::time::Instant) -> Came {
        loop {
            let frame = tokio::time::timeout_at(deadline, self.frames.next()).await;
            if self.moved.swap(false, Ordering::Relaxed) {
                self.heard_anything = true;
                self.silent_since = tokio::time::Instant::now();
            }
            let patience = if self.heard_anything { SILENCE } else { FIRST_BYTE };
            match frame {
                Err(_) if self.silent_since.elapsed() > patience => return Came::Over,
                Err(_) => return Came::Nothing,
                Ok(None | Some(Err(_))) => return Came::Over,
                // `lagged`, `expired`, `goodbye`: the stream is over, and a page says what is there.
                Ok(Some(Ok(frame))) if frame.event.is_some() => return Came::Over,
                Ok(Some(Ok(frame))) => {
                    let Some(data) = frame.data else { continue };
                    match serde_json::from_str(&data) {
                        Ok(event) => return Came::Event(Box::new(event), frame.id),
                        Err(_) => return Came::Over,
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
