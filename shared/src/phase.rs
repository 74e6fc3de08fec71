//! The phases of a spec and the states that specs, attempts and sandboxes pass through.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A phase of a spec, in the order in which a spec passes through them.
///
/// `Explore` to `Tasks` are done by the agent; `Sync` and `Complete` are computed by code, because
/// every number in them can be computed and a model's word is no proof.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// What is there: the repository as it stands, and what the idea touches.
    Explore,
    /// What is wanted: EARS requirements with acceptance criteria.
    Requirements,
    /// How it will be built.
    Design,
    /// Tickets, and the spec tasks in them.
    Tasks,
    /// Coverage, order and references, computed; tickets are made.
    Sync,
    /// The spec is marked completed.
    Complete,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 6] =
        [Self::Explore, Self::Requirements, Self::Design, Self::Tasks, Self::Sync, Self::Complete];

    /// The name on the wire and in settings, e.g. `explore`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Explore => "explore",
            Self::Requirements => "requirements",
            Self::Design => "design",
            Self::Tasks => "tasks",
            Self::Sync => "sync",
            Self::Complete => "complete",
        }
    }

    /// The phase after this one; `None` after `complete`.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|later| *later > self)
    }

    /// Whether an agent does this phase (else code computes it).
    #[must_use]
    pub const fn needs_agent(self) -> bool {
        matches!(self, Self::Explore | Self::Requirements | Self::Design | Self::Tasks)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no phase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a phase; one of explore, requirements, design, tasks, sync, complete is")]
pub struct UnknownPhase(pub String);

impl FromStr for Phase {
    type Err = UnknownPhase;

    fn from_str(word: &str) -> Result<Self, UnknownPhase> {
        Self::ALL
            .into_iter()
            .find(|phase| phase.as_str() == word)
            .ok_or_else(|| UnknownPhase(word.to_owned()))
    }
}

/// Where a spec stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpecStatus {
    /// Written down, never run.
    Draft,
    /// A sandbox is at work on it.
    Executing,
    /// Every phase was accepted.
    Completed,
    /// A run ended without completing it; it can be executed again.
    Failed,
}

impl SpecStatus {
    /// All states, for matrices and tests.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Executing, Self::Completed, Self::Failed];

    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Executing => "executing",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// The table of legal transitions. `Executing → Draft` is a run that was asked to stop early
    /// (`--until`) and did what it was asked: nothing failed and nothing is complete.
    #[must_use]
    pub const fn can_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Draft | Self::Failed, Self::Executing)
                | (Self::Executing, Self::Completed | Self::Failed | Self::Draft)
        )
    }
}

impl fmt::Display for SpecStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for SpecStatus {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| {
            format!("`{word}` is not a spec status (draft, executing, completed, failed)")
        })
    }
}

/// Where a phase of a spec stands, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhaseStatus {
    /// Not begun.
    Pending,
    /// An attempt is under way.
    Running,
    /// An attempt passed the gate.
    Accepted,
    /// Every attempt was used up, or the run ended during this phase.
    Failed,
}

impl PhaseStatus {
    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Accepted => "accepted",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for PhaseStatus {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Pending, Self::Running, Self::Accepted, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| format!("`{word}` is not a phase status"))
    }
}

/// Where a sandbox stands. `Ended` is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    /// The row exists; the place may not.
    Requested,
    /// Its worker said hello.
    Active,
    /// Nothing runs there any more.
    Ended,
}

impl SandboxState {
    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }

    /// The table of legal transitions. `Active → Active` is a worker that was started again.
    #[must_use]
    pub const fn can_become(self, next: Self) -> bool {
        matches!((self, next), (Self::Requested | Self::Active, Self::Active | Self::Ended))
    }
}

impl FromStr for SandboxState {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Requested, Self::Active, Self::Ended]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| format!("`{word}` is not a sandbox state"))
    }
}

/// Where a ticket (a card on the board) stands. It has nothing to do with a spec's phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TicketPhase {
    /// Waiting.
    PhaseInitial,
    /// Being built.
    PhaseImplementation,
    /// Being brought together with the rest.
    PhaseIntegration,
    /// Being tidied.
    PhaseRefactoring,
}

impl TicketPhase {
    /// All of them, in the board's order.
    pub const ALL: [Self; 4] = [
        Self::PhaseInitial,
        Self::PhaseImplementation,
        Self::PhaseIntegration,
        Self::PhaseRefactoring,
    ];

    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PhaseInitial => "PHASE_INITIAL",
            Self::PhaseImplementation => "PHASE_IMPLEMENTATION",
            Self::PhaseIntegration => "PHASE_INTEGRATION",
            Self::PhaseRefactoring => "PHASE_REFACTORING",
        }
    }
}

impl FromStr for TicketPhase {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|phase| phase.as_str() == word)
            .ok_or_else(|| format!("`{word}` is not a ticket phase"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_one_another_to_complete() {
        let mut walked = vec![Phase::Explore];
        while let Some(next) = walked.last().and_then(|phase| phase.next()) {
            walked.push(next);
        }
        assert_eq!(walked, Phase::ALL);
    }

    #[test]
    fn every_name_is_read_back() {
        for phase in Phase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(phase));
        }
        for status in SpecStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert_eq!("prd".parse::<Phase>(), Err(UnknownPhase("prd".into())));
    }

    #[test]
    fn a_completed_spec_stays_completed() {
        for next in SpecStatus::ALL {
            assert!(!SpecStatus::Completed.can_become(next), "completed → {next}");
        }
    }
}
