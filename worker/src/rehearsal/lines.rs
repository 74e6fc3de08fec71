//! What the agent says: one JSON object a line, shaped as the CLI shapes it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use serde_json::{Map, Value, json};
use specwright_shared::time::Timestamp;
use uuid::Uuid;

use super::flags::Flags;
use super::input::Message;
use super::{LABEL, MODEL, PROTOCOL_VERSION};

/// The tools that the rehearsal has.
pub(super) const TOOLS: [&str; 3] = ["Glob", "Grep", "Read"];

/// What a reader may rely on. The CLI's list is longer; these are the ones that are kept here.
const CAPABILITIES: [&str; 3] =
    ["interrupt_receipt_v1", "interrupt_cancel_queued_v1", "msg_lifecycle_v1"];

/// What the CLI tells its model about a call that an interrupt stopped.
const INTERRUPTED: &str = "The user doesn't want to proceed with this tool use. The tool use was \
    rejected (eg. if it was a file edit, the new_string was NOT written to the file). STOP what you \
    are doing and wait for the user to tell you how to proceed. Correction to the text above: this \
    call was stopped while running, not refused before it ran. It may have run in part or in full.";

/// How a turn ended.
#[derive(Debug)]
pub(super) enum End {
    /// With an answer, and a structured one where a schema asked for it.
    Completed { text: String, output: Option<Value> },
    /// A message of priority `now` came.
    AbortedByMessage,
    /// An interrupt came.
    Interrupted,
}

impl End {
    /// Whether the CLI calls this an error (its exit code follows the last turn).
    pub(super) const fn is_error(&self) -> bool {
        matches!(self, Self::Interrupted)
    }
}

/// A tool that was called.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub id: String,
    pub name: &'static str,
    pub input: Value,
}

/// What a turn needs to be reported on.
#[derive(Debug)]
pub(super) struct TurnLog {
    /// Messages that it answers: the first ones and those folded in.
    pub uuids: Vec<String>,
    /// When it began.
    pub began: Instant,
    /// 1 and the user lines that it made, as the CLI counts.
    pub num_turns: u32,
}

/// The way out, and what every line carries.
pub(super) struct Lines<W> {
    out: W,
    /// The flags of the session.
    pub flags: Flags,
    /// The working directory: the repository.
    pub root: PathBuf,
    result_index: u32,
}

impl<W: Write> Lines<W> {
    pub(super) const fn new(out: W, flags: Flags, root: PathBuf) -> Self {
        Self { out, flags, root, result_index: 0 }
    }

