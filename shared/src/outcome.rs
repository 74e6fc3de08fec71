//! How a run ends: exactly one of these, with a message, and an exit code of the worker for each.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a run ended. Terminal: nothing that arrives later changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every phase that was asked for was accepted.
    Succeeded,
    /// A phase used up its attempts.
    Failed,
    /// Someone asked it to stop.
    Cancelled,
    /// A time limit of ours was reached.
    TimedOut,
    /// The job's budget was reached.
    BudgetExceeded,
    /// The agent's limit of turns was reached.
    TurnsExceeded,
    /// The agent could not be started, broke, or its model refused the key.
    AgentError,
    /// We ourselves could not go on (disk, repository, a defect).
    WorkerError,
    /// How the run ended is not this worker's to say: a newer generation of the sandbox took over, or
    /// the control API had ended it. It delivered what it had.
    Fenced,
    /// The sandbox is gone without a report; only the control API says this.
    Lost,
}

impl Outcome {
    /// All of them, for tables and tests.
    pub const ALL: [Self; 10] = [
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
        Self::BudgetExceeded,
        Self::TurnsExceeded,
        Self::AgentError,
        Self::WorkerError,
        Self::Fenced,
        Self::Lost,
    ];

    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::BudgetExceeded => "budget_exceeded",
            Self::TurnsExceeded => "turns_exceeded",
            Self::AgentError => "agent_error",
            Self::WorkerError => "worker_error",
            Self::Fenced => "fenced",
            Self::Lost => "lost",
        }
    }

    /// The worker's exit code, documented in the README of the image. 1 and 2 stay free for a panic
    /// and for refused settings.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => 10,
            Self::Cancelled => 11,
            Self::TimedOut => 12,
            Self::BudgetExceeded => 13,
            Self::TurnsExceeded => 14,
            Self::AgentError => 15,
            Self::WorkerError => 16,
            Self::Fenced => 17,
            Self::Lost => 18,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Outcome {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
            .ok_or_else(|| format!("`{word}` is not an outcome"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_exit_code_and_name() {
        let codes: std::collections::BTreeSet<_> =
            Outcome::ALL.iter().map(|outcome| outcome.exit_code()).collect();
        assert_eq!(codes.len(), Outcome::ALL.len());
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
        }
    }
}
