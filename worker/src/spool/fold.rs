//! What the facts in a spool add up to: how a worker that was started again knows what is done.

use std::collections::{BTreeMap, BTreeSet};

use specwright_shared::documents::Document;
use specwright_shared::id::MessageId;
use specwright_shared::ledger::Ledger;
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::Phase;
use specwright_shared::price::NanoUsd;
use specwright_shared::wire::event::{Decoded, Event, ExecutionStarted, RawEvent};
use specwright_shared::wire::message::MessageStatus;
use uuid::Uuid;

/// The sum of a spool's facts.
#[derive(Debug, Default, PartialEq)]
pub struct Fold {
    /// The run as the newest worker announced it.
    pub announced: Option<ExecutionStarted>,
    /// Phases that were accepted, with their outputs (`complete` has none).
    pub accepted: BTreeMap<Phase, Option<Document>>,
    /// What was spent, in US dollars.
    pub cost_usd: f64,
    /// The account of the calls of the model.
    pub ledger: Ledger,
    /// Whether the warning about the budget was given.
    pub warned: bool,
    /// Messages that an agent saw, or that never will be: none of them is written again.
    pub seen: BTreeSet<MessageId>,
    /// The agent that was at work when the worker died.
    pub open: Option<Open>,
    /// A phase that was accepted and had nothing after that but some of its documents, by name: the
    /// worker may have died before the rest of them.
    pub unwritten: Option<(Phase, BTreeSet<String>)>,
    /// The newest attempt that was begun, and of which phase; absent: none, or it was accepted.
    pub attempt: Option<(Phase, u8)>,
    /// How the run ended, if it did.
    pub ended: Option<Outcome>,
}

/// An agent that was at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// In which phase.
    pub phase: Phase,
    /// Its conversation.
    pub session_id: Uuid,
    /// Whether its model had answered: then there was a transcript.
    pub spoke: bool,
}

impl Fold {
    /// Whether a fact must be known after its segment is gone. Only what certainly adds nothing may
    /// go: the agent's talk, and the largest bodies.
    pub(super) fn needs(raw: &RawEvent) -> bool {
        let passing = |event: &Event| {
            event.marks().droppable
                || matches!(event, Event::FileEdited(_) | Event::ArtifactCreated(_))
        };
        !matches!(raw.decode(), Ok(Decoded::Known(event)) if passing(&event))
    }

    /// Adds a fact. One that cannot be read adds nothing: it is on its way to the control API as
    /// it is.
    pub fn add(&mut self, raw: &RawEvent) {
        let Ok(Decoded::Known(event)) = raw.decode() else { return };
        match *event {
            Event::ExecutionStarted(announced) => self.announced = Some(announced),
            Event::PhaseStarted(_) => {
                self.attempt = raw.phase.map(|phase| (phase, 1));
                self.unwritten = None;
            }
            Event::PhaseRetry(retry) => {
                self.attempt = raw.phase.map(|phase| (phase, retry.attempt.saturating_add(1)));
            }
            Event::PhaseCompleted(done) => {
                let Some(phase) = raw.phase else { return };
                self.attempt = None;
                let document = done.output.and_then(|output| Document::parse(phase, &output).ok());
                self.unwritten = document.as_ref().map(|_| (phase, BTreeSet::new()));
                if document.is_some() || phase == Phase::Complete {
                    self.accepted.insert(phase, document);
                }
            }
            Event::AgentStarted(started) => {
                let session_id = started.session_id;
                self.open = raw.phase.map(|phase| Open { phase, session_id, spoke: false });
            }
            Event::AgentExited(_) => {
                self.open = None;
                self.unwritten = None;
            }
            Event::ArtifactCreated(artifact) => {
                if let Some((_, written)) = &mut self.unwritten {
                    written.insert(artifact.name);
                }
            }
            Event::AgentCompleted(turn) => {
                self.spoke();
                self.ledger.agent_says(NanoUsd::from_usd(turn.cost_usd));
                if turn.ledger_usd.is_none() {
                    self.cost_usd += turn.cost_usd;
                }
            }
            Event::ModelCall(call) => {
                self.spoke();
                let cost = call.cost_usd.map(NanoUsd::from_usd);
                if self.ledger.enter(call.call_id, cost, NanoUsd::from_usd(call.counted_usd)) {
                    self.cost_usd += call.cost_usd.unwrap_or_default();
                }
            }
            Event::BudgetWarning(_) => self.warned = true,
            Event::MessageInjected(step) if step.status >= MessageStatus::Seen => {
                self.seen.insert(step.message_id);
            }
            Event::ExecutionCompleted(_) => self.ended = Some(Outcome::Succeeded),
            Event::ExecutionFailed(end) => self.ended = Some(end.outcome),
            _ => {}
        }
    }

    const fn spoke(&mut self) {
        if let Some(open) = &mut self.open {
            open.spoke = true;
        }
    }
}
