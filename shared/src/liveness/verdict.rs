//! A verdict with its evidence.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a sandbox is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// It is not up yet.
    Starting,
    /// It gets on.
    Working,
    /// The model is at its turn.
    WaitingModel,
    /// A tool is at work, within its limit.
    WaitingTool,
    /// A person is asked. No worker of this version says so: its agent runs without a prompt for
    /// permission, and a question of the agent is refused at once.
    WaitingApproval,
    /// The model's API said to wait.
    WaitingUsageLimit,
    /// There is nothing under way.
    Idle,
    /// Something is under way and does not move.
    Stuck,
    /// No heartbeat for a while.
    Silent,
    /// No heartbeat for too long.
    Lost,
    /// It is over.
    Finished,
}

impl VerdictKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Starting,
        Self::Working,
        Self::WaitingModel,
        Self::WaitingTool,
        Self::WaitingApproval,
        Self::WaitingUsageLimit,
        Self::Idle,
        Self::Stuck,
        Self::Silent,
        Self::Lost,
        Self::Finished,
    ];

    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Working => "working",
            Self::WaitingModel => "waiting_model",
            Self::WaitingTool => "waiting_tool",
            Self::WaitingApproval => "waiting_approval",
            Self::WaitingUsageLimit => "waiting_usage_limit",
            Self::Idle => "idle",
            Self::Stuck => "stuck",
            Self::Silent => "silent",
            Self::Lost => "lost",
            Self::Finished => "finished",
        }
    }
}

impl std::str::FromStr for VerdictKind {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| format!("`{word}` is not a verdict"))
    }
}

impl fmt::Display for VerdictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a sandbox is at, why, and from what that follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// What it is at.
    pub kind: VerdictKind,
    /// Why, in words.
    pub reason: String,
    /// The facts, the decisive one first.
    pub evidence: Vec<Evidence>,
}

/// One fact that a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Which signal, e.g. `heartbeat`, `tool`, `model_bytes`.
    pub signal: String,
    /// How old it is.
    pub age_ms: u64,
    /// How old it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<u64>,
}

impl Verdict {
    pub(super) fn new(kind: VerdictKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), evidence: Vec::new() }
    }

    pub(super) fn because(mut self, signal: &str, age: Duration, limit: Option<Duration>) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if !signal.is_empty() {
            let (signal, limit_ms) = (signal.to_owned(), limit.map(ms));
            self.evidence.push(Evidence { signal, age_ms: ms(age), limit_ms });
        }
        self
    }

    pub(super) fn also(self, progress: Option<(&'static str, Duration)>) -> Self {
        match progress {
            Some((signal, age)) => self.because(signal, age, None),
            None => self,
        }
    }
}
