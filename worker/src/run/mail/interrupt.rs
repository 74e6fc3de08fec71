//! Interrupts: what the agent is doing is broken off, and it is told why and to go on.
//!
//! What holds: the agent's answer, not our request, is the receipt; facts are read while it is waited
//! for, since an agent that has much to say answers behind it; an agent that does not answer in time
//! is ended and a fresh one begins the phase's next attempt; the text of an interrupt is always what
//! the agent hears next, so that no run waits for a message that nobody sends.

use std::time::Instant;

use futures_util::future::BoxFuture;
use specwright_shared::id::MessageId;
use specwright_shared::machine::RunEvent;
use specwright_shared::outcome::Outcome;
use specwright_shared::wire::event::{AgentInterrupted, Event, RetryReason};
use specwright_shared::wire::message::{Message, MessageStatus};
use uuid::Uuid;

use crate::agent::{Deliver, InterruptAnswer, InterruptError};
use crate::run::attempt::Failure;
use crate::run::drive::Run;
use crate::spool::SpoolError;

/// An interrupt that the agent has not answered yet.
pub(crate) struct Interrupting {
    pub(crate) message: MessageId,
    pub(crate) asked: Instant,
    pub(crate) answer: BoxFuture<'static, Result<InterruptAnswer, InterruptError>>,
}

impl Run<'_> {
    /// Asks the agent to break off; a second interrupt waits for the answer to the first.
    pub(super) fn interrupt(&mut self, message: &Message) {
        let Some(running) = &self.agent else { return };
        if self.wakes.interrupt.is_some() {
            return;
        }
        let answer = Box::pin(running.agent.interruption(message.cancel_queued));
        let (message, asked) = (message.id, Instant::now());
        self.wakes.interrupt = Some(Interrupting { message, asked, answer });
        if let Some(attempt) = &mut self.attempt {
            attempt.cut_by_message = true;
        }
    }

    /// The agent answered an interrupt, or did not.
    pub(crate) async fn interrupt_answered(
        &mut self,
        id: MessageId,
        asked: Instant,
        answer: Result<InterruptAnswer, InterruptError>,
    ) -> Result<Option<RunEvent>, SpoolError> {
        let took_ms = u64::try_from(asked.elapsed().as_millis()).ok();
        let Some(letter) = self.mail.letter(id) else { return Ok(None) };
        // Also when it failed: the agent is ended then, and the next one is told the text alone.
        letter.interrupted = true;
        let message = letter.message.clone();
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let why = format!("The agent was to be interrupted, and {error}.");
                let failure = Failure::new(RetryReason::AgentBroke, why);
                return self.broke(failure, Outcome::AgentError);
            }
        };
        let ids = |uuids: &[Uuid]| uuids.iter().copied().map(MessageId).collect::<Vec<_>>();
        let cancelled = ids(&answer.cancelled);
        self.record(Event::AgentInterrupted(AgentInterrupted {
            reason: format!("asked for by message {id}"),
            message_id: Some(id),
            took_ms,
            still_queued: ids(&answer.still_queued),
            cancelled: cancelled.clone(),
        }))
        .await?;
        for dropped in cancelled {
            let why = format!("dropped by the interrupt {id}");
            self.came(dropped, MessageStatus::Cancelled, None, Some(why)).await?;
        }
        if self.give(&message, Deliver::Next).await? {
            // Another one may have waited for this answer.
            self.hand_over_mail(false).await?;
        }
        Ok(None)
    }

    /// The agent is gone, and with it what it was to break off.
    pub(crate) fn nothing_to_interrupt(&mut self) {
        if let Some(given_up) = self.wakes.interrupt.take()
            && let Some(letter) = self.mail.letter(given_up.message)
        {
            letter.interrupted = true;
        }
    }
}
