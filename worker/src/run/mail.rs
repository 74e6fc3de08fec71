//! Messages on their way into the agent.
//!
//! What holds: a message is written to an agent once, and again to the next one only if the first
//! did not show it to the model; once seen it is never written again. Messages that wait while there
//! is no agent are written right behind the next prompt, so that the model gets them with its first
//! tool call, or in a turn of their own.

use std::collections::BTreeSet;

use specwright_shared::id::MessageId;
use specwright_shared::wire::event::{Event, MessageInjected};
use specwright_shared::wire::message::{self, Message, MessageKind, MessageStatus};
use uuid::Uuid;

use super::drive::Run;
use crate::agent::{Deliver, LifecycleState};
use crate::spool::SpoolError;

/// Messages that no agent has seen.
#[derive(Debug, Default)]
pub(super) struct Mail {
    unseen: Vec<Message>,
    seen: BTreeSet<MessageId>,
    written: BTreeSet<MessageId>,
}

impl Mail {
    /// What was kept on disk, without what an agent saw before.
    pub(super) fn new(kept: Vec<Message>, seen: BTreeSet<MessageId>) -> Self {
        let mut mail = Self { seen, ..Self::default() };
        mail.add(kept);
        mail
    }

    pub(super) fn add(&mut self, messages: Vec<Message>) {
        for message in messages {
            let known = self.unseen.iter().any(|other| other.id == message.id);
            if !known && !self.seen.contains(&message.id) && message.status != MessageStatus::Seen {
                self.unseen.push(message);
            }
        }
    }

    /// A new agent has been told nothing.
    pub(super) fn agent_is_gone(&mut self) {
        self.written.clear();
    }

    fn unwritten(&self) -> Vec<Message> {
        self.unseen.iter().filter(|message| !self.written.contains(&message.id)).cloned().collect()
    }

    /// The agent showed it to the model; `true` the first time.
    fn saw(&mut self, id: MessageId) -> bool {
        let before = self.unseen.len();
        self.unseen.retain(|message| message.id != id);
        before != self.unseen.len() && self.seen.insert(id)
    }
}

impl Run<'_> {
    /// Writes what waits to the agent, if there is one that was asked something.
    pub(super) async fn hand_over_mail(&mut self) -> Result<(), SpoolError> {
        for message in self.mail.unwritten() {
            let Some(running) = &mut self.agent else { return Ok(()) };
            let deliver = match message.deliver {
                message::Deliver::Now => Deliver::Now,
                message::Deliver::Next => Deliver::Next,
                message::Deliver::Later => Deliver::Later,
            };
            let text = in_words(&message);
            match running.agent.say(message.id.0, &text, deliver).await {
                Ok(()) => {
                    if deliver == Deliver::Now
                        && let Some(attempt) = &mut self.attempt
                    {
                        attempt.cut_by_message = true;
                    }
                    self.mail.written.insert(message.id);
                    self.message_came(message.id, MessageStatus::Written).await?;
                }
                Err(error) => {
                    // The agent's end comes as a fact of its own; the next one gets the message.
                    tracing::warn!(%error, id = %message.id, "a message could not be written");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A message of ours was handed to the model.
    pub(super) async fn replayed(&mut self, uuid: Uuid) -> Result<(), SpoolError> {
        let id = MessageId(uuid);
        if self.mail.saw(id) {
            self.message_came(id, MessageStatus::Seen).await?;
        }
        Ok(())
    }

    /// The agent says how far it is with a message.
    pub(super) async fn lifecycle(
        &mut self,
        uuid: Uuid,
        state: LifecycleState,
    ) -> Result<(), SpoolError> {
        match state {
            LifecycleState::Queued => Ok(()),
            LifecycleState::Started | LifecycleState::Completed => self.replayed(uuid).await,
            LifecycleState::Cancelled => {
                self.mail.written.remove(&MessageId(uuid));
                Ok(())
            }
        }
    }

    async fn message_came(
        &self,
        message_id: MessageId,
        status: MessageStatus,
    ) -> Result<(), SpoolError> {
        self.record(Event::MessageInjected(MessageInjected { message_id, status })).await?;
        Ok(())
    }
}

/// Who speaks is told to the agent, since all of it comes over the same line.
fn in_words(message: &Message) -> String {
    match message.kind {
        MessageKind::UserMessage => message.text.clone(),
        MessageKind::GuardianNudge => format!("Specwright's guardian says: {}", message.text),
        MessageKind::System => format!("Specwright says: {}", message.text),
    }
}
