//! Interventions: what a guardian does to a run, why, and what comes of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::guardian::Activity;
use crate::id::{InterventionId, SandboxId};
use crate::phase::Phase;
use crate::text::{Line, Text};
use crate::time::Timestamp;
use crate::wire::access::words;
use crate::wire::message::{Message, MessageText};

/// What an intervention rests on, in the guardian's words: at most 4,000 characters.
pub type EvidenceText = Text<4000>;

words! {
    /// What a guardian can do, from mild to hard.
    InterventionKind, "an intervention" {
        /// The agent is told something, at its next tool call.
        Nudge = "nudge",
        /// What the agent is doing is broken off, and it is told why.
        Interrupt = "interrupt",
        /// What the agent is doing is broken off, and it is told what to do in its place.
        Redirect = "redirect",
        /// The phase at work is the run's last one; the spec can be resumed.
        Park = "park",
        /// The run is stopped; the spec can be resumed.
        Stop = "stop",
    }
}

impl InterventionKind {
    /// Whether the agent goes on, and is told something.
    #[must_use]
    pub const fn speaks(self) -> bool {
        matches!(self, Self::Nudge | Self::Interrupt | Self::Redirect)
    }
}

words! {
    /// What came of an intervention.
    InterventionOutcome, "an outcome of an intervention" {
        /// The run gets on better than before.
        Helped = "helped",
        /// Nothing has changed.
        NoEffect = "no_effect",
        /// The run gets on worse than before.
        Worse = "worse",
    }
}

/// `POST /sandboxes/{id}/interventions`, with the header `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIntervention {
    /// What is to be done.
    pub kind: InterventionKind,
    /// Why, in one line.
    pub reason: Line,
    /// The facts that it rests on.
    pub evidence: EvidenceText,
    /// What the agent is told; absent: the reason. Needed with `redirect`, and of no use with `park`
    /// and `stop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageText>,
}

/// What came of an intervention, and from what that follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Assessment {
    /// What came of it.
    pub outcome: InterventionOutcome,
    /// Why that is said, in words.
    pub reason: String,
    /// What the agent did in the time before.
    pub before: Activity,
    /// What it did since.
    pub after: Activity,
}

/// An intervention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InterventionView {
    /// Which.
    pub id: InterventionId,
    /// To which sandbox.
    pub sandbox_id: SandboxId,
    /// What was done.
    pub kind: InterventionKind,
    /// Why.
    pub reason: String,
    /// The facts that it rests on.
    pub evidence: String,
    /// By whom, as the token says; `built-in guardian` is no user.
    pub by: String,
    /// The phase that was at work.
    pub phase: Phase,
    /// When.
    pub at: Timestamp,
    /// What the agent was told, with its receipts; absent with `park` and `stop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// When its outcome is judged at the latest.
    pub judged_by: Timestamp,
    /// What came of it; absent: not judged yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<Assessment>,
}
