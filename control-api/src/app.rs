//! What every handler and duty of one running control API shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use specwright_shared::id::ProjectId;
use specwright_shared::liveness::Settings;
use specwright_shared::redact::Redactor;
use specwright_shared::time::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::auth::{KnownSandboxes, Limiter, OpenStreams, SealKeys, Vigils};
use crate::config::Pace;
use crate::credentials::{CredentialServices, Redactors};
use crate::ingest::Intake;
use crate::metrics::Metrics;
use crate::reconcile::Nudges;
use crate::reconcile::presence::Presence;
use crate::sandboxes::Provider;
use crate::sandboxes::salvage::Salvages;
use crate::store::{self, Session, Store, StoreError};
use crate::stream::Tails;
use crate::wake::Wakes;

/// The shared parts.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) store: Store,
    /// Takes in what workers report.
    pub(crate) intake: Intake,
    /// SHA-256 of the owner's token.
    pub(crate) owner_hash: [u8; 32],
    /// Takes the owner's token out of what is to be stored.
    pub(crate) redactor: Redactor,
    /// The store's own.
    /// Take out what a worker was entrusted with, too.
    pub(crate) redactors: Redactors,
    /// What seals credentials.
    pub(crate) seal_keys: Option<Arc<SealKeys>>,
    /// Where credentials are tried out before they are kept; absent: their form alone is checked.
    pub(crate) credential_services: Option<CredentialServices>,
    /// Whether every user may name repositories on this machine.
    pub(crate) local_repositories: bool,
    /// How much a token may send.
    pub(crate) limiter: Limiter,
    /// Which sandboxes' tokens were looked up a moment ago.
    pub(crate) known_sandboxes: KnownSandboxes,
    /// Judge those who read streams again.
    pub(crate) vigils: Vigils,
    /// How many of them each has.
    pub(crate) open_streams: OpenStreams,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) tails: Tails,
    pub(crate) metrics: Metrics,
    pub(crate) provider: Provider,
    pub(crate) data_dir: PathBuf,
    pub(crate) lease: Duration,
    pub(crate) heartbeat: Duration,
    /// Which control API this is, among those on the same database.
    pub(crate) replica: Uuid,
    /// Since when one has been there to take heartbeats.
    pub(crate) presence: Presence,
    /// How often and how long background duties are at work.
    pub(crate) pace: Pace,
    /// Wakes background duties.
    pub(crate) duties: Nudges,
    /// Limits and steps of the idle monitor, where a project has none of its own.
    pub(crate) liveness: Settings,
    /// How much guardians may do, and whether the built-in one watches, where a project says nothing.
    pub(crate) guardian: specwright_shared::guardian::Settings,
    /// How long events stay unpacked; `None`: for ever.
    pub(crate) events_kept: Option<Duration>,
    /// Whether sandboxes are started by duties, too.
    pub(crate) makes_places: AtomicBool,
    /// Cancelled when what a crash had left was looked after once.
    pub(crate) looked: CancellationToken,
    /// How many places that lost their workers are looked into at once.
    pub(crate) salvages: Salvages,
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

    /// Whether sandboxes are started by duties here; not any more when we are about to end.
    pub(crate) fn makes_places(&self) -> bool {
        self.makes_places.load(Ordering::Relaxed)
    }

    /// Whether a lease ran out while a control API was there to renew it.
    pub(crate) fn has_run_out(&self, lease: Timestamp) -> bool {
        self.presence.has_run_out(lease, self.lease, self.now())
    }

    /// The settings of the idle monitor for a project. What does not fit any more (stored by another
    /// version) counts as not given.
    pub(crate) async fn settings_of(
        &self,
        session: &mut Session,
        project: ProjectId,
    ) -> Result<Settings, StoreError> {
        let Some(own) = store::liveness::settings(session, project).await? else {
            return Ok(self.liveness.clone());
        };
        Ok(self.liveness.with(&own).unwrap_or_else(|error| {
            tracing::warn!(%project, %error, "a project's liveness settings are left out");
            self.liveness.clone()
        }))
    }
}
