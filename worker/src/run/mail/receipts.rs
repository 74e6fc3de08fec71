//! Receipts, from what the agent says of our messages.
//!
//! What holds: `started` before anything else is a turn of the message's own; an echo before that is
//! a fold into the running turn; `completed`, or the message's uuid in the result of a turn that was
//! not broken off, settles it; a receipt only rises.

use specwright_shared::id::MessageId;
use specwright_shared::trace::TraceId;
use specwright_shared::wire::event::{Event, MessageInjected};
use specwright_shared::wire::message::{MessageStatus, SeenAs};
use uuid::Uuid;

use crate::agent::{LifecycleState, Turn, TurnResult};
use crate::run::drive::Run;
use crate::spool::SpoolError;

impl Run<'_> {
    /// A message of ours was handed to the model.
    pub(crate) async fn replayed(&mut self, uuid: Uuid) -> Result<(), SpoolError> {
        self.came(MessageId(uuid), MessageStatus::Seen, Some(SeenAs::Folded), None).await
    }

    /// The agent says how far it is with a message.
    pub(crate) async fn lifecycle(
        &mut self,
        uuid: Uuid,
        state: LifecycleState,
    ) -> Result<(), SpoolError> {
        let id = MessageId(uuid);
        match state {
            LifecycleState::Queued => Ok(()),
            LifecycleState::Started => {
                self.begun(uuid);
                self.came(id, MessageStatus::Seen, Some(SeenAs::OwnTurn), None).await
            }
            LifecycleState::Completed => self.came(id, MessageStatus::Settled, None, None).await,
            LifecycleState::Cancelled => {
                let seen = self.mail.letter(id).map(|letter| letter.status);
                let why = if seen == Some(MessageStatus::Seen) {
                    "the turn that it was part of was broken off"
                } else {
                    "the agent dropped it before the model saw it"
                };
                self.came(id, MessageStatus::Cancelled, None, Some(why.to_owned())).await
            }
        }
    }

    /// What was broken off for a message lies behind.
    fn begun(&mut self, uuid: Uuid) {
        if let Some(attempt) = &mut self.attempt {
            attempt.turns.begun(uuid);
        }
    }

    /// A turn is over, and with it the messages that it took in.
    pub(crate) async fn turn_settles(&mut self, turn: &TurnResult) -> Result<(), SpoolError> {
        if turn.judge() == Turn::Aborted {
            return Ok(());
        }
        for uuid in &turn.user_message_uuids {
            self.came(MessageId(*uuid), MessageStatus::Settled, None, None).await?;
        }
        Ok(())
    }

    /// Moves a message of ours on and says so; what is none, or a step back, changes nothing.
    pub(in crate::run) async fn came(
        &mut self,
        id: MessageId,
        status: MessageStatus,
        seen_as: Option<SeenAs>,
        reason: Option<String>,
    ) -> Result<(), SpoolError> {
        let Some(letter) = self.mail.letter(id) else { return Ok(()) };
        if status == MessageStatus::Written {
            // Written anew to another agent: said again, and no step.
            letter.status = letter.status.max(status);
        } else if letter.status.can_become(status) {
            letter.status = status;
        } else {
            return Ok(());
        }
        let trace_id = letter.trace_id();
        if status.is_final() {
            self.mail.letters.retain(|letter| letter.message.id != id);
            self.mail.done.insert(id);
        }
        if status == MessageStatus::Seen {
            self.held_waits_for_the_turn();
        }
        self.receipt((id, trace_id), status, seen_as, reason).await
    }

    pub(super) async fn receipt(
        &self,
        (message_id, trace_id): (MessageId, Option<TraceId>),
        status: MessageStatus,
        seen_as: Option<SeenAs>,
        reason: Option<String>,
    ) -> Result<(), SpoolError> {
        let trace = trace_id.map(tracing::field::display);
        tracing::debug!(%message_id, trace_id = trace, receipt = status.as_str(), "a receipt");
        let step = MessageInjected { message_id, status, seen_as, reason };
        self.note_in(trace_id, Event::MessageInjected(step)).await
    }
}
