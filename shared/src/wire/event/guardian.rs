//! Bodies of `guardian.*` events: the control API's own, in the spec's stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{InterventionId, MessageId, SandboxId};
use crate::wire::intervention::{Assessment, InterventionKind};

/// `guardian.intervened`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intervened {
    /// Which intervention.
    pub intervention_id: InterventionId,
    /// To which sandbox.
    pub sandbox_id: SandboxId,
    /// What was done.
    pub kind: InterventionKind,
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: String,
    /// The message that the agent gets, if it gets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
}

/// `guardian.outcome`: the time in which an intervention is observed is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeSeen {
    /// Which intervention.
    pub intervention_id: InterventionId,
    /// To which sandbox.
    pub sandbox_id: SandboxId,
    /// What was done.
    pub kind: InterventionKind,
    /// What came of it.
    pub assessment: Assessment,
}