    /// The repository.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn line(&mut self, mut line: Value) -> io::Result<()> {
        if let Some(object) = line.as_object_mut() {
            object.entry("session_id").or_insert_with(|| self.flags.session.to_string().into());
            object.entry("uuid").or_insert_with(|| Uuid::new_v4().to_string().into());
        }
        self.raw(&line)
    }

    fn raw(&mut self, line: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }

    /// A state of a message; messages without a key have none.
    pub(super) fn lifecycle(&mut self, uuid: Option<&str>, state: &str) -> io::Result<()> {
        let Some(uuid) = uuid else { return Ok(()) };
        self.line(json!({ "type": "command_lifecycle", "command_uuid": uuid, "state": state }))
    }

    /// The echo of a delivered message.
    pub(super) fn replay(&mut self, message: &Message) -> io::Result<()> {
        if !self.flags.replay {
            return Ok(());
        }
        let mut line = json!({
            "type": "user",
            "message": { "role": "user", "content": message.content },
            "parent_tool_use_id": null,
            "timestamp": now(),
            "isReplay": true,
        });
        if let Some(uuid) = &message.uuid {
            line["uuid"] = json!(uuid);
        }
        self.line(line)
    }

    /// `system/init`, at the start of every turn.
    pub(super) fn init(&mut self, uuids: &[String]) -> io::Result<()> {
        let mut tools: Vec<&str> =
            TOOLS.into_iter().filter(|tool| self.flags.may_use(tool)).collect();
        if self.flags.structured {
            tools.push("StructuredOutput");
        }
        self.line(json!({
            "type": "system",
            "subtype": "init",
            "cwd": self.root.to_string_lossy(),
            "tools": tools,
            "mcp_servers": [],
            "model": MODEL,
            "permissionMode": self.flags.permission_mode,
            "slash_commands": [],
            "apiKeySource": "none",
            "claude_code_version": PROTOCOL_VERSION,
            "output_style": "default",
            "agents": [],
            "skills": [],
            "plugins": [],
            "capabilities": CAPABILITIES,
            "served_by_anthropic": false,
            "user_message_uuids": uuids,
        }))
    }

    /// One content block of the assistant. Blocks of one model call share its id.
    fn assistant(&mut self, call: &str, block: Value, uuids: &[String]) -> io::Result<()> {
        let mut line = json!({
            "type": "assistant",
            "message": {
                "id": call,
                "type": "message",
                "role": "assistant",
                "model": MODEL,
                "content": [block],
                "stop_reason": null,
                "stop_sequence": null,
                "usage": {
                    "input_tokens": 0, "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0, "output_tokens": 0,
                },
            },
            "parent_tool_use_id": null,
            "timestamp": now(),
        });
        if let Some(first) = uuids.first() {
            line["user_message_uuid"] = json!(first);
            line["user_message_uuids"] = json!(uuids);
        }
        self.line(line)
    }

    /// Text of the assistant.
    pub(super) fn text(&mut self, call: &str, text: &str, uuids: &[String]) -> io::Result<()> {
        self.assistant(call, json!({ "type": "text", "text": text }), uuids)
    }

    /// A tool call of the assistant.
    pub(super) fn tool_use(&mut self, message: &str, call: &Call) -> io::Result<()> {
        let Call { id, name, input } = call;
        let block = json!({ "type": "tool_use", "id": id, "name": name, "input": input });
        self.assistant(message, block, &[])
    }

    /// What a tool gave. `detail` is the CLI's own object beside the text for the model.
    pub(super) fn tool_result(
        &mut self,
        call: &Call,
        content: &str,
        is_error: bool,
        detail: &Value,
    ) -> io::Result<()> {
        let mut result =
            json!({ "tool_use_id": call.id, "type": "tool_result", "content": content });
        if is_error {
            result["is_error"] = json!(true);
        }
        self.line(json!({
            "type": "user",
            "message": { "role": "user", "content": [result] },
            "parent_tool_use_id": null,
            "timestamp": now(),
            "tool_use_result": detail,
        }))
    }

    /// The two lines with which an interrupt ends a tool call.
    pub(super) fn interrupted(&mut self, call: &Call) -> io::Result<()> {
        self.tool_result(call, INTERRUPTED, true, &json!("Error: interrupted"))?;
        self.line(json!({
            "type": "user",
            "message": { "role": "user", "content": [
                { "type": "text", "text": "[Request interrupted by user for tool use]" },
            ] },
            "parent_tool_use_id": null,
            "timestamp": now(),
        }))
    }

    /// The line that ends a turn.
    pub(super) fn result(&mut self, end: &End, log: &TurnLog, queued: usize) -> io::Result<()> {
        let duration = u64::try_from(log.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut line = json!({
            "type": "result",
            "is_error": end.is_error(),
            "duration_ms": duration,
            "duration_api_ms": 0,
            "num_turns": log.num_turns,
            "stop_reason": "tool_use",
            "total_cost_usd": 0.0,
            "usage": {
                "input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                "output_tokens": 0, "output_tokens_details": { "thinking_tokens": 0 },
                "server_tool_use": { "web_search_requests": 0, "web_fetch_requests": 0 },
                "service_tier": "standard",
            },
            "modelUsage": {},
            "model_usage_since_last_result": {},
            "permission_denials": [],
            "subagent_stats": { "spawned": 0, "completed": 0, "failed": 0 },
            "queued_turn_count": queued,
            "result_index": self.result_index,
        });
        let mut set = |name: &str, value: Value| line[name] = value;
        match end {
            End::Completed { text, output } => {
                set("subtype", json!("success"));
                set("terminal_reason", json!("completed"));
                set("api_error_status", Value::Null);
                set("ttft_ms", json!(duration));
                match output {
                    Some(output) => {
                        set("result", json!(output.to_string()));
                        set("structured_output", output.clone());
                    }
                    None => {
                        set("result", json!(text));
                        set("stop_reason", json!("end_turn"));
                    }
                }
            }
            End::AbortedByMessage => {
                set("subtype", json!("success"));
                set("terminal_reason", json!("aborted_tools"));
                set("api_error_status", Value::Null);
                set("result", json!(""));
            }
            End::Interrupted => {
                set("subtype", json!("error_during_execution"));
                set("terminal_reason", json!("aborted_tools"));
                set("errors", json!(["[ede_diagnostic] result_type=user stop_reason=tool_use"]));
            }
        }
        if let Some(first) = log.uuids.first() {
            set("user_message_uuid", json!(first));
            set("user_message_uuids", json!(log.uuids));
        }
        self.result_index += 1;
        self.line(line)
    }

    /// The answer to a control request. A refusal carries a code and a sentence.
    pub(super) fn answer(
        &mut self,
        request_id: &str,
        answer: Result<Value, (&str, String)>,
    ) -> io::Result<()> {
        let response = match answer {
            Ok(payload) => {
                json!({ "subtype": "success", "request_id": request_id, "response": payload })
            }
            Err((code, error)) => json!({
                "subtype": "error", "request_id": request_id, "error": error, "error_code": code,
            }),
        };
        let mut line = Map::new();
        line.insert("type".to_owned(), json!("control_response"));
        line.insert("response".to_owned(), response);
        self.raw(&Value::Object(line))
    }

    /// What `initialize` is answered.
    pub(super) fn introduction(&self, busy: bool) -> Value {
        json!({
            "commands": [],
            "agents": [],
            "output_style": "default",
            "available_output_styles": ["default"],
            "models": [{ "value": "default", "resolvedModel": MODEL, "displayName": MODEL,
                         "description": LABEL }],
            "account": { "tokenSource": "none", "apiKeySource": "none", "apiProvider": "none" },
            "pid": std::process::id(),
            "claude_code_version": PROTOCOL_VERSION,
            "current_permission_mode": self.flags.permission_mode,
            "hooks_applied": false,
            "session_state": if busy { "running" } else { "idle" },
            "capabilities": CAPABILITIES,
        })
    }
}

/// A new id in the shape of the API's: `msg_…`, `toolu_…`.
pub(super) fn fresh(prefix: &str) -> String {
    format!("{prefix}_{}", &Uuid::new_v4().simple().to_string()[..20])
}

fn now() -> String {
    Timestamp::from(SystemTime::now()).to_string()
}
