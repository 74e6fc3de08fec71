//! A reader of a stream, as a program of someone else would read it.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::Value;
use sse_stream::SseByteStream;

use crate::testing::Running;

/// How long a test waits for a frame: longer than that is a hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    data: String,
}

impl Frame {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

/// An open stream.
pub(super) struct Subscriber {
    frames: SseByteStream<BoxStream<'static, Result<axum::body::Bytes, reqwest::Error>>>,
}

impl Subscriber {
    pub(super) async fn open(api: &Running, path: &str, last_event_id: Option<&str>) -> Self {
        Self::open_as(api, path, super::TOKEN, last_event_id).await
    }

    pub(super) async fn open_as(
        api: &Running,
        path: &str,
        token: &str,
        last_event_id: Option<&str>,
    ) -> Self {
        Self::try_open(api, path, token, last_event_id).await.unwrap()
    }

    /// `None`: refused, or nobody is there.
    pub(super) async fn try_open(
        api: &Running,
        path: &str,
        token: &str,
        last_event_id: Option<&str>,
    ) -> Option<Self> {
        let mut request = api.http.get(format!("{}{path}", api.base)).bearer_auth(token);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let answer = request.send().await.ok().filter(|answer| answer.status() == 200)?;
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Some(Self { frames: SseByteStream::new(answer.bytes_stream().boxed()) })
    }

    /// The next frame that says something.
    pub(super) async fn next(&mut self) -> Frame {
        let next = tokio::time::timeout(PATIENCE, self.try_next()).await;
        next.expect("a frame came in time").expect("the stream goes on")
    }

    /// The next frame that says something; `None`: the stream ended or broke.
    pub(super) async fn try_next(&mut self) -> Option<Frame> {
        loop {
            let event = self.frames.next().await?.ok()?;
            if let Some(data) = event.data {
                return Some(Frame { id: event.id, name: event.event, data });
            }
        }
    }

    pub(super) async fn is_at_its_end(&mut self) -> bool {
        tokio::time::timeout(PATIENCE, self.try_next()).await.expect("it ends").is_none()
    }
}
