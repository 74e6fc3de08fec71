//! A request as the model's side received it.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use serde_json::Value;
use specwright_shared::phase::Phase;

/// One request to `/v1/messages`.
#[derive(Debug, Clone)]
pub struct Ask {
    /// How many came before it.
    pub number: usize,
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Value,
}

impl Ask {
    pub(super) fn new(number: usize, headers: &HeaderMap, body: Value) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        Self { number, headers, body }
    }

    /// Whether a stream is asked for, or one JSON object.
    #[must_use]
    pub fn streams(&self) -> bool {
        self.body["stream"] == Value::Bool(true)
    }

    /// The model that is asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    /// The names of the tools that the model may call.
    #[must_use]
    pub fn tools(&self) -> Vec<&str> {
        let tools = self.body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
        tools.iter().filter_map(|tool| tool["name"].as_str()).collect()
    }

    /// The schema of the structured output that is asked for.
    #[must_use]
    pub fn schema(&self) -> Option<&Value> {
        let tools = self.body["tools"].as_array()?;
        let output = tools.iter().find(|tool| tool["name"] == "StructuredOutput")?;
        Some(&output["input_schema"])
    }

    /// The phase whose document is asked for, by its schema's title.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.schema()?["title"].as_str()?.to_lowercase().parse().ok()
    }

    /// How often the model has spoken in this conversation.
    #[must_use]
    pub fn turns_before(&self) -> usize {
        self.messages().iter().filter(|message| message["role"] == "assistant").count()
    }

    /// Every text and tool result of the conversation, oldest first.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        for message in self.messages() {
            collect_texts(&message["content"], &mut texts);
        }
        texts
    }

    /// Whether the conversation holds a text.
    #[must_use]
    pub fn mentions(&self, needle: &str) -> bool {
        self.texts().iter().any(|text| text.contains(needle))
    }

    fn messages(&self) -> &[Value] {
        self.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default()
    }
}

fn collect_texts<'a>(content: &'a Value, texts: &mut Vec<&'a str>) {
    match content {
        Value::String(text) => texts.push(text),
        Value::Array(blocks) => {
            for block in blocks {
                if let Some(text) = block["text"].as_str() {
                    texts.push(text);
                }
                // A tool result holds either a string or blocks of its own.
                collect_texts(&block["content"], texts);
            }
        }
        _ => {}
    }
}
