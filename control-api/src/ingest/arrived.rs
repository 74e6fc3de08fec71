//! A batch as it arrived: looked at before anything is locked, once, however often it is then tried to
//! take it in.
//!
//! What holds: its numbers rise by one; known secrets and NULs are out of it. That an event is wrong is
//! noted and told only to who has not brought it before: what was taken in once is not judged again.

use std::time::Duration;

use serde_json::Value;
use specwright_shared::id::SandboxId;
use specwright_shared::redact::Redactor;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::{Decoded, RawEvent};
use specwright_shared::wire::sandbox::{BATCH_MAX_EVENTS, Batch};

use super::effects::{Reach, reach};
use super::{Fault, IngestError, gate};

/// The longest name of an event's type: ours have under 30 characters.
const KIND_MAX_CHARS: usize = 100;

/// A batch of a sandbox.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) sandbox: SandboxId,
    pub(super) now: Timestamp,
    pub(super) lease: Duration,
    generation: u64,
    events: Vec<Checked>,
}

/// One event of it.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) event: RawEvent,
    /// The event's body, as it is stored.
    pub(super) text: String,
    pub(super) decoded: Result<Decoded, Fault>,
}

impl Arrived {
    /// Looks at a batch.
    ///
    /// # Errors
    /// [`IngestError::TooMany`] and [`IngestError::Disorder`].
    pub(super) fn new(
        redactor: &Redactor,
        sandbox: SandboxId,
        batch: Batch,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Self, IngestError> {
        check_order(&batch.events)?;
        let events = batch.events.into_iter().map(|event| Checked::new(redactor, event)).collect();
        Ok(Self { sandbox, now, lease, generation: batch.generation, events })
    }

    /// Whether it means nothing to the records, but for what counts up with the log.
    pub(super) fn changes_the_log_only(&self) -> bool {
        self.events.iter().all(|event| matches!(event.reach(), Ok(Reach::Log | Reach::Cost(_))))
    }

    /// How many bytes its events' bodies have.
    pub(super) fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.text.len()).sum()
    }

    /// What of it is new to a sandbox of this generation, whose events are taken in up to a number.
    ///
    /// # Errors
    /// When another generation sent it, or numbers are missing before it.
    pub(super) fn fresh(&self, newest: u64, acked: u64) -> Result<&[Checked], IngestError> {
        let theirs = self.generation;
        if theirs < newest {
            return Err(IngestError::Fenced { theirs, newest });
        }
        if theirs > newest || newest == 0 {
            return Err(IngestError::NeverHandedOut { theirs });
        }
        let known = self.events.partition_point(|checked| checked.event.seq <= acked);
        let fresh = &self.events[known..];
        match fresh.first() {
            Some(first) if first.event.seq != acked + 1 => {
                Err(IngestError::Gap { begins: first.event.seq, expected: acked + 1 })
            }
            _ => Ok(fresh),
        }
    }
}

impl Checked {
    fn new(redactor: &Redactor, mut event: RawEvent) -> Self {
        let decoded = check(redactor, &mut event);
        // Cannot fail; its `Display` takes the long way round.
        let text = serde_json::to_string(&event.data).unwrap_or_else(|_| event.data.to_string());
        Self { text, event, decoded }
    }

    /// How far its meaning reaches. A type that nobody here knows means nothing.
    pub(super) fn reach(&self) -> Result<Reach, Fault> {
        match &self.decoded {
            Ok(Decoded::Known(event)) => reach(event),
            Ok(Decoded::Unknown) => Ok(Reach::Log),
            Err(fault) => Err(fault.clone()),
        }
    }
}

fn check(redactor: &Redactor, event: &mut RawEvent) -> Result<Decoded, Fault> {
    if event.kind.is_empty()
        || event.kind.chars().count() > KIND_MAX_CHARS
        || event.kind.chars().any(char::is_control)
    {
        return Err(Fault::Invalid(format!(
            "its type is not a name of 1 to {KIND_MAX_CHARS} printable characters"
        )));
    }
    replace_nul(&mut event.data);
    gate::redact(redactor, event)?;
    event.decode().map_err(|error| Fault::Invalid(error.to_string()))
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
