//! Text that someone sends into a running agent, and the receipts that say how far it has come.
//!
//! What holds: a receipt only rises ([`MessageStatus::can_become`]); the last four are final. What
//! each receipt rests on stands beside it: a fact of the worker or a line of the agent, never hope.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::MessageId;
use crate::phase::Phase;
use crate::text::Text;
use crate::time::Timestamp;
use crate::trace::TraceContext;

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
    /// A person who breaks off what the agent is doing; the text is what it hears next, so that an
    /// interrupt never leaves a run waiting for nobody.
    Interrupt,
}

impl MessageKind {
    /// All kinds.
    pub const ALL: [Self; 4] =
        [Self::UserMessage, Self::GuardianNudge, Self::System, Self::Interrupt];

    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserMessage => "user_message",
            Self::GuardianNudge => "guardian_nudge",
            Self::System => "system",
            Self::Interrupt => "interrupt",
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
    /// After this it is worth nothing and is not given to the agent any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The phase that it is meant for: it waits for that one, and is refused when it has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// With an interrupt: drop what the agent has queued and not taken up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_queued: bool,
}

/// How far a message has come.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// Stored by the control API.
    Queued,
    /// On the worker's disk.
    Delivered,
    /// The agent's stdin took it; of an interrupt: the agent answered it.
    Written,
    /// The model has it: the agent took it into a turn ([`SeenAs`]).
    Seen,
    /// The turn that it was part of is over.
    Settled,
    /// The agent dropped it, or the turn that it opened was broken off.
    Cancelled,
    /// Its time ran out, or the run ended, before the agent took it up.
    Expired,
    /// It cannot be given to the agent: the phase that it is meant for has passed or has none.
    Refused,
}

/// How the model came to see a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeenAs {
    /// In the middle of a running turn, with a tool's answer.
    Folded,
    /// As the opening of a turn of its own.
    OwnTurn,
}

impl SeenAs {
    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Folded => "folded",
            Self::OwnTurn => "own_turn",
        }
    }
}

impl std::str::FromStr for SeenAs {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Folded, Self::OwnTurn]
            .into_iter()
            .find(|seen| seen.as_str() == word)
            .ok_or_else(|| format!("`{word}` is not a way to be seen"))
    }
}

impl MessageStatus {
    /// All of them, in the order in which they rise.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Delivered,
        Self::Written,
        Self::Seen,
        Self::Settled,
        Self::Cancelled,
        Self::Expired,
        Self::Refused,
    ];

    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Written => "written",
            Self::Seen => "seen",
            Self::Settled => "settled",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Refused => "refused",
        }
    }

    /// Whether nothing more will become of the message.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Settled | Self::Cancelled | Self::Expired | Self::Refused)
    }

    /// Whether a receipt may follow this one. Expired and refused are said only of what the model
    /// has not seen.
    #[must_use]
    pub fn can_become(self, next: Self) -> bool {
        !self.is_final()
            && next > self
            && !(self == Self::Seen && matches!(next, Self::Expired | Self::Refused))
    }
}

impl std::str::FromStr for MessageStatus {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
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
    /// Who sent it, as the sender's token says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// After this it is not given to the agent any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The phase that it is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// With an interrupt: what the agent has queued is dropped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_queued: bool,
    /// How the model came to see it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_as: Option<SeenAs>,
    /// Why it was cancelled, expired or refused, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The request that brought it; its receipts belong to the same trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceContext>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When the worker had it on disk, if it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    /// When it was written to the agent, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_at: Option<Timestamp>,
    /// When the agent took it into a turn, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// When the turn that it was part of was over, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
    /// When it was cancelled, expired or refused, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Message {
    /// A message as it is stored first.
    #[must_use]
    pub fn queued(
        id: MessageId,
        position: u64,
        new: &NewMessage,
        sender: Option<String>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            position,
            kind: new.kind,
            text: new.text.to_string(),
            deliver: new.deliver,
            status: MessageStatus::Queued,
            sender,
            expires_at: new.expires_at,
            phase: new.phase,
            cancel_queued: new.cancel_queued,
            seen_as: None,
            reason: None,
            traceparent: None,
            created_at,
            delivered_at: None,
            written_at: None,
            seen_at: None,
            settled_at: None,
            ended_at: None,
        }
    }
}

/// The names of the events on `GET /sandboxes/{id}/messages/stream`. Their data is a [`Message`]
/// (its position is the event's id), a [`Stop`], or nothing.
pub mod push {
    /// A message.
    pub const MESSAGE: &str = "message";
    /// The run is to stop.
    pub const STOP: &str = "stop";
    /// The run is to end after the phase at work.
    pub const PAUSE: &str = "pause";
}

/// `GET /sandboxes/{id}/messages/poll?after=P&wait_ms=W`, by the worker: what came behind position
/// `P`, or nothing after `W`. Reading consumes nothing. A pause alone does not end the wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Poll {
    /// Messages in their order.
    pub messages: Vec<Message>,
    /// Set when the run is to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// Set when the run is to end after the phase at work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pause: bool,
}

/// A request that the run stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stop {
    /// Why, in words.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_only_rises_and_the_last_four_are_final() {
        use MessageStatus as S;
        for from in S::ALL {
            for to in S::ALL {
                let may = from.can_become(to);
                assert!(!may || to > from, "{from:?} -> {to:?}");
                assert!(!may || !from.is_final(), "{from:?} -> {to:?}");
            }
        }
        assert!(S::Queued.can_become(S::Settled), "steps may be skipped, facts may be lost");
        assert!(S::Seen.can_become(S::Cancelled), "the turn that it opened was broken off");
        assert!(!S::Seen.can_become(S::Expired), "what was seen does not expire");
    }

    #[test]
    fn a_message_of_an_older_peer_is_read() {
        let old = serde_json::json!({
            "id": uuid::Uuid::nil(), "position": 1, "kind": "user_message", "text": "x",
            "deliver": "next", "status": "queued", "created_at": "2026-11-18T11:06:40.000001Z",
        });
        let message: Message = serde_json::from_value(old.clone()).unwrap();
        assert_eq!(serde_json::to_value(message).unwrap(), old);
    }
}
