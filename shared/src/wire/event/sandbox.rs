//! Bodies of the control API's own events about a sandbox.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::SandboxId;
use crate::liveness::Verdict;
use crate::liveness::policy::Action;
use crate::outcome::Outcome;
use crate::phase::Phase;

/// `sandbox.judged`: an alarm began or ended, or something is done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SandboxJudged {
    /// Which sandbox.
    pub sandbox_id: SandboxId,
    /// What it is at, with the evidence.
    pub verdict: Verdict,
    /// What is done; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
}

/// `spec.restarted`: a sandbox ended without a report, and another one goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restarted {
    /// The sandbox that ended.
    pub ended: SandboxId,
    /// How it ended.
    pub outcome: Outcome,
    /// The same in words.
    pub message: String,
    /// The one that goes on.
    pub sandbox_id: SandboxId,
    /// The phase that it begins with: the first one without an accepted output.
    pub phase: Phase,
    /// The how-many-eth restart of this run it is, from 1.
    pub restart: u32,
}
