//! Background duties of the control API, as an operator sees them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

/// A duty: `GET /duties`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DutyView {
    /// Its name, e.g. `liveness`.
    pub name: String,
    /// The machine whose processes it looks at; absent: it needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The control API that does it; absent: nobody does at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Uuid>,
    /// Until when, unless it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// When a round was noted last; rounds that did nothing are noted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_at: Option<Timestamp>,
    /// How long that round took, in milliseconds.
    pub took_ms: u64,
    /// How many things the last round did that did any.
    pub did: u64,
    /// How many things all rounds did.
    pub did_total: u64,
    /// How many rounds there were.
    pub rounds_total: u64,
    /// How many of them failed.
    pub failures_total: u64,
    /// What the last round failed with; absent: it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}
