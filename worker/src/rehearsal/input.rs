//! What is said to the agent: one JSON object a line.

use std::io::{BufRead, Read};
use std::sync::mpsc::SyncSender;

use serde::Deserialize;
use serde_json::Value;

/// The longest input line, in bytes. The CLI refuses messages of 8 MB; this leaves room for their
/// JSON escapes and still bounds the memory of a sender gone wild.
const LINE_MAX_BYTES: u64 = 32 * 1024 * 1024;

/// A line of input, or why there is none.
#[derive(Debug)]
pub(super) enum Heard {
    /// One line without its end.
    Line(Vec<u8>),
    /// A line longer than the bound, or a stdin that cannot be read.
    Broken(String),
}

/// Reads lines until the input ends or nobody listens. The end is the sender's being dropped.
pub(super) fn read_lines(mut input: impl BufRead, listener: &SyncSender<Heard>) {
    loop {
        let mut line = Vec::new();
        let heard = match input.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(read) if read as u64 == LINE_MAX_BYTES && line.last() != Some(&b'\n') => {
                Heard::Broken(format!("an input line is longer than {LINE_MAX_BYTES} bytes"))
            }
            Ok(_) => Heard::Line(line),
            Err(error) => Heard::Broken(format!("stdin cannot be read: {error}")),
        };
        let broken = matches!(heard, Heard::Broken(_));
        if listener.send(heard).is_err() || broken {
            return;
        }
    }
}

/// When a message wants to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Priority {
    /// Stop what is running.
    Now,
    /// At the next tool boundary.
    #[default]
    Next,
    /// In a turn of its own.
    Later,
}

/// A message to the agent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    /// Its key in lifecycle lines and results; without one there are none.
    pub uuid: Option<String>,
    /// The text; blocks joined.
    pub text: String,
    /// `message.content` as it came, for the replay.
    pub content: Value,
    pub priority: Priority,
}

/// A request about the session, outside the conversation.
#[derive(Debug, PartialEq)]
pub(super) enum Control {
    Initialize,
    Interrupt { cancel_queued: bool },
    CancelMessage { uuid: String },
    EndSession,
    Unknown { subtype: String },
}

/// One line, understood.
#[derive(Debug, PartialEq)]
pub(super) enum Input {
    User(Message),
    Control {
        request_id: String,
        control: Control,
    },
    /// Blank lines, unknown types, answers to nothing: the CLI ignores them, too.
    Nothing,
}

/// A line that ends the process, as with the CLI.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InputError {
    #[error("Error parsing streaming input line: {why}: {start}")]
    NotJson { why: String, start: String },
    #[error("Error: Expected message role 'user', got '{0}'")]
    NotAUser(String),
    #[error("Error: Missing request on control_request")]
    NoRequest,
}

/// Understands a line. Invalid UTF-8 is read as U+FFFD.
pub(super) fn understand(line: &[u8]) -> Result<Input, InputError> {
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    if line.is_empty() {
        return Ok(Input::Nothing);
    }
    let value: Value = serde_json::from_str(line).map_err(|error| InputError::NotJson {
        why: error.to_string(),
        start: line.chars().take(120).collect(),
    })?;
    match value["type"].as_str() {
        Some("user") => user(&value),
        Some("control_request") => control(&value),
        _ => Ok(Input::Nothing),
    }
}

fn user(value: &Value) -> Result<Input, InputError> {
    let message = &value["message"];
    if message["role"] != "user" {
        let role = message["role"].as_str().unwrap_or("undefined").to_owned();
        return Err(InputError::NotAUser(role));
    }
    let content = message["content"].clone();
    let text = match &content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    };
    let uuid = value["uuid"].as_str().map(str::to_owned);
    let priority = serde_json::from_value(value["priority"].clone()).unwrap_or_default();
    Ok(Input::User(Message { uuid, text, content, priority }))
}

fn control(value: &Value) -> Result<Input, InputError> {
    let request = value["request"].as_object().ok_or(InputError::NoRequest)?;
    let word =
        |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let control = match word("subtype").as_str() {
        "initialize" => Control::Initialize,
        "interrupt" => Control::Interrupt {
            cancel_queued: request.get("cancel_queued") == Some(&Value::Bool(true)),
        },
        "cancel_async_message" => Control::CancelMessage { uuid: word("message_uuid") },
        "end_session" => Control::EndSession,
        subtype => Control::Unknown { subtype: subtype.to_owned() },
    };
    let request_id = value["request_id"].as_str().unwrap_or_default().to_owned();
    Ok(Input::Control { request_id, control })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_lines_are_fatal_and_strange_ones_are_ignored() {
        for bad in [
            "not json",
            r#"{"type":"user","message":"#,
            r#"{"type":"user","message":{"role":"assistant","content":"x"}}"#,
            r#"{"type":"user"}"#,
            r#"{"type":"control_request","request_id":"1"}"#,
        ] {
            assert!(understand(bad.as_bytes()).is_err(), "{bad} was taken");
        }
        for strange in ["", "  \r", "[1]", r#"{"type":"weather"}"#, r#"{"type":"keep_alive"}"#] {
            assert_eq!(understand(strange.as_bytes()), Ok(Input::Nothing), "{strange}");
        }
    }

    #[test]
    fn a_message_keeps_its_key_its_priority_and_its_text() {
        let line = br#"{"type":"user","uuid":"u","priority":"later","message":{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}"#;
        let Ok(Input::User(message)) = understand(line) else { panic!("not a message") };
        assert_eq!(message.uuid.as_deref(), Some("u"));
        assert_eq!((message.text.as_str(), message.priority), ("a\nb", Priority::Later));
    }

    #[test]
    fn reading_stops_at_the_end_and_says_what_broke() {
        let (sender, receiver) = std::sync::mpsc::sync_channel(4);
        read_lines(&b"one\ntwo"[..], &sender);
        drop(sender);
        let lines: Vec<_> = receiver
            .iter()
            .map(|heard| match heard {
                Heard::Line(line) => String::from_utf8(line).unwrap(),
                Heard::Broken(why) => panic!("{why}"),
            })
            .collect();
        assert_eq!(lines, ["one\n", "two"]);
    }
}
