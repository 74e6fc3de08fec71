//! What the gateway to the model saw: calls, refusals, stalls, and the budget.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::price::Tokens;
use crate::stall::Stall;
use crate::time::Timestamp;

/// `agent.model_call`: one call of the model is over, the agent's own or a sub-agent's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelCall {
    /// The call's own id: however often it is recorded, it counts once.
    pub call_id: Uuid,
    /// The id that the service gave it.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The model that answered, else the one that was asked for.
    #[serde(default)]
    pub model: Option<String>,
    /// The HTTP status; absent: no answer came.
    #[serde(default)]
    pub status: Option<u16>,
    /// What was used.
    #[serde(default)]
    pub tokens: Tokens,
    /// What it cost in US dollars; absent: unknown, and `cost_unknown` says why.
    #[serde(default)]
    pub cost_usd: Option<f64>,
    /// What a budget counts for it, in US dollars: the cost, or the dearest model's when unknown.
    #[serde(default)]
    pub counted_usd: f64,
    /// Whether `counted_usd` is an estimate: the answer did not come to its end, and what it used is
    /// told there.
    #[serde(default)]
    pub estimated: bool,
    /// Why the cost is unknown.
    #[serde(default)]
    pub cost_unknown: Option<String>,
    /// The day of the prices.
    #[serde(default)]
    pub prices_as_of: String,
    /// Whether the answer came to its end; else the tokens are those seen until then.
    #[serde(default)]
    pub complete: bool,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
    /// How long the service asks to wait, in seconds.
    #[serde(default)]
    pub retry_after_secs: Option<u64>,
    /// The service's error in its own words.
    #[serde(default)]
    pub error: Option<String>,
}

/// `agent.model_parked`: the service takes no calls for now; the attempt's clock stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelParked {
    /// The status of the refusal.
    pub status: u16,
    /// When it will be tried again; absent: the agent tries by itself.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// How often this attempt was refused so far.
    pub refusals: u64,
    /// Why, in words.
    pub reason: String,
}

/// `agent.model_resumed`: the service takes calls again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelResumed {
    /// How long the attempt was parked, in milliseconds.
    pub parked_ms: u64,
}

/// `agent.model_stalled`: a call is open and nothing comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelStalled {
    /// The call.
    pub call_id: Uuid,
    /// What does not move.
    pub stall: Stall,
    /// Since the last byte, in milliseconds.
    pub since_byte_ms: u64,
    /// Since the last content, in milliseconds.
    pub since_content_ms: u64,
    /// Which stall of this attempt it is, from 1.
    pub number: u8,
    /// What is done about it.
    pub remedy: String,
}

/// `agent.budget_warning`: most of the budget is spent. Once in a job.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetWarning {
    /// What counts as spent, in US dollars.
    pub spent_usd: f64,
    /// The limit, in US dollars.
    pub limit_usd: f64,
    /// The share at which the warning is given, in percent.
    pub percent: u64,
}
