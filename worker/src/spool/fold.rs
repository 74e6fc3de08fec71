//! What the facts in a spool add up to: how a worker that was started again knows what is done.

use std::collections::{BTreeMap, BTreeSet};

use specwright_shared::documents::Document;
use specwright_shared::id::MessageId;
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::Phase;
use specwright_shared::wire::event::{Decoded, Event, RawEvent};
use specwright_shared::wire::message::MessageStatus;

/// The sum of a spool's facts.
#[derive(Debug, Default, PartialEq)]
pub struct Fold {
    /// Phases that were accepted, with their outputs (`complete` has none).
    pub accepted: BTreeMap<Phase, Option<Document>>,
    /// What was spent, in US dollars.
    pub cost_usd: f64,
    /// Messages that an agent saw.
    pub seen: BTreeSet<MessageId>,
    /// How the run ended, if it did.
    pub ended: Option<Outcome>,
}

impl Fold {
    /// Adds a fact. One that cannot be read adds nothing: it is on its way to the control API as
    /// it is.
    pub fn add(&mut self, raw: &RawEvent) {
        let Ok(Decoded::Known(event)) = raw.decode() else { return };
        match *event {
            Event::PhaseCompleted(done) => {
                let Some(phase) = raw.phase else { return };
                let document = done.output.and_then(|output| Document::parse(phase, &output).ok());
                if document.is_some() || phase == Phase::Complete {
                    self.accepted.insert(phase, document);
                }
            }
            Event::AgentCompleted(turn) => self.cost_usd += turn.cost_usd,
            Event::MessageInjected(step) if step.status == MessageStatus::Seen => {
                self.seen.insert(step.message_id);
            }
            Event::ExecutionCompleted(_) => self.ended = Some(Outcome::Succeeded),
            Event::ExecutionFailed(end) => self.ended = Some(end.outcome),
            _ => {}
        }
    }
}
