//! Reads the usage of a call from its answer as it passes.
//!
//! What holds: nothing of the answer is changed or held back; of a stream only the lines that tell
//! usage are kept, of an answer in one piece at most [`BODY_KEPT_MAX`]; what cannot be read leaves
//! the usage unknown and never stops the answer.

use serde::Deserialize;
use specwright_shared::excerpt::Excerpt;
use specwright_shared::price::Tokens;

/// Of an answer in one piece, so much is kept: the longest text of a model is a twentieth of it.
const BODY_KEPT_MAX: usize = 8 * 1024 * 1024;
/// Of a line that tells usage, so much: such lines have a few hundred bytes.
const TELLING_LINE_MAX: usize = 64 * 1024;
/// Of any other line, so much: enough for the name of its event.
const OTHER_LINE_MAX: usize = 64;
/// The most bytes of the service's error that are told: far beyond what is shown of it, so that a
/// secret is still whole when it is looked for.
const ERROR_MAX_BYTES: usize = 16 * 1024;
/// What stands around the text in the line of a delta, at the least (`data: {"type":…,"text":""}}`).
const DELTA_FRAME_BYTES: u64 = 80;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Server-sent events.
    Stream,
    /// One JSON object.
    Whole,
}

/// What an answer told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The model that answered.
    pub(super) model: Option<String>,
    /// The usage, if any was told.
    pub(super) tokens: Option<Tokens>,
    /// Something that has a price beside tokens was used.
    pub(super) beside_tokens: bool,
    /// The error, in words.
    pub(super) error: Option<String>,
    /// Bytes of text, thought and tool input, about.
    pub(super) text_bytes: u64,
    /// It came to its end.
    pub(super) complete: bool,
}

/// What a chunk was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// More than pings.
    pub(super) content: bool,
    /// New usage was told.
    pub(super) usage: bool,
}

/// The reader of one answer.
#[derive(Debug)]
pub(super) struct Meter {
    form: Form,
    event: Kind,
    kept: Vec<u8>,
    /// Bytes of the line under way, kept or not.
    line_bytes: u64,
    told: Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Start,
    Delta,
    Text,
    Stop,
    Ping,
    Error,
    Other,
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        match name {
            b"message_start" => Self::Start,
            b"message_delta" => Self::Delta,
            b"content_block_delta" => Self::Text,
            b"message_stop" => Self::Stop,
            b"ping" => Self::Ping,
            b"error" => Self::Error,
            _ => Self::Other,
        }
    }

    const fn tells(self) -> bool {
        matches!(self, Self::Start | Self::Delta | Self::Error)
    }

    const fn is_content(self) -> bool {
        !matches!(self, Self::None | Self::Ping)
    }
}

impl Meter {
    pub(super) fn new(form: Form) -> Self {
        Self { form, event: Kind::None, kept: Vec::new(), line_bytes: 0, told: Told::default() }
    }

    /// What was told until now.
    pub(super) const fn told(&self) -> &Told {
        &self.told
    }

    /// A chunk passes.
    pub(super) fn pass(&mut self, chunk: &[u8]) -> Passed {
        match self.form {
            Form::Whole => {
                let room = BODY_KEPT_MAX.saturating_sub(self.kept.len());
                self.kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
                self.told.text_bytes += chunk.len() as u64;
                Passed { content: !chunk.is_empty(), usage: false }
            }
            Form::Stream => self.pass_lines(chunk),
        }
    }

    /// The answer is over; the whole of it came.
    pub(super) fn end(&mut self) {
        match self.form {
            Form::Whole => {
                self.told.complete = true;
                let kept = std::mem::take(&mut self.kept);
                if let Ok(body) = serde_json::from_slice::<Body>(&kept) {
                    self.take_message(body.model, body.usage.as_ref());
                    self.told.error = body.error.map(ServiceError::in_words);
                }
            }
            // A stream that has ended without its last event was cut, whatever HTTP says.
            Form::Stream => {}
        }
    }

