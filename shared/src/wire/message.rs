//! Text that someone sends into a running agent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::MessageId;
use crate::text::Text;
use crate::time::Timestamp;

/// The text of a message: at most 32,768 characters.
pub type MessageText = Text<32768>;

/// Who speaks, as far as the agent is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A person.
    UserMessage,
    /// A guardian.
    GuardianNudge,
    /// Specwright itself.
    System,
}

impl MessageKind {
    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserMessage => "user_message",
            Self::GuardianNudge => "guardian_nudge",
            Self::System => "system",
        }
    }
}

/// When the agent should see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deliver {
    /// At the next tool boundary of the running turn.
    #[default]
    Next,
    /// At once: what runs is aborted.
    Now,
    /// After the running turn.
    Later,
}

impl Deliver {
    /// The CLI's word for it (`priority` on the stdin line).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Now => "now",
            Self::Later => "later",
        }
    }
}

/// `POST /sandboxes/{id}/messages`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// Chosen by the sender, so that sending again is not a second message; made up if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// Who speaks.
    pub kind: MessageKind,
    /// The text.
    pub text: MessageText,
    /// When the agent should see it.
    #[serde(default)]
    pub deliver: Deliver,
}

/// How far a message has come.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// Stored by the control API.
    Queued,
    /// Written to the agent's stdin.
    Written,
    /// The model has it: the agent echoed it into a turn.
    Seen,
    /// The run ended before the agent saw it.
    Expired,
}

impl MessageStatus {
    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Written => "written",
            Self::Seen => "seen",
            Self::Expired => "expired",
        }
    }
}

impl std::str::FromStr for MessageStatus {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Queued, Self::Written, Self::Seen, Self::Expired]
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| format!("`{word}` is not a message status"))
    }
}

/// A message as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Its id; the same stands on the agent's stdin line.
    pub id: MessageId,
    /// Its place in the sandbox's row of messages, from 1.
    pub position: u64,
    /// Who speaks.
    pub kind: MessageKind,
    /// The text.
    pub text: String,
    /// When the agent should see it.
    pub deliver: Deliver,
    /// How far it has come.
    pub status: MessageStatus,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it was written to the agent, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_at: Option<Timestamp>,
    /// When the agent took it into a turn, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
}

/// `GET /sandboxes/{id}/messages/poll?after=P&wait_ms=W`, by the worker: what came behind position
/// `P`, or nothing after `W`. Reading consumes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Poll {
    /// Messages in their order.
    pub messages: Vec<Message>,
    /// Set when the run is to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
}

/// A request that the run stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stop {
    /// Why, in words.
    pub reason: String,
}
