//! `assistant` and `user` lines: what the model said, and what it was told.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::start_of;
use crate::agent::fact::Fact;

#[derive(Deserialize)]
pub(super) struct MessageLine {
    message: Message,
    #[serde(default)]
    parent_tool_use_id: Option<String>,
    #[serde(default)]
    uuid: Option<Uuid>,
    #[serde(default, rename = "isReplay")]
    is_replay: bool,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    aborted: bool,
}

#[derive(Deserialize)]
struct Message {
    content: Content,
}

/// Text alone, or blocks. Blocks stay raw until their own tag is read.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Blocks(Vec<Value>),
}

#[derive(Deserialize)]
struct TextBlock {
    text: String,
}

#[derive(Deserialize)]
struct ThinkingBlock {
    thinking: String,
}

#[derive(Deserialize)]
struct ToolUseBlock {
    id: String,
    name: String,
    #[serde(default)]
    input: Value,
}

#[derive(Deserialize)]
struct ToolResultBlock {
    tool_use_id: String,
    #[serde(default)]
    is_error: Option<bool>,
    #[serde(default)]
    content: Option<Content>,
}

fn tag_of(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

impl MessageLine {
    /// A wrong block spoils only itself: what was said beside it stands.
    pub(super) fn said_by_the_model(self) -> Vec<Fact> {
        let blocks = match self.message.content {
            Content::Text(text) => vec![serde_json::json!({"type": "text", "text": text})],
            Content::Blocks(blocks) => blocks,
        };
        let parent_tool_use_id = self.parent_tool_use_id;
        let mut facts = Vec::with_capacity(blocks.len());
        for block in blocks {
            let parent_tool_use_id = parent_tool_use_id.clone();
            let start = || start_of(&block.to_string());
            let fact = match tag_of(&block) {
                "text" => TextBlock::deserialize(&block).map(|TextBlock { text }| Fact::Text {
                    text,
                    parent_tool_use_id,
                    error: self.error.clone(),
                    aborted: self.aborted,
                }),
                "thinking" => {
                    ThinkingBlock::deserialize(&block).map(|ThinkingBlock { thinking }| {
                        Fact::Thinking { text: thinking, parent_tool_use_id }
                    })
                }
                "tool_use" => ToolUseBlock::deserialize(&block).map(|call| Fact::ToolUse {
                    tool: call.name,
                    tool_use_id: call.id,
                    input: call.input,
                    parent_tool_use_id,
                }),
                _ => continue,
            };
            facts.push(fact.unwrap_or_else(|source| Fact::Malformed {
                line_start: start(),
                why: format!("an `assistant` block with a wrong body: {source}"),
            }));
        }
        facts
    }

    pub(super) fn said_to_the_model(self) -> Result<Vec<Fact>, serde_json::Error> {
        if self.is_replay {
            // A replay without uuid echoes a message that nobody waits for.
            return Ok(self.uuid.map(|uuid| Fact::Replayed { uuid }).into_iter().collect());
        }
        let Content::Blocks(blocks) = self.message.content else { return Ok(Vec::new()) };
        let mut facts = Vec::new();
        for block in blocks.into_iter().filter(|block| tag_of(block) == "tool_result") {
            let block: ToolResultBlock = serde_json::from_value(block)?;
            facts.push(Fact::ToolResult {
                tool_use_id: block.tool_use_id,
                is_error: block.is_error.unwrap_or(false),
                result: block.content.map(in_words).unwrap_or_default(),
                parent_tool_use_id: self.parent_tool_use_id.clone(),
            });
        }
        Ok(facts)
    }
}

/// A tool's answer as text; what is no text is named.
fn in_words(content: Content) -> String {
    let blocks = match content {
        Content::Text(text) => return text,
        Content::Blocks(blocks) => blocks,
    };
    let words: Vec<String> = blocks
        .iter()
        .map(|block| match block.get("text").and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => format!("[{}]", tag_of(block)),
        })
        .collect();
    words.join("\n")
}
