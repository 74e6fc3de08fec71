//! How a run moves through the phases: a pure function from a state and an event to the next state
//! and what is to be done.
//!
//! Invariants, each tested in `machine/tests.rs`:
//! - a terminal state stays terminal, whatever arrives later;
//! - attempts per phase never exceed the plan's limit;
//! - a report about an attempt that is not the running one changes nothing;
//! - every effect list that ends a run stops the agent first and finishes exactly once.
//!
//! Deliberately absent: time, cost and processes. Who calls [`apply`] turns them into events.

use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::phase::Phase;

#[cfg(test)]
mod tests;

/// What a run is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The first phase.
    pub start: Phase,
    /// The last phase, inclusive.
    pub until: Phase,
    /// How many attempts each phase has.
    pub max_attempts: NonZeroU8,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RunState {
    /// An attempt is about to start.
    Ready {
        /// Its phase.
        phase: Phase,
        /// Its number, from 1.
        attempt: u8,
    },
    /// An attempt is under way.
    Running {
        /// Its phase.
        phase: Phase,
        /// Its number, from 1.
        attempt: u8,
    },
    /// The run is over.
    Done {
        /// How it ended.
        outcome: Outcome,
    },
}

/// What can happen to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunEvent {
    /// The attempt that was to start has started.
    AttemptStarted,
    /// The attempt's output passed its gate.
    AttemptAccepted {
        /// Which attempt.
        attempt: u8,
    },
    /// The attempt's output did not pass; the conversation can go on.
    AttemptRejected {
        /// Which attempt.
        attempt: u8,
    },
    /// The attempt broke: no output, or the agent is gone. A fresh agent is needed.
    AttemptBroke {
        /// Which attempt.
        attempt: u8,
        /// How the run ends if no attempt is left.
        outcome: Outcome,
    },
    /// Nothing more can be done, whatever the attempt: a stop, a limit, a defect.
    Ended {
        /// How the run ends.
        outcome: Outcome,
    },
}

/// How an attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opening {
    /// With a new agent process and the phase's prompt.
    Fresh,
    /// In the running conversation, with the findings of the attempt before.
    Repair,
}

/// What is to be done, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Begin an attempt; answer with [`RunEvent::AttemptStarted`].
    Begin {
        /// Its phase.
        phase: Phase,
        /// Its number, from 1.
        attempt: u8,
        /// How it begins.
        opening: Opening,
    },
    /// End the agent's process tree, if there is one, and wait until it is gone.
    StopAgent,
    /// Record that a phase used up its attempts.
    FailPhase {
        /// The phase.
        phase: Phase,
        /// How many attempts it had.
        attempts: u8,
    },
    /// Make the one terminal report.
    Finish {
        /// How the run ended.
        outcome: Outcome,
    },
}

/// An event that cannot happen in a state: a defect of the caller, with the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run in {state:?} cannot take {event:?}")]
pub struct IllegalTransition {
    /// The state.
    pub state: RunState,
    /// The event.
    pub event: RunEvent,
}

impl Plan {
    /// The first state of a run by this plan, and its first effects.
    #[must_use]
    pub fn open(&self) -> (RunState, Vec<Effect>) {
        self.open_at(1)
    }

    /// The same for a run that was cut off in this attempt of its first phase: it is taken up, not
    /// counted anew.
    #[must_use]
    pub fn open_at(&self, attempt: u8) -> (RunState, Vec<Effect>) {
        if self.until < self.start {
            let outcome = Outcome::Succeeded;
            return (RunState::Done { outcome }, vec![Effect::Finish { outcome }]);
        }
        let (phase, attempt) = (self.start, attempt.clamp(1, self.max_attempts.get()));
        let begin = Effect::Begin { phase, attempt, opening: Opening::Fresh };
        (RunState::Ready { phase, attempt }, vec![begin])
    }
}

impl RunState {
    /// Whether the run is over.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

/// Moves a run on.
///
/// # Errors
/// [`IllegalTransition`] for an event that the state has no answer to.
pub fn apply(
    plan: &Plan,
    state: RunState,
    event: RunEvent,
) -> Result<(RunState, Vec<Effect>), IllegalTransition> {
    use RunEvent as E;
    use RunState as S;
    match (state, event) {
        // Terminal is terminal: a late fact is not an error, it just changes nothing.
        (S::Done { .. }, _) => Ok((state, vec![])),
        (S::Ready { .. } | S::Running { .. }, E::Ended { outcome }) => Ok(end(vec![], outcome)),
        (S::Ready { phase, attempt }, E::AttemptStarted) => {
            Ok((S::Running { phase, attempt }, vec![]))
        }
        (S::Running { phase, attempt }, E::AttemptAccepted { attempt: by }) if by == attempt => {
            Ok(advance(plan, phase))
        }
        (S::Running { phase, attempt }, E::AttemptRejected { attempt: by }) if by == attempt => {
            Ok(again(plan, phase, attempt, Opening::Repair, Outcome::Failed))
        }
        (S::Running { phase, attempt }, E::AttemptBroke { attempt: by, outcome })
            if by == attempt =>
        {
            Ok(again(plan, phase, attempt, Opening::Fresh, outcome))
        }
        // A report from an attempt that was given up already is fenced off.
        (
            S::Running { attempt, .. } | S::Ready { attempt, .. },
            E::AttemptAccepted { attempt: by }
            | E::AttemptRejected { attempt: by }
            | E::AttemptBroke { attempt: by, .. },
        ) if by != attempt => Ok((state, vec![])),
        (S::Ready { .. } | S::Running { .. }, _) => Err(IllegalTransition { state, event }),
    }
}

fn advance(plan: &Plan, phase: Phase) -> (RunState, Vec<Effect>) {
    match phase.next() {
        Some(next) if phase < plan.until => {
            let begin = Effect::Begin { phase: next, attempt: 1, opening: Opening::Fresh };
            // One process per phase: the next phase has another schema and a clean conversation.
            (RunState::Ready { phase: next, attempt: 1 }, vec![Effect::StopAgent, begin])
        }
        _ => end(vec![], Outcome::Succeeded),
    }
}

fn again(
    plan: &Plan,
    phase: Phase,
    attempt: u8,
    opening: Opening,
    outcome: Outcome,
) -> (RunState, Vec<Effect>) {
    if attempt >= plan.max_attempts.get() {
        return end(vec![Effect::FailPhase { phase, attempts: attempt }], outcome);
    }
    let attempt = attempt + 1;
    let begin = Effect::Begin { phase, attempt, opening };
    let effects = match opening {
        Opening::Fresh => vec![Effect::StopAgent, begin],
        Opening::Repair => vec![begin],
    };
    (RunState::Ready { phase, attempt }, effects)
}

fn end(before: Vec<Effect>, outcome: Outcome) -> (RunState, Vec<Effect>) {
    let mut effects = before;
    effects.extend([Effect::StopAgent, Effect::Finish { outcome }]);
    (RunState::Done { outcome }, effects)
}
