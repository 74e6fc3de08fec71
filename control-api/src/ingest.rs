//! Taking in what a worker reports: one transaction per batch.
//!
//! What holds: `(sandbox, seq)` is an event's identity, so a replay changes nothing and gets the same
//! answer; a gap is answered with the number that comes next; an older generation is refused; events,
//! what they mean and the acknowledgement are committed together or not at all; unknown types are
//! stored and mean nothing; the owner's token is in nothing that is stored. What has ended stays as it
//! was: what comes behind the end, in the same batch or later, is kept as a fact without effect, once
//! and in order, and the answer says that the sandbox has ended.

mod effects;
mod gate;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::Value;
use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::phase::SandboxState;
use specwright_shared::redact::Redactor;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::{Decoded, RawEvent};
use specwright_shared::wire::sandbox::{Ack, BATCH_MAX_EVENTS, Batch};

use crate::run::Run;
use crate::store::plan::PlanError;
use crate::store::trouble::again;
use crate::store::{self, Store, StoreError};

/// The longest name of an event's type: ours have under 30 characters.
const KIND_MAX_CHARS: usize = 100;

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

/// Why one event was refused; [`IngestError`] adds its number.
#[derive(Debug)]
enum Refusal {
    Invalid(String),
    Gate(String),
    Store(StoreError),
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
            unresolved @ PlanError::Unresolved { .. } => Self::Gate(unresolved.to_string()),
        }
    }
}

impl Refusal {
    fn at(self, seq: u64) -> IngestError {
        match self {
            Self::Invalid(why) => IngestError::InvalidEvent { seq, why },
            Self::Gate(why) => IngestError::GateRefused { seq, why },
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
}

/// Takes in a batch. The answer is true only after the commit. What a lost connection broke off is
/// done again: a batch that was committed after all gets the same answer.
///
/// # Errors
/// [`IngestError`]; nothing of the batch is stored then.
pub(crate) async fn ingest(
    store: &Store,
    redactor: &Redactor,
    sandbox: SandboxId,
    batch: Batch,
    now: Timestamp,
    lease: Duration,
) -> Result<Taken, IngestError> {
    check_order(&batch.events)?;
    again("ingest", || take_in(store, redactor, sandbox, batch.clone(), now, lease)).await
}

async fn take_in(
    store: &Store,
    redactor: &Redactor,
    sandbox: SandboxId,
    batch: Batch,
    now: Timestamp,
    lease: Duration,
) -> Result<Taken, IngestError> {
    let mut write = store.write().await?;
    let mut run =
        Run::lock(&mut write, sandbox, now).await?.ok_or(IngestError::UnknownSandbox(sandbox))?;

    let spec = run.spec.id;
    let (theirs, newest) = (batch.generation, run.sandbox.generation);
    if theirs < newest {
        return Err(IngestError::Fenced { theirs, newest });
    }
    if theirs > newest || newest == 0 {
        return Err(IngestError::NeverHandedOut { theirs });
    }
    let acked = run.sandbox.acked_seq;
    let fresh: Vec<RawEvent> = batch.events.into_iter().filter(|event| event.seq > acked).collect();
    let (Some(first), Some(last)) = (fresh.first(), fresh.last()) else {
        let ended = run.sandbox.state == SandboxState::Ended;
        // What it was taken in with may still be under way to the disk, in this very transaction.
        write.commit().await?;
        return Ok(Taken { ack: Ack { acked, ended }, spec });
    };
    if first.seq != acked + 1 {
        return Err(IngestError::Gap { begins: first.seq, expected: acked + 1 });
    }
    let acked = last.seq;

    for event in fresh {
        let seq = event.seq;
        take(&mut write, &mut run, redactor, event).await.map_err(|refusal| refusal.at(seq))?;
    }
    run.sandbox.acked_seq = acked;
    run.sandbox.lease_expires_at = now.plus(lease);
    store::sandbox::save_progress(&mut write, &run.sandbox).await?;
    run.save(&mut write).await?;
    write.commit().await?;
    let ended = run.sandbox.state == SandboxState::Ended;
    Ok(Taken { ack: Ack { acked, ended }, spec })
}

fn check_order(events: &[RawEvent]) -> Result<(), IngestError> {
    if events.len() > BATCH_MAX_EVENTS {
        return Err(IngestError::TooMany(events.len()));
    }
    let Some(first) = events.first() else { return Ok(()) };
    if first.seq == 0 {
        return Err(IngestError::Disorder { after: 0, found: 0 });
    }
    for pair in events.windows(2) {
        if pair[0].seq.checked_add(1) != Some(pair[1].seq) {
            return Err(IngestError::Disorder { after: pair[0].seq, found: pair[1].seq });
        }
    }
    Ok(())
}

async fn take(
    write: &mut store::Write,
    run: &mut Run,
    redactor: &Redactor,
    mut event: RawEvent,
) -> Result<(), Refusal> {
    if event.kind.is_empty()
        || event.kind.chars().count() > KIND_MAX_CHARS
        || event.kind.chars().any(char::is_control)
    {
        return Err(Refusal::Invalid(format!(
            "its type is not a name of 1 to {KIND_MAX_CHARS} printable characters"
        )));
    }
    replace_nul(&mut event.data);
    gate::redact(redactor, &mut event)?;
    let decoded = event.decode().map_err(|error| Refusal::Invalid(error.to_string()))?;
    run.record(&event, true);
    match decoded {
        Decoded::Known(body) if run.sandbox.state != SandboxState::Ended => {
            effects::apply(write, run, &event, *body).await
        }
        Decoded::Known(_) | Decoded::Unknown => Ok(()),
    }
}

/// PostgreSQL stores no NUL, in text or JSON; a tool's output may hold one. Both engines store
/// U+FFFD in its place, so that they cannot differ.
fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{FFFD}"),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(fields) => {
            if fields.keys().any(|key| key.contains('\0')) {
                *fields = std::mem::take(fields)
                    .into_iter()
                    .map(|(key, value)| (key.replace('\0', "\u{FFFD}"), value))
                    .collect();
            }
            fields.values_mut().for_each(replace_nul);
        }
        _ => {}
    }
}
