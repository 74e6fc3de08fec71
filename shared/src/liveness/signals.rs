//! What a worker says of itself with each heartbeat. Ages are in milliseconds of its own monotonic
//! clock, so that no two clocks are compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most open tool calls that are named: more are never at work in one conversation.
pub const OPEN_TOOLS_MAX: usize = 16;

/// What the worker is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It prepares the place: clone, agent's start.
    #[default]
    Preparing,
    /// The model is at its turn.
    ModelTurn,
    /// A tool of the agent is at work.
    ToolCall,
    /// The agent has nothing to do.
    AgentIdle,
    /// It computes, without an agent.
    Computing,
    /// It is between two phases.
    BetweenPhases,
    /// A person is asked for a verdict.
    WaitingApproval,
    /// The model's API said to wait.
    WaitingUsageLimit,
    /// It ends.
    Ending,
    /// A state that a newer worker knows.
    #[serde(other)]
    Unknown,
}

/// The facts that a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Signals {
    /// What the worker is at.
    pub state: WorkerState,
    /// The operation at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The agent's process tree; absent: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentSignals>,
    /// Tool calls without an answer, at most [`OPEN_TOOLS_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open_tools: Vec<OpenTool>,
    /// Since the agent's last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_line_age_ms: Option<u64>,
    /// Since the last byte from the model; absent: nobody counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_bytes_age_ms: Option<u64>,
    /// Since the last event that is progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_age_ms: Option<u64>,
    /// Free bytes where the spool lies; absent: unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// The last time that the clocks disagreed: a paused machine, or a clock that was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_jump: Option<ClockJump>,
}

/// What is being done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    /// In a few words, e.g. `tool Grep`.
    pub name: String,
    /// For how long.
    pub age_ms: u64,
    /// How long it may take; absent: as long as the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<u64>,
}

/// The agent's process tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AgentSignals {
    /// The leader.
    pub pid: u32,
    /// Processor time of the living processes.
    pub cpu_ms: u64,
    /// Since the tree last used a noticeable part of a processor; absent: not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy_age_ms: Option<u64>,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Living processes besides the leader.
    pub children: u32,
}

/// A tool call without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenTool {
    /// The tool.
    pub tool: String,
    /// The call's id.
    pub tool_use_id: String,
    /// For how long.
    pub age_ms: u64,
    /// How long it may take.
    pub limit_ms: u64,
}

/// The clocks disagreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClockJump {
    /// How much more time passed than the worker lived through (negative: the clock was set back).
    pub by_ms: i64,
    /// Since when that is known.
    pub age_ms: u64,
    /// Whether the worker's own ages contain that time.
    pub paused: bool,
}
