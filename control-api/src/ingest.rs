//! Taking in what a worker reports: one transaction per batch.
//!
//! What holds: `(sandbox, seq)` is an event's identity, so a replay changes nothing and gets the same
//! answer; a gap is answered with the number that comes next; an older generation is refused; events,
//! what they mean and the acknowledgement are committed together or not at all; unknown types are
//! stored and mean nothing; the owner's token is in nothing that is stored. What has ended stays as it
//! was: what comes behind the end, in the same batch or later, is kept as a fact without effect, once
//! and in order, and the answer says that the sandbox has ended.

//!
//! Most batches change nothing but the log and what counts up with it: those that wait at the same
//! moment are taken in together ([`together`]). All others, and what could not be taken in so, have a
//! transaction of their own ([`alone`]).

mod alone;
mod arrived;
mod believed;
mod effects;
mod gate;
mod together;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::phase::SandboxState;
use specwright_shared::redact::Redactor;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::sandbox::{Ack, BATCH_MAX_EVENTS, Batch};
use tokio_util::task::TaskTracker;

use self::arrived::Arrived;
use self::together::Groups;
use crate::app::App;
use crate::run::Run;
use crate::store::event::intake::Standing;
use crate::store::plan::PlanError;
use crate::store::trouble::again;
use crate::store::{Store, StoreError};

/// Why a batch was not taken. Nothing of it is stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestError {
    /// No such sandbox.
    #[error("there is no sandbox {0}")]
    UnknownSandbox(SandboxId),
    /// Someone newer took over.
    #[error("generation {theirs} is no longer this sandbox's; {newest} is: stop")]
    Fenced { theirs: u64, newest: u64 },
    /// A generation that was never handed out.
    #[error("generation {theirs} was never handed out; say hello and use the one in the answer")]
    NeverHandedOut { theirs: u64 },
    /// Numbers are missing.
    #[error("the batch begins at {begins}; the next number that is taken is {expected}")]
    Gap { begins: u64, expected: u64 },
    /// The batch contradicts itself.
    #[error("event {after} is followed by {found}; numbers in a batch rise by one, from 1")]
    Disorder { after: u64, found: u64 },
    /// Too many at once.
    #[error("the batch has {0} events; at most {BATCH_MAX_EVENTS} are taken at once")]
    TooMany(usize),
    /// An event's body is wrong.
    #[error("event {seq}: {why}")]
    InvalidEvent { seq: u64, why: String },
    /// An output fails its gate.
    #[error("event {seq}: {why}")]
    GateRefused { seq: u64, why: String },
    /// The store failed.
    #[error("the batch could not be stored")]
    Store(#[from] StoreError),
}

/// What is wrong with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    Invalid(String),
    Gate(String),
}

impl Fault {
    fn at(self, seq: u64) -> IngestError {
        match self {
            Self::Invalid(why) => IngestError::InvalidEvent { seq, why },
            Self::Gate(why) => IngestError::GateRefused { seq, why },
        }
    }
}

/// Why one event was refused; [`IngestError`] adds its number.
#[derive(Debug)]
enum Refusal {
    Fault(Fault),
    Store(StoreError),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<PlanError> for Refusal {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Store(error) => Self::Store(error),
            unresolved @ PlanError::Unresolved { .. } => Fault::Gate(unresolved.to_string()).into(),
        }
    }
}

impl Refusal {
    fn at(self, seq: u64) -> IngestError {
        match self {
            Self::Fault(fault) => fault.at(seq),
            Self::Store(error) => IngestError::Store(error),
        }
    }
}

/// What was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) ack: Ack,
    /// Whose events these are.
    pub(crate) spec: SpecId,
    /// SHA-256 of the token that opens the sandbox, as it stood when this was taken in; `None` where that
    /// was not looked at.
    pub(crate) token: Option<[u8; 32]>,
    /// The sandbox that goes on with the run; its place is to be made.
    pub(crate) next: Option<SandboxId>,
}

/// Takes in what workers report to one control API.
#[derive(Debug)]
pub(crate) struct Intake {
    store: Store,
    groups: Groups,
}

impl Intake {
    /// Into this store; what is under way is among these tasks.
    pub(crate) fn new(store: Store, tasks: TaskTracker) -> Self {
        Self { groups: Groups::new(store.clone(), tasks), store }
    }

    /// A worker begins to report, and its run stands here: what it brings first needs not to be asked for.
    pub(crate) fn begins(&self, run: &Run, generation: u64, token: [u8; 32]) {
        self.groups.believe(Standing {
            sandbox: run.sandbox.id,
            spec: run.spec.id,
            ended: run.sandbox.state == SandboxState::Ended,
            generation,
            acked: run.sandbox.acked_seq,
            events: run.spec.events,
            trace: run.sandbox.traceparent.map(|context| context.trace),
            token,
        });
    }

    /// Takes in a batch. The answer is true only after the commit. What a lost connection broke off is
    /// done again: a batch that was committed after all gets the same answer. With a control API, a run
    /// that ends may go on in another sandbox ([`Taken::next`]).
    ///
    /// # Errors
    /// [`IngestError`]; nothing of the batch is stored then.
    pub(crate) async fn take(
        &self,
        app: Option<&App>,
        redactor: &Redactor,
        sandbox: SandboxId,
        batch: Batch,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Taken, IngestError> {
        let arrived = Arc::new(Arrived::new(redactor, sandbox, batch, now, lease)?);
        if arrived.changes_the_log_only()
            && let Some(taken) = self.groups.take(&arrived).await
        {
            return taken;
        }
        again("ingest", || alone::take(app, &self.store, &arrived)).await
    }
}
