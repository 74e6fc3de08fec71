//! Delivery: a task of its own that ships the spool until all of it is acknowledged.
//!
//! What holds:
//! - the run never waits for it;
//! - events are sent in order, one batch at a time, and again until the control API says that it has
//!   them; there is no limit of retries while the job lives, and the pauses are jittered;
//! - what was acknowledged is never sent again, unless the control API asks for it; an answer that
//!   comes late and says less than is known changes nothing;
//! - what is durable goes at once, and what becomes durable meanwhile goes together with the next batch:
//!   a lone event waits for nobody, and a burst needs no timer to become a batch;
//! - when an answer says that the sandbox has ended, the run is told at once, and the rest is shipped;
//! - each refusal has its own reaction (the table is [`Courier::refused`]): an older generation ends
//!   delivery, a refused token is told once and tried slowly, a batch that is too large is halved, an
//!   event that is wrong is put aside with the reason, and something else goes out under its number.
//!
//! Bodies are compressed ([`parcel`]) and go over one connection that is kept open.

mod parcel;
mod refusal;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use specwright_shared::wire::event::RawEvent;
use specwright_shared::wire::sandbox::{Ack, BATCH_MAX_BYTES, BATCH_MAX_EVENTS, Batch};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use self::parcel::Parcel;
use crate::api::{Api, ApiError};
use crate::spool::SpoolReader;

/// The first pause after a failure.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest pause after failures.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The pause after a refusal that only people can lift.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// Room for the envelope around the events of a batch.
const ENVELOPE_BYTES: usize = 64 * 1024;

/// Something about delivery that the run must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliverProblem {
    /// A newer generation took over; nothing of ours is taken any more.
    Fenced,
    /// The control API ended this sandbox; it goes on taking what we have.
    SandboxEnded,
    /// An event was refused for good; something else went out under its number.
    EventRefused {
        /// Its number.
        seq: u64,
        /// Its type.
        kind: String,
        /// What the control API said.
        reason: String,
        /// Whether the run hangs on it: an output, the end, or anything that fails its gate.
        fatal: bool,
    },
    /// The control API refuses us; we go on trying.
    Refused {
        /// What it said.
        reason: String,
    },
}

/// Ships events.
pub(crate) struct Courier {
    /// The control API.
    pub(crate) api: Api,
    /// Our generation.
    pub(crate) generation: u64,
    /// What is to be shipped.
    pub(crate) reader: SpoolReader,
    /// How far the spool is durable.
    pub(crate) durable: watch::Receiver<u64>,
    /// How far the control API has it.
    pub(crate) acked: watch::Sender<u64>,
    /// Where problems are told.
    pub(crate) problems: mpsc::Sender<DeliverProblem>,
    /// Ends the task.
    pub(crate) stop: CancellationToken,
    /// What goes out in place of events that were refused.
    pub(crate) replaced: BTreeMap<u64, RawEvent>,
    /// The most events in the next batch; lowered by 413.
    pub(crate) limit: usize,
    /// Whether a refusal of us was told already.
    pub(crate) told_refused: bool,
    /// Whether the sandbox's end was told already.
    pub(crate) told_ended: bool,
}

/// Whether delivery goes on after an answer.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Go,
    Pause,
    End,
}

impl Courier {
    pub(crate) fn new(
        api: Api,
        generation: u64,
        reader: SpoolReader,
        durable: watch::Receiver<u64>,
        problems: mpsc::Sender<DeliverProblem>,
        stop: CancellationToken,
    ) -> (Self, watch::Receiver<u64>) {
        let (acked, seen) = watch::channel(reader.acked());
        let courier = Self {
            api,
            generation,
            reader,
            durable,
            acked,
            problems,
            stop,
            replaced: BTreeMap::new(),
            limit: BATCH_MAX_EVENTS,
            told_refused: false,
            told_ended: false,
        };
        (courier, seen)
    }

    /// Runs until it is stopped, or until nothing of ours is taken any more.
    pub(crate) async fn run(mut self) {
        let stop = self.stop.clone();
        // Dropping a request half-way is safe: what it carried is sent again.
        let _stopped = stop.run_until_cancelled(self.ship()).await;
    }

    async fn ship(&mut self) {
        loop {
            let acked = self.reader.acked();
            if self.durable.wait_for(|durable| *durable > acked).await.is_err() {
                return;
            }
            let durable = *self.durable.borrow_and_update();
            let max_bytes = BATCH_MAX_BYTES - ENVELOPE_BYTES;
            let (batch, bytes) = match self.reader.batch(durable, self.limit, max_bytes) {
                Ok(stretch) if stretch.events.is_empty() => {
                    // Durable numbers without lines: only damage to the file under our feet.
                    self.tell_refused("the spool's file lost lines that were durable").await;
                    tokio::time::sleep(REFUSED_PAUSE).await;
                    continue;
                }
                Ok(stretch) => (self.batch_of(stretch.events), stretch.bytes),
                Err(error) => {
                    self.tell_refused(&format!("the spool cannot be read: {error}")).await;
                    tokio::time::sleep(REFUSED_PAUSE).await;
                    continue;
                }
            };
            let (batch, parcel) = match Parcel::wrap(batch, bytes).await {
                Ok(wrapped) => wrapped,
                Err(error) => {
                    self.tell_refused(&format!("a batch cannot be encoded: {error}")).await;
                    tokio::time::sleep(REFUSED_PAUSE).await;
                    continue;
                }
            };
            match self.post(&parcel).await {
                Ok(ack) => {
                    self.acknowledged(ack.acked);
                    if ack.ended {
                        self.tell_ended().await;
                    }
                }
                Err(error) => match self.refused(&batch, &error).await {
                    Next::Go => {}
                    Next::Pause => tokio::time::sleep(REFUSED_PAUSE).await,
                    Next::End => return,
                },
            }
        }
    }

    fn batch_of(&self, mut events: Vec<RawEvent>) -> Batch {
        for event in &mut events {
            if let Some(instead) = self.replaced.get(&event.seq) {
                event.clone_from(instead);
            }
        }
        Batch { generation: self.generation, events }
    }

    async fn post(&self, parcel: &Parcel) -> Result<Ack, ApiError> {
        let retries = ExponentialBuilder::new()
            .with_min_delay(RETRY_FIRST)
            .with_max_delay(RETRY_MAX)
            .without_max_times()
            .with_jitter();
        (|| self.api.events(parcel))
            .retry(retries)
            .when(ApiError::is_transient)
            .notify(|error, pause| tracing::warn!(%error, ?pause, "events wait in the spool"))
            .await
    }

    fn acknowledged(&mut self, acked: u64) {
        if acked <= self.reader.acked() {
            return;
        }
        if let Err(error) = self.reader.acknowledge(acked) {
            // Only a hint for the next start is lost.
            tracing::warn!(%error, "the acknowledged number could not be written");
        }
        self.replaced.retain(|seq, _| *seq > acked);
        self.limit = BATCH_MAX_EVENTS;
        self.told_refused = false;
        self.acked.send_replace(acked);
    }
}
