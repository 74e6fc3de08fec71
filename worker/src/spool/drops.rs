//! Facts that were given up, until they are declared.
//!
//! What holds: a hole in the record is declared before the next fact that is not droppable. Within
//! a run of drops the first is declared at once, later ones whenever their number has doubled: a
//! crash can forget at most as many as were declared, and a long shortage costs a handful of lines.

use std::collections::BTreeMap;

use specwright_shared::id::EventId;
use specwright_shared::phase::Phase;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::{Event, EventsDropped, RawEvent};

use super::Entry;

/// The drops of a spool.
#[derive(Debug, Clone, Default)]
pub(super) struct Drops {
    undeclared: BTreeMap<String, u64>,
    /// When the last of them was recorded, and in which phase.
    last: Option<(Timestamp, Option<Phase>)>,
    /// How many were declared since facts were last dropped.
    declared: u64,
}

impl Drops {
    /// Gives a fact up.
    pub(super) fn add(&mut self, entry: &Entry) {
        *self.undeclared.entry(entry.event.kind().to_owned()).or_default() += 1;
        self.last = Some((entry.at, entry.phase));
    }

    /// There was room again for a droppable fact.
    pub(super) const fn over(&mut self) {
        self.declared = 0;
    }

    /// Whether enough were given up to say so without waiting for another fact.
    pub(super) fn due(&self) -> bool {
        self.undeclared.values().sum::<u64>() > self.declared
    }

    /// The declaration of what was not declared yet.
    pub(super) fn declare(&mut self, seq: u64) -> Option<RawEvent> {
        let (at, phase) = self.last.take()?;
        let dropped = std::mem::take(&mut self.undeclared);
        self.declared += dropped.values().sum::<u64>();
        let event = Event::EventsDropped(EventsDropped { dropped });
        Some(RawEvent {
            seq,
            id: EventId(uuid::Uuid::now_v7()),
            kind: event.kind().to_owned(),
            at,
            phase,
            trace_id: None,
            data: event.data(),
        })
    }
}
