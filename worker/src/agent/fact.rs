//! What the agent did, as the worker sees it: one closed enum.

use serde_json::Value;
use uuid::Uuid;

use super::turn::TurnResult;

/// One thing that happened in or around the agent's process. Order is the order of its stdout.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A turn begins; the agent says what it is.
    Init(Init),
    /// A message of ours came further.
    Lifecycle {
        /// The message's uuid.
        uuid: Uuid,
        /// How far.
        state: LifecycleState,
    },
    /// A message of ours was handed to the model.
    Replayed {
        /// The message's uuid.
        uuid: Uuid,
    },
    /// The model said something.
    Text {
        /// What.
        text: String,
        /// Set when a sub-agent said it.
        parent_tool_use_id: Option<String>,
        /// Set when the words are the CLI's about a failed API call, e.g. `rate_limit`.
        error: Option<String>,
        /// Whether it was cut off by an interrupt.
        aborted: bool,
    },
    /// The model thought aloud.
    Thinking {
        /// What.
        text: String,
        /// Set when a sub-agent did.
        parent_tool_use_id: Option<String>,
    },
    /// The model calls a tool (the structured output is such a call too).
    ToolUse {
        /// The tool.
        tool: String,
        /// The call's id.
        tool_use_id: String,
        /// The input.
        input: Value,
        /// Set when a sub-agent calls.
        parent_tool_use_id: Option<String>,
    },
    /// A tool answered.
    ToolResult {
        /// The call's id.
        tool_use_id: String,
        /// Whether it failed.
        is_error: bool,
        /// What it answered, texts joined.
        result: String,
        /// Set when a sub-agent called.
        parent_tool_use_id: Option<String>,
    },
    /// A tool is still at work; comes every 30 s.
    ToolProgress {
        /// The call's id.
        tool_use_id: String,
        /// The tool, if said.
        tool: Option<String>,
        /// For how long, in seconds, if said.
        elapsed_seconds: Option<f64>,
    },
    /// The model's API refused; the agent waits and asks again.
    ApiRetry {
        /// Which try this will be.
        attempt: u64,
        /// How many it makes.
        max_retries: u64,
        /// How long it waits, in milliseconds; some versions write a fraction.
        retry_delay_ms: f64,
        /// The HTTP status; absent: no answer came.
        error_status: Option<u16>,
        /// The error's name.
        error: String,
    },
    /// The agent went on with another model.
    ModelFallback {
        /// Why.
        trigger: String,
        /// The model that goes on.
        model: String,
    },
    /// The conversation was summarised to make room.
    Compacted,
    /// A tool call was denied.
    PermissionDenied {
        /// The tool.
        tool: String,
        /// The call's id.
        tool_use_id: String,
        /// The CLI's words.
        message: String,
    },
    /// A turn is over.
    TurnEnded(Box<TurnResult>),
    /// A line that is not what it should be. The stream goes on behind it.
    Malformed {
        /// How it begins.
        line_start: String,
        /// What is wrong.
        why: String,
    },
    /// A line over the bound was dropped. The stream goes on behind it.
    LineTooLong {
        /// How it begins.
        line_start: String,
        /// Its full size.
        bytes: u64,
    },
    /// Nothing more will come on stdout; the process may still live.
    StdoutClosed,
    /// The process ended. The last fact.
    Exited(Exit),
}

/// What the agent says of itself at the start of each turn, before it calls the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// The conversation's id.
    pub session_id: Uuid,
    /// The model.
    pub model: String,
    /// The permission mode.
    pub permission_mode: String,
    /// The CLI's version.
    pub version: String,
    /// The tools that it has.
    pub tools: Vec<String>,
    /// What its protocol can do.
    pub capabilities: Vec<String>,
}

/// How far the agent is with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifecycleState {
    /// Read from stdin.
    Queued,
    /// In the hands of the model.
    Started,
    /// Its turn is over.
    Completed,
    /// It will not be done.
    Cancelled,
}

/// How the process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// The end of what it wrote to stderr.
    pub stderr_tail: String,
}
