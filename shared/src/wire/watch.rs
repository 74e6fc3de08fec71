//! What an operator sees and says about the liveness of a sandbox.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::liveness::Verdict;
use crate::liveness::policy::Action;
use crate::text::Line;
use crate::time::Timestamp;

/// `POST /sandboxes/{id}/hold`: it is not ended for a verdict until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHold {
    /// Until when; at most a day from now.
    pub until: Timestamp,
    /// Why, for the others.
    pub reason: Line,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hold {
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
}

/// A change of a sandbox's verdict, or a step that was taken because of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// When.
    pub at: Timestamp,
    /// The verdict, with its evidence.
    pub verdict: Verdict,
    /// What was done; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
}
