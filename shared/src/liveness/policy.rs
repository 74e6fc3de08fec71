//! What is done about a verdict: a pure function from the verdict, what was done so far, and settings.
//!
//! What holds: a calm verdict is answered with nothing. An **alarm** is a time in which every verdict
//! was alarming; in it the steps of the verdict's ladder follow one another, each only when the one
//! before had its time, none twice, and never a milder one after a harder one. Nudges and interrupts
//! are bounded over the whole life, because an agent that answers each and does nothing else would
//! go on for ever. A sandbox that someone holds is nudged at most.
//!
//! Deliberately absent: doing it. Also who judges: see [`super::judge`].

#[cfg(test)]
mod tests;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::{Verdict, VerdictKind};
use crate::outcome::Outcome;

/// What can be done to a sandbox, from mild to hard.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The agent is told what is seen, and to go on.
    Nudge,
    /// What the agent is doing is broken off, and it is told why.
    Interrupt,
    /// The worker is asked to stop: it saves what it has, reports and leaves.
    SaveWork,
    /// The place is ended.
    End,
}

impl Action {
    /// All of them, from mild to hard.
    pub const ALL: [Self; 4] = [Self::Nudge, Self::Interrupt, Self::SaveWork, Self::End];

    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nudge => "nudge",
            Self::Interrupt => "interrupt",
            Self::SaveWork => "save_work",
            Self::End => "end",
        }
    }

    /// Whether the run goes on after it.
    #[must_use]
    pub const fn is_soft(self) -> bool {
        matches!(self, Self::Nudge | Self::Interrupt)
    }
}

impl std::str::FromStr for Action {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str() == word)
            .ok_or_else(|| format!("`{word}` is not an action (nudge, interrupt, save_work, end)"))
    }
}

/// A step of a ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// What is done.
    pub action: Action,
    /// How long after the step before it, or after the alarm's begin.
    pub after_s: u64,
}

/// What was done to a sandbox so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct History {
    /// How long the alarm lasts; zero when it begins now.
    pub alarm: Duration,
    /// The hardest step of this alarm.
    pub hardest: Option<Action>,
    /// How long ago this alarm's last step was.
    pub last_step: Option<Duration>,
    /// Nudges and interrupts of the whole life.
    pub soft_steps: u32,
    /// Whether someone holds the sandbox from being ended.
    pub held: bool,
}

/// Whether a verdict is answered with anything at all.
#[must_use]
pub const fn is_alarming(kind: VerdictKind) -> bool {
    matches!(kind, VerdictKind::Idle | VerdictKind::Stuck | VerdictKind::Silent | VerdictKind::Lost)
}

/// What is to be done now; `None`: nothing.
#[must_use]
pub fn policy(verdict: &Verdict, history: &History, settings: &Settings) -> Option<Action> {
    if !is_alarming(verdict.kind) {
        return None;
    }
    let softened_out = history.soft_steps >= settings.soft_max;
    let mut waited = history.last_step.unwrap_or(history.alarm);
    for rung in settings.ladder(verdict.kind, lives_too_long(verdict)) {
        if history.hardest.is_some_and(|hardest| rung.action <= hardest) {
            continue;
        }
        if rung.action.is_soft() && softened_out {
            // What is left out takes its time all the same: the bound must not hasten an end.
            waited = waited.saturating_sub(Duration::from_secs(rung.after_s));
            continue;
        }
        if history.held && rung.action > Action::Nudge {
            return None;
        }
        return (waited >= Duration::from_secs(rung.after_s)).then_some(rung.action);
    }
    None
}

/// Whether the verdict is about the whole life, whatever the run is doing.
fn lives_too_long(verdict: &Verdict) -> bool {
    verdict.evidence.first().is_some_and(|evidence| evidence.signal == "life")
}

/// How a run ends that was ended for a verdict.
#[must_use]
pub const fn outcome(kind: VerdictKind) -> Outcome {
    match kind {
        VerdictKind::Lost | VerdictKind::Silent => Outcome::Lost,
        _ => Outcome::TimedOut,
    }
}

/// Whether a run that ended is started again by itself. `done` restarts have led to it; `wanted` is
/// what was said for this run.
#[must_use]
pub fn restarts(outcome: Outcome, done: u32, wanted: Option<u8>, settings: &Settings) -> bool {
    settings.restart_after.contains(&outcome)
        && done < u32::from(wanted.unwrap_or(settings.restarts))
}