    fn pass_lines(&mut self, chunk: &[u8]) -> Passed {
        let before = self.told.tokens;
        let mut passed = Passed { content: self.event.is_content(), usage: false };
        let mut rest = chunk;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.keep(&rest[..end]);
            self.line();
            passed.content |= self.event.is_content();
            rest = &rest[end + 1..];
        }
        self.keep(rest);
        passed.usage = before != self.told.tokens;
        passed
    }

    fn keep(&mut self, part: &[u8]) {
        let most = if self.event.tells() { TELLING_LINE_MAX } else { OTHER_LINE_MAX };
        let room = most.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&part[..part.len().min(room)]);
        self.line_bytes += part.len() as u64;
    }

    /// A line is whole.
    fn line(&mut self) {
        let bytes = std::mem::take(&mut self.line_bytes);
        let mut kept = std::mem::take(&mut self.kept);
        let line = kept.strip_suffix(b"\r").unwrap_or(&kept);
        if line.is_empty() {
            self.event = Kind::None;
        } else if let Some(name) = line.strip_prefix(b"event:") {
            self.event = Kind::of(name.trim_ascii());
            self.told.complete |= self.event == Kind::Stop;
        } else if let Some(data) = line.strip_prefix(b"data:") {
            if self.event.tells() {
                self.data(data);
            }
            if self.event == Kind::Text {
                self.told.text_bytes += bytes.saturating_sub(DELTA_FRAME_BYTES);
            }
        }
        kept.clear();
        // The same memory for the next line.
        self.kept = kept;
    }

    fn data(&mut self, data: &[u8]) {
        let Ok(event) = serde_json::from_slice::<StreamEvent>(data) else { return };
        if let Some(message) = event.message {
            self.take_message(message.model, message.usage.as_ref());
        }
        self.take_message(None, event.usage.as_ref());
        if let Some(error) = event.error {
            self.told.error = Some(error.in_words());
        }
    }

    /// Later numbers replace earlier ones: the service counts up.
    fn take_message(&mut self, model: Option<String>, usage: Option<&Usage>) {
        if model.is_some() {
            self.told.model = model;
        }
        let Some(usage) = usage else { return };
        let tokens = self.told.tokens.get_or_insert_default();
        let take = |into: &mut u64, value: Option<u64>| *into = value.unwrap_or(*into);
        take(&mut tokens.input, usage.input_tokens);
        take(&mut tokens.output, usage.output_tokens);
        take(&mut tokens.cache_read, usage.cache_read_input_tokens);
        match &usage.cache_creation {
            Some(split) => {
                take(&mut tokens.cache_write_5m, split.ephemeral_5m_input_tokens);
                take(&mut tokens.cache_write_1h, split.ephemeral_1h_input_tokens);
            }
            // Without the split by time: five minutes are the default. A total that repeats what
            // was split before changes nothing.
            None if tokens.cache_write_1h == 0 => {
                take(&mut tokens.cache_write_5m, usage.cache_creation_input_tokens);
            }
            None => {}
        }
        let tools = usage.server_tool_use.as_ref();
        self.told.beside_tokens |= tools.is_some_and(|tools| tools.web_search_requests > 0);
    }
}

#[derive(Deserialize)]
struct StreamEvent {
    message: Option<Message>,
    usage: Option<Usage>,
    error: Option<ServiceError>,
}

#[derive(Deserialize)]
struct Message {
    model: Option<String>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    usage: Option<Usage>,
    error: Option<ServiceError>,
}

#[derive(Deserialize)]
struct ServiceError {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    message: String,
}

impl ServiceError {
    fn in_words(self) -> String {
        let whole = format!("{}: {}", self.kind, self.message);
        Excerpt::within(&whole, ERROR_MAX_BYTES).text
    }
}

#[derive(Deserialize)]
struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    server_tool_use: Option<ServerTools>,
}

#[derive(Deserialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct ServerTools {
    #[serde(default)]
    web_search_requests: u64,
}

#[cfg(test)]
mod tests;
