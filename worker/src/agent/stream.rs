//! One line of the agent's stdout, typed.
//!
//! What holds: the tag is read first, the body second. An unknown type is data of tomorrow and is
//! ignored, and so is an unknown field; a known type with a wrong body, and a line that is no JSON
//! object at all, are reported as [`Fact::Malformed`]. Nothing here fails the stream.

mod message;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::fact::{Fact, Init, LifecycleState};
use super::turn::ResultLine;
use message::MessageLine;

/// How much of a malformed line is handed on: more than is shown of it, so that what is cut off later,
/// when secrets are out of it, is cut off behind them.
const LINE_START_BYTES: usize = 4096;

/// What a line amounts to.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// Facts in order; none for a line that says nothing to us.
    Facts(Vec<Fact>),
    /// The end of a turn; its cost needs the total before it.
    Result(Box<ResultLine>),
    /// An answer to a control request, perhaps only the echo of one of ours.
    Answer(Answer),
    /// A control request to us. We offer nothing, so it is refused.
    Asked { request_id: String },
}

/// The answer to a control request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) request_id: String,
    pub(crate) outcome: Result<Value, String>,
}

/// Decodes one line. Invalid UTF-8 is replaced, a blank line says nothing.
pub(crate) fn decode(bytes: &[u8]) -> Decoded {
    let text = String::from_utf8_lossy(bytes);
    let line = text.trim();
    if line.is_empty() {
        return Decoded::Facts(Vec::new());
    }
    let tag: Tag<'_> = match serde_json::from_str(line) {
        Ok(tag) => tag,
        Err(source) => return malformed(line, &format!("not a tagged JSON object: {source}")),
    };
    let subtype = tag.subtype.as_ref().and_then(Value::as_str);
    match decode_body(line, &tag.kind, subtype) {
        Ok(decoded) => decoded,
        Err(source) => {
            let name = subtype.map_or(tag.kind.to_string(), |sub| format!("{}/{sub}", tag.kind));
            malformed(line, &format!("a `{name}` line with a wrong body: {source}"))
        }
    }
}

fn decode_body(
    line: &str,
    kind: &str,
    subtype: Option<&str>,
) -> Result<Decoded, serde_json::Error> {
    let facts = match (kind, subtype) {
        ("system", Some("init")) => vec![Fact::Init(body::<InitLine>(line)?.into())],
        ("system", Some("api_retry")) => vec![body::<RetryLine>(line)?.into()],
        ("system", Some("permission_denied")) => vec![body::<DeniedLine>(line)?.into()],
        ("system", Some("model_fallback")) => vec![body::<FallbackLine>(line)?.into()],
        ("system", Some("compact_boundary")) => vec![Fact::Compacted],
        ("command_lifecycle", _) => body::<LifecycleLine>(line)?.into_facts(),
        ("tool_progress", _) => vec![body::<ProgressLine>(line)?.into()],
        ("assistant", _) => body::<MessageLine>(line)?.said_by_the_model(),
        ("user", _) => body::<MessageLine>(line)?.said_to_the_model()?,
        ("result", _) => return Ok(Decoded::Result(Box::new(body(line)?))),
        ("control_response", _) => return Ok(Decoded::Answer(body::<AnswerLine>(line)?.into())),
        ("control_request", _) => {
            let AskedLine { request_id } = body(line)?;
            return Ok(Decoded::Asked { request_id });
        }
        _ => Vec::new(),
    };
    Ok(Decoded::Facts(facts))
}

fn body<T: DeserializeOwned>(line: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(line)
}

fn malformed(line: &str, why: &str) -> Decoded {
    Decoded::Facts(vec![Fact::Malformed { line_start: start_of(line), why: why.to_owned() }])
}

/// The beginning of a line, for a report.
pub(crate) fn start_of(line: &str) -> String {
    line[..line.floor_char_boundary(LINE_START_BYTES)].to_owned()
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    subtype: Option<Value>,
}

