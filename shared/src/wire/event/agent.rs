//! Bodies of `agent.*` events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::excerpt::Excerpt;
use crate::id::MessageId;
use crate::liveness::{LoopKind, LoopSeen};
use crate::wire::message::{MessageStatus, SeenAs};

/// `agent.started`: a process is up, and its own word about itself was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentStarted {
    /// The attempt that it was started for.
    pub attempt: u8,
    /// Its process id.
    pub pid: u32,
    /// The program.
    pub program: String,
    /// Its version, as it says.
    pub version: String,
    /// Its model, as it says.
    pub model: Option<String>,
    /// Its permission mode, as it says.
    pub permission_mode: String,
    /// The conversation's id.
    pub session_id: Uuid,
}

/// How the work of an agent that died with its worker was taken up, the best way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResumeRung {
    /// Its conversation goes on, from its transcript.
    Transcript,
    /// It had no transcript yet: asked again, under the same session id.
    SameSession,
    /// A fresh conversation: its own could not be taken up.
    FreshSession,
}

/// `agent.resumed`: follows the `agent.started` of the agent that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentResumed {
    /// How.
    pub rung: ResumeRung,
    /// The conversation that goes on or begins.
    pub session_id: Uuid,
    /// Why no better way was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `agent.message`, `agent.thinking`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentMessage {
    /// What it said.
    pub content: Excerpt,
    /// Set when a sub-agent said it: the tool call that started that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_tool_use_id: Option<String>,
}

/// `agent.tool_use`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolUse {
    /// The tool.
    pub tool: String,
    /// The call's id.
    pub tool_use_id: String,
    /// The input as JSON text.
    pub input: Excerpt,
    /// Set when a sub-agent calls: the tool call that started that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_tool_use_id: Option<String>,
}

/// `agent.tool_result`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolResult {
    /// The call's id.
    pub tool_use_id: String,
    /// Whether the tool failed.
    pub is_error: bool,
    /// What it answered.
    pub result: Excerpt,
}

/// How a file changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileChange {
    /// It was not there before.
    Created,
    /// It was.
    Modified,
    /// It is no longer there.
    Deleted,
    /// It is what another path was before.
    Renamed,
}

/// `agent.file_edited`: from the file watcher and git's own view of the place, not from what a tool
/// said. Binary and huge files are named without their content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileEdited {
    /// The path, relative to the workspace (or absolute outside of it).
    pub path: String,
    /// How it changed.
    pub change: FileChange,
    /// What it was called before it was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Lines that came; absent: unknown (binary, huge, or outside of git's view).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines_added: Option<u64>,
    /// Lines that went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines_removed: Option<u64>,
    /// The change since the last event about this file, as unified diff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Excerpt>,
    /// Why there is no content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unshown: Option<Unshown>,
    /// Whether a tool call was open at the time; absent: unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during_tool: Option<bool>,
}

/// Why a changed file is named without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unshown {
    /// It is no text.
    Binary,
    /// It is too large.
    Huge,
    /// The repository's own rules ignore it.
    Ignored,
    /// Too many files changed at once.
    TooMany,
}

/// `agent.loop_detected`: the agent goes round in a circle. Nothing is ended for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoopDetected {
    /// What repeats.
    pub kind: LoopKind,
    /// The tool; without progress, that of the newest call.
    pub tool: String,
    /// How often it was seen; without progress, how often the model was called.
    pub count: u32,
    /// Among how many calls.
    pub window: u32,
    /// The start of the input.
    pub input: String,
    /// The start of the answer.
    pub result: String,
    /// Without progress: the tokens that the model read and wrote meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// And the part of the job's budget, in percent, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_percent: Option<u64>,
}

impl From<LoopSeen> for LoopDetected {
    fn from(seen: LoopSeen) -> Self {
        let LoopSeen { kind, tool, count, window, input, result, tokens, budget_percent } = seen;
        Self { kind, tool, count, window, input, result, tokens, budget_percent }
    }
}

/// `agent.subagent_invoked`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubagentInvoked {
    /// The tool call that starts it.
    pub tool_use_id: String,
    /// Its type, if the agent said.
    pub subagent_type: Option<String>,
    /// What it is for, if the agent said.
    pub description: Option<String>,
}

/// `agent.subagent_completed`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubagentCompleted {
    /// The tool call that started it.
    pub tool_use_id: String,
    /// Whether it failed.
    pub is_error: bool,
    /// What it answered.
    pub result: Excerpt,
}

/// `agent.message_injected`: a message came further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageInjected {
    /// Which.
    pub message_id: MessageId,
    /// How far.
    pub status: MessageStatus,
    /// With `seen`: how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_as: Option<SeenAs>,
    /// With `cancelled`, `expired` and `refused`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `agent.interrupted`: the agent answered an interrupt. It lives on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentInterrupted {
    /// Why.
    pub reason: String,
    /// The message that asked for it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// From the request on the agent's stdin to its answer, in milliseconds, if it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// What the agent had queued and will do next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_queued: Vec<MessageId>,
    /// What the agent had queued and dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancelled: Vec<MessageId>,
}

/// `agent.retrying`: the model refused, the agent waits and asks again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentRetrying {
    /// Which try this will be.
    pub attempt: u64,
    /// How many it makes.
    pub max_retries: u64,
    /// How long it waits, in milliseconds.
    pub retry_delay_ms: f64,
    /// The HTTP status; absent: no answer came.
    pub error_status: Option<u16>,
    /// The error's name.
    pub error: String,
}

/// `agent.error`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentError {
    /// What is wrong, in words.
    pub error: String,
    /// The end of what the agent wrote to stderr.
    pub stderr_tail: String,
}

/// `agent.completed`: one turn is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentCompleted {
    /// The CLI's `subtype`; `success` alone proves nothing.
    pub subtype: String,
    /// The CLI's `is_error`.
    pub is_error: bool,
    /// The CLI's `terminal_reason`.
    pub terminal_reason: Option<String>,
    /// Whether a structured output came with it.
    pub structured_output: bool,
    /// Turns, as the CLI counts them.
    pub num_turns: u64,
    /// What this turn cost in US dollars (difference of the CLI's running total).
    pub cost_usd: f64,
    /// What the gateway's ledger counted since the turn before, in US dollars. Where there is a
    /// ledger its `agent.model_call`s are what counts, and `cost_usd` stands beside as a check.
    #[serde(default)]
    pub ledger_usd: Option<f64>,
    /// Input tokens of this turn's main loop.
    pub input_tokens: u64,
    /// Output tokens of this turn's main loop.
    pub output_tokens: u64,
    /// Tokens read from the cache.
    pub cache_read_tokens: u64,
    /// Tokens written to the cache.
    pub cache_write_tokens: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// `agent.exited`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentExited {
    /// Its process id.
    pub pid: u32,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// How many of its descendants had to be ended with it.
    pub descendants_ended: u32,
    /// The end of what it wrote to stderr.
    pub stderr_tail: String,
}
