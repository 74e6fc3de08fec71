//! The push channel: the control API's server-sent events, as the worker reads them.
//!
//! What holds: what is not a push of ours is skipped, so a newer control API may say more; a stream
//! on which nothing moves, not even a heartbeat, is taken for dead and ends with an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use specwright_shared::wire::message::{Message, Stop, push};
use sse_stream::SseByteStream;

use crate::api::{Api, ApiError};

/// Something that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pushed {
    Message(Box<Message>),
    Stop(Stop),
    Pause,
}

/// An open stream.
pub(super) struct Pushes {
    events: SseByteStream<BoxStream<'static, Result<Bytes, reqwest::Error>>>,
    heard: Arc<AtomicBool>,
}

impl Pushes {
    /// Opens it, behind a position.
    pub(super) async fn open(api: &Api, after: u64) -> Result<Self, ApiError> {
        let answer = api.message_stream(after).await?;
        let heard = Arc::new(AtomicBool::new(false));
        let hears = Arc::clone(&heard);
        let bytes = answer.bytes_stream().inspect_ok(move |_| hears.store(true, Ordering::Relaxed));
        Ok(Self { events: SseByteStream::new(bytes.boxed()), heard })
    }

    /// The next push; `None` when the control API ended the stream.
    pub(super) async fn next(&mut self) -> Option<Result<Pushed, sse_stream::Error>> {
        loop {
            let event = match self.events.next().await? {
                Ok(event) => event,
                Err(error) => return Some(Err(error)),
            };
            if let Some(pushed) = read(&event) {
                return Some(Ok(pushed));
            }
        }
    }

    /// Whether a byte came. A stream without one goes through something that holds it back.
    pub(super) fn heard_anything(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }
}

fn read(event: &sse_stream::Sse) -> Option<Pushed> {
    let data = event.data.as_deref().unwrap_or_default();
    let read = match event.event.as_deref()? {
        push::MESSAGE => serde_json::from_str(data).map(|one| Pushed::Message(Box::new(one))),
        push::STOP => serde_json::from_str(data).map(Pushed::Stop),
        push::PAUSE => Ok(Pushed::Pause),
        _ => return None,
    };
    read.inspect_err(|error| tracing::warn!(%error, "a push of the control API cannot be read"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_control_api_pushes_is_skipped() {
        let event = |name: &str, data: &str| sse_stream::Sse::default().event(name).data(data);
        assert_eq!(read(&event("pause", "{}")), Some(Pushed::Pause));
        let stop = Stop { reason: "enough".into() };
        assert_eq!(read(&event("stop", r#"{"reason":"enough"}"#)), Some(Pushed::Stop(stop)));
        assert_eq!(read(&event("stop", "[]")), None);
        assert_eq!(read(&event("tomorrow", "{}")), None);
        assert_eq!(read(&sse_stream::Sse::default().data("{}")), None);
    }
}