#[derive(Deserialize)]
struct InitLine {
    session_id: Uuid,
    model: String,
    #[serde(rename = "permissionMode")]
    permission_mode: String,
    claude_code_version: String,
    #[serde(default)]
    tools: Vec<String>,
    #[serde(default)]
    capabilities: Vec<String>,
}

impl From<InitLine> for Init {
    fn from(line: InitLine) -> Self {
        Self {
            session_id: line.session_id,
            model: line.model,
            permission_mode: line.permission_mode,
            version: line.claude_code_version,
            tools: line.tools,
            capabilities: line.capabilities,
        }
    }
}

#[derive(Deserialize)]
struct RetryLine {
    attempt: u64,
    max_retries: u64,
    retry_delay_ms: f64,
    #[serde(default)]
    error_status: Option<u16>,
    #[serde(default)]
    error: Option<String>,
}

impl From<RetryLine> for Fact {
    fn from(line: RetryLine) -> Self {
        Self::ApiRetry {
            attempt: line.attempt,
            max_retries: line.max_retries,
            retry_delay_ms: line.retry_delay_ms,
            error_status: line.error_status,
            error: line.error.unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

#[derive(Deserialize)]
struct DeniedLine {
    tool_name: String,
    tool_use_id: String,
    #[serde(default)]
    message: String,
}

impl From<DeniedLine> for Fact {
    fn from(line: DeniedLine) -> Self {
        Self::PermissionDenied {
            tool: line.tool_name,
            tool_use_id: line.tool_use_id,
            message: line.message,
        }
    }
}

#[derive(Deserialize)]
struct FallbackLine {
    trigger: String,
    fallback_model: String,
}

impl From<FallbackLine> for Fact {
    fn from(line: FallbackLine) -> Self {
        Self::ModelFallback { trigger: line.trigger, model: line.fallback_model }
    }
}

#[derive(Deserialize)]
struct LifecycleLine {
    command_uuid: Uuid,
    state: String,
}

impl LifecycleLine {
    fn into_facts(self) -> Vec<Fact> {
        let state = match self.state.as_str() {
            "queued" => LifecycleState::Queued,
            "started" => LifecycleState::Started,
            "completed" => LifecycleState::Completed,
            "cancelled" => LifecycleState::Cancelled,
            _ => return Vec::new(), // a state of tomorrow
        };
        vec![Fact::Lifecycle { uuid: self.command_uuid, state }]
    }
}

#[derive(Deserialize)]
struct ProgressLine {
    #[serde(default)]
    heartbeat: bool,
    #[serde(default)]
    parent_tool_use_id: Option<String>,
    #[serde(default)]
    tool_use_id: Option<String>,
    #[serde(default)]
    tool_name: Option<String>,
    #[serde(default)]
    elapsed_time_seconds: Option<f64>,
}

impl From<ProgressLine> for Fact {
    fn from(line: ProgressLine) -> Self {
        // A heartbeat names the tool call as its parent; else the parent is a sub-agent's call.
        let call = if line.heartbeat {
            line.parent_tool_use_id.or(line.tool_use_id)
        } else {
            line.tool_use_id.or(line.parent_tool_use_id)
        };
        Self::ToolProgress {
            tool_use_id: call.unwrap_or_default(),
            tool: line.tool_name,
            elapsed_seconds: line.elapsed_time_seconds,
        }
    }
}

#[derive(Deserialize)]
struct AskedLine {
    request_id: String,
}

#[derive(Deserialize)]
struct AnswerLine {
    response: AnswerBody,
}

#[derive(Deserialize)]
struct AnswerBody {
    subtype: String,
    request_id: String,
    #[serde(default)]
    response: Value,
    #[serde(default)]
    error: Option<String>,
}

impl From<AnswerLine> for Answer {
    fn from(line: AnswerLine) -> Self {
        let AnswerBody { subtype, request_id, response, error } = line.response;
        let outcome = if subtype == "success" {
            Ok(response)
        } else {
            Err(error.unwrap_or_else(|| format!("the agent answered `{subtype}`")))
        };
        Self { request_id, outcome }
    }
}

#[cfg(test)]
mod tests;
