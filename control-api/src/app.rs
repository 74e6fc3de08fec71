//! What every handler and duty of one running control API shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use specwright_shared::redact::Redactor;
use specwright_shared::time::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::sandboxes::Provider;
use crate::store::Store;
use crate::wake::Wakes;

/// The shared parts.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) store: Store,
    /// SHA-256 of the owner's token.
    pub(crate) owner_hash: [u8; 32],
    /// Takes the owner's token out of what is to be stored.
    pub(crate) redactor: Redactor,
    pub(crate) wakes: Wakes,
    pub(crate) provider: Provider,
    pub(crate) data_dir: PathBuf,
    pub(crate) lease: Duration,
    pub(crate) heartbeat: Duration,
    /// Since when this control API has been there to take heartbeats.
    pub(crate) started: Instant,
    /// Cancelled when what a crash had left was looked after once.
    pub(crate) looked: CancellationToken,
    /// How many places that lost their workers are looked into at once.
    pub(crate) salvages: Semaphore,
    /// Everything that runs beside the requests.
    pub(crate) tasks: TaskTracker,
    /// Ends waiting requests and duties.
    pub(crate) shutdown: CancellationToken,
}

/// A handle on the shared parts.
pub(crate) type App = Arc<Api>;

impl Api {
    /// The time, asked for once per request and passed on from there.
    pub(crate) fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    /// Since when heartbeats have been taken here.
    pub(crate) fn listening_since(&self, now: Timestamp) -> Timestamp {
        let micros = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(now.as_micros().saturating_sub(micros))
    }

    /// Whether every live worker has had the time to renew its lease here.
    pub(crate) fn leases_can_be_judged(&self) -> bool {
        self.started.elapsed() > self.lease
    }
}
