//! Interrupts: what the agent is doing is broken off, and it is told why and to go on.
//!
//! What holds: one at a time, whoever asks. A person's waits for the answer to a remedy and then takes
//! its place: the agent hears the person's words, not the remedy's. A remedy is not begun while an
//! interrupt is under way, since that is one. The agent's answer, not our request, is the receipt;
//! facts are read while it is waited for, so that an agent that has much to say can answer behind it,
//! and a stop does not wait for a deaf agent. An agent that does not answer in time is ended and a
//! fresh one begins the phase's next attempt. What was interrupted always hears something next, so
//! that no run waits for a message that nobody sends.

use std::time::Instant;

use futures_util::future::BoxFuture;
use specwright_shared::id::MessageId;
use specwright_shared::machine::RunEvent;
use specwright_shared::outcome::Outcome;
use specwright_shared::wire::event::{AgentInterrupted, Event, RetryReason};
use specwright_shared::wire::message::MessageStatus;
use uuid::Uuid;

use super::attempt::Failure;
use super::drive::Run;
use crate::agent::{InterruptAnswer, InterruptError};
use crate::spool::SpoolError;

/// Why the agent is to break off.
#[derive(Debug)]
pub(super) enum Cause {
    /// A message asks for it; its text is what the agent hears next.
    Message(MessageId),
    /// A remedy: the agent is asked to go on.
    Remedy {
        /// What had happened.
        what: String,
        /// What is written down; absent: that was done already.
        reason: Option<String>,
        /// What the agent hears.
        words: String,
    },
    /// The attempt is over, whatever the agent answers.
    End(Failure),
}

/// An interrupt that the agent has not answered yet.
pub(super) struct Interrupting {
    cause: Cause,
    /// The attempt in which it was asked.
    attempt: u8,
    asked: Instant,
    answer: BoxFuture<'static, Result<InterruptAnswer, InterruptError>>,
}

/// One that it answered, or did not in time.
#[derive(Debug)]
pub(super) struct Interrupted {
    cause: Cause,
    attempt: u8,
    asked: Instant,
    answer: Result<InterruptAnswer, InterruptError>,
}

/// Waits for the answer to the one under way.
pub(super) async fn answered(under_way: &mut Option<Interrupting>) -> Interrupted {
    let answer = match under_way {
        Some(open) => (&mut open.answer).await,
        None => std::future::pending().await,
    };
    let Some(Interrupting { cause, attempt, asked, .. }) = under_way.take() else {
        return std::future::pending().await;
    };
    Interrupted { cause, attempt, asked, answer }
}

impl Run<'_> {
    /// Asks the agent to break off; `false`: there is none, or an interrupt is under way.
    pub(super) fn interrupt(&mut self, cause: Cause, cancel_queued: bool) -> bool {
        let (Some(running), Some(attempt)) = (&self.agent, &mut self.attempt) else { return false };
        if self.wakes.interrupt.is_some() {
            return false;
        }
        attempt.turns.cut();
        let within = self.config.answer_timeout;
        let answer = Box::pin(running.agent.interruption(cancel_queued, within));
        let (attempt, asked) = (attempt.number, Instant::now());
        self.wakes.interrupt = Some(Interrupting { cause, attempt, asked, answer });
        true
    }

    /// Whether words of a person are about to follow.
    pub(super) fn is_interrupted_by_message(&self) -> bool {
        let open = self.wakes.interrupt.as_ref();
        open.is_some_and(|open| matches!(open.cause, Cause::Message(_)))
    }

    /// Whether the attempt is over and only the agent's answer is waited for.
    pub(super) fn is_being_given_up(&self) -> bool {
        let open = self.wakes.interrupt.as_ref();
        open.is_some_and(|open| matches!(open.cause, Cause::End(_)))
    }

    /// The agent answered an interrupt, or did not.
    pub(super) async fn interrupted(
        &mut self,
        interrupted: Interrupted,
    ) -> Result<Option<RunEvent>, SpoolError> {
        let Interrupted { cause, attempt, asked, answer } = interrupted;
        let mut told = AgentInterrupted {
            took_ms: u64::try_from(asked.elapsed().as_millis()).ok(),
            ..AgentInterrupted::default()
        };
        if let Ok(answer) = &answer {
            // Its calls are broken off, whatever becomes of their answers.
            self.vigil.broken_off();
            let ids = |uuids: &[Uuid]| uuids.iter().copied().map(MessageId).collect::<Vec<_>>();
            told.still_queued = ids(&answer.still_queued);
            told.cancelled = ids(&answer.cancelled);
        }
        match (cause, answer) {
            (Cause::Message(id), Ok(_)) => {
                self.interrupted_by_message(id, told).await?;
                Ok(None)
            }
            (Cause::Message(id), Err(error)) => {
                self.mail.has_interrupted(id);
                if let Some(output) = self.take_held() {
                    // It was idle and had done its work: what it cannot hear changes nothing of that.
                    return self.judge_output(&output).await;
                }
                let why = format!("The agent was to be interrupted, and {error}.");
                self.broke(Failure::new(RetryReason::AgentBroke, why), Outcome::AgentError)
            }
            (Cause::Remedy { reason, words, .. }, Ok(_)) => {
                if let Some(reason) = reason {
                    self.record(Event::AgentInterrupted(AgentInterrupted { reason, ..told }))
                        .await?;
                }
                self.hand_over_mail(false).await?;
                let in_this = self.attempt.as_ref().is_some_and(|now| now.number == attempt);
                if self.wakes.interrupt.is_some() || !in_this {
                    // A person's words come instead, or the turn had come to its end by itself.
                    return Ok(None);
                }
                self.ask(&words).await
            }
            (Cause::Remedy { what, .. }, Err(error)) => {
                let why = format!("Because {what}, the agent was interrupted, and {error}.");
                self.broke(Failure::new(RetryReason::TimedOut, why), Outcome::TimedOut)
            }
            (Cause::End(failure), answer) => {
                match answer {
                    Ok(_) => {
                        let reason = failure.message.clone();
                        let told = AgentInterrupted { reason, ..told };
                        self.record(Event::AgentInterrupted(told)).await?;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the agent was not interrupted; it is ended");
                    }
                }
                self.broke(failure, Outcome::TimedOut)
            }
        }
    }

    async fn interrupted_by_message(
        &mut self,
        id: MessageId,
        told: AgentInterrupted,
    ) -> Result<(), SpoolError> {
        let Some(message) = self.mail.has_interrupted(id) else { return Ok(()) };
        let cancelled = told.cancelled.clone();
        let reason = format!("asked for by message {id}");
        let told = AgentInterrupted { reason, message_id: Some(id), ..told };
        let trace_id = message.traceparent.map(|context| context.trace);
        self.record_in(trace_id, Event::AgentInterrupted(told)).await?;
        for dropped in cancelled {
            let why = format!("dropped by the interrupt {id}");
            self.came(dropped, MessageStatus::Cancelled, None, Some(why)).await?;
        }
        if self.follow(&message).await? {
            // Another one may have waited for this answer.
            self.hand_over_mail(false).await?;
        }
        Ok(())
    }

    /// The agent is gone, and with it what it was to break off.
    pub(super) fn nothing_to_interrupt(&mut self) {
        if let Some(Interrupting { cause: Cause::Message(id), .. }) = self.wakes.interrupt.take() {
            // The next agent is told the text alone.
            self.mail.has_interrupted(id);
        }
    }
}
