//! How messages come: pushed over a stream that the worker keeps open, and by a long poll where
//! something between here and the control API lets no stream through.
//!
//! What holds: a message is on disk before the run hears of it; the next connection begins behind the
//! last message on disk, so none is lost or doubled by a cut; a cut is mended within a second of the
//! control API's being there.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use specwright_shared::wire::message::{Message, Poll};
use specwright_shared::wire::problem::ProblemType;
use tokio::sync::mpsc;

use super::stream::{Pushed, Pushes};
use super::{Arrival, Inbox};
use crate::api::{Api, ApiError};

/// The first pause before connecting again, and the shortest between two connections.
const AGAIN_FIRST: Duration = Duration::from_millis(50);
/// The longest. The jitter adds up to as much again, and the connection itself takes a moment: so a cut
/// is mended within a second.
const AGAIN_MAX: Duration = Duration::from_millis(400);

/// Nothing more will be fetched.
struct Over;

impl Inbox {
    /// Fetches until the run is to stop, is fenced, or the disk fails.
    pub(super) async fn fetch(&mut self, api: &Api, arrivals: &mpsc::Sender<Arrival>) {
        while let Ok(()) = self.once(api, arrivals).await {
            tokio::time::sleep(AGAIN_FIRST).await;
        }
    }

    /// One stream, or one poll in its place.
    async fn once(&mut self, api: &Api, arrivals: &mpsc::Sender<Arrival>) -> Result<(), Over> {
        let after = self.after;
        match again(|| Pushes::open(api, after), ApiError::is_transient).await {
            Ok(mut pushes) => {
                while let Some(pushed) = pushes.next().await {
                    match pushed {
                        Ok(Pushed::Message(message)) => self.take(vec![*message], arrivals).await?,
                        Ok(Pushed::Pause) => tell(arrivals, Arrival::Pause).await,
                        Ok(Pushed::Stop(stop)) => {
                            tell(arrivals, Arrival::Stop(stop)).await;
                            return Err(Over);
                        }
                        Err(error) => {
                            tracing::info!(%error, "the stream of messages was cut");
                            break;
                        }
                    }
                }
                if pushes.heard_anything() { Ok(()) } else { self.poll(api, arrivals).await }
            }
            Err(error) => {
                tracing::debug!(%error, "no stream of messages is to be had; they are polled");
                self.poll(api, arrivals).await
            }
        }
    }

    async fn poll(&mut self, api: &Api, arrivals: &mpsc::Sender<Arrival>) -> Result<(), Over> {
        let after = self.after;
        let lasting = |error: &ApiError| error.problem() != Some(ProblemType::Fenced);
        let Ok(Poll { messages, stop, pause }) = again(|| api.poll(after), lasting).await else {
            tell(arrivals, Arrival::Fenced).await;
            return Err(Over);
        };
        self.take(messages, arrivals).await?;
        if pause {
            tell(arrivals, Arrival::Pause).await;
        }
        if let Some(stop) = stop {
            tell(arrivals, Arrival::Stop(stop)).await;
            return Err(Over);
        }
        Ok(())
    }

    /// Writes messages to disk, then tells the run of them.
    async fn take(
        &mut self,
        mut messages: Vec<Message>,
        arrivals: &mpsc::Sender<Arrival>,
    ) -> Result<(), Over> {
        messages.retain(|message| message.position > self.after);
        for message in &messages {
            if let Err(error) = self.keep(message) {
                tell(arrivals, Arrival::Broken(error.to_string())).await;
                return Err(Over);
            }
        }
        if !messages.is_empty() {
            tell(arrivals, Arrival::Messages(messages)).await;
        }
        Ok(())
    }
}

/// Asks until there is an answer, or an error that does not pass.
async fn again<T, F: Future<Output = Result<T, ApiError>>>(
    ask: impl FnMut() -> F,
    passes: impl FnMut(&ApiError) -> bool,
) -> Result<T, ApiError> {
    ask.retry(pauses())
        .when(passes)
        .notify(|error, pause| tracing::warn!(%error, ?pause, "messages are not fetched"))
        .await
}

/// The pauses between two tries; there is no last one.
const fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(AGAIN_FIRST)
        .with_max_delay(AGAIN_MAX)
        .without_max_times()
        .with_jitter()
}

async fn tell(arrivals: &mpsc::Sender<Arrival>, arrival: Arrival) {
    if arrivals.send(arrival).await.is_err() {
        tracing::debug!("the run is over; nobody listens to messages");
    }
}

#[cfg(test)]
mod tests;
