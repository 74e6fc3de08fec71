//! Messages on their way into the agent: which wait, which were written, what became of them.
//!
//! What holds: a message is written to an agent once, and again to the next one only if the first
//! did not show it to the model; once seen it is never written again. Messages that wait while there
//! is no agent are written right behind the next prompt, where `now` breaks nothing off: there the
//! model gets them with its first tool call, or in a turn of their own. A message for a phase waits
//! for it, and is refused when it has passed; an overdue one is not written.
//!
//! The receipts are in [`receipts`], and what a message that comes at the end of a turn does to the
//! phase's output in [`held`]; how an agent is interrupted is told one room up.

mod held;
mod receipts;

use std::collections::BTreeSet;
use std::time::Instant;

use specwright_shared::id::MessageId;
use specwright_shared::machine::RunEvent;
use specwright_shared::phase::Phase;
use specwright_shared::time::Timestamp;
use specwright_shared::trace::TraceId;
use specwright_shared::wire::message::{self, Message, MessageKind, MessageStatus};

pub(super) use held::Held;

use super::drive::{Run, now};
use super::interrupt::Cause;
use crate::agent::Deliver;
use crate::spool::SpoolError;

/// Messages that are not done with.
#[derive(Debug, Default)]
pub(super) struct Mail {
    letters: Vec<Letter>,
    /// Seen by an agent that is gone, or never to be.
    done: BTreeSet<MessageId>,
}

/// One message, as far as this worker has brought it.
#[derive(Debug, Clone)]
struct Letter {
    message: Message,
    status: MessageStatus,
    /// Written to the agent that is at work now.
    given: bool,
    /// Of an interrupt: it was answered, or there was nothing to break off. Its text remains.
    interrupted: bool,
}

/// What is to be done with a message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Due {
    Wait,
    Give,
    Expire,
    Refuse(String),
}

impl Letter {
    fn new(message: Message) -> Self {
        let status = message.status.max(MessageStatus::Delivered);
        Self { message, status, given: false, interrupted: false }
    }

    /// The trace of the request that brought it.
    fn trace_id(&self) -> Option<TraceId> {
        self.message.traceparent.map(|context| context.trace)
    }

    /// `at`: the phase at work; `until`: the last one of the run.
    fn due(&self, now: Timestamp, at: Phase, until: Phase) -> Due {
        if self.message.expires_at.is_some_and(|end| end <= now) {
            return Due::Expire;
        }
        match self.message.phase {
            None => Due::Give,
            Some(meant) if !meant.needs_agent() => {
                Due::Refuse(format!("no agent is at work in the phase `{meant}`: it is computed"))
            }
            Some(meant) if meant < at => Due::Refuse(format!("the phase `{meant}` has passed")),
            Some(meant) if meant > until => {
                Due::Refuse(format!("the run ends with the phase `{until}`, before `{meant}`"))
            }
            Some(meant) if meant > at => Due::Wait,
            Some(_) => Due::Give,
        }
    }
}

impl Mail {
    /// What was kept on disk, without what is done with.
    pub(super) fn new(kept: Vec<Message>, done: BTreeSet<MessageId>) -> Self {
        let mut mail = Self { done, ..Self::default() };
        mail.add(kept);
        mail
    }

    /// Adds what is new; says which that is, and of which trace.
    fn add(&mut self, messages: Vec<Message>) -> Vec<(MessageId, Option<TraceId>)> {
        let mut new = Vec::new();
        for message in messages {
            let known = self.letters.iter().any(|letter| letter.message.id == message.id);
            if !known && !self.done.contains(&message.id) && message.status < MessageStatus::Seen {
                let letter = Letter::new(message);
                new.push((letter.message.id, letter.trace_id()));
                self.letters.push(letter);
            }
        }
        new
    }

    /// A new agent has been told nothing; what the old one saw is in no turn any more.
    pub(super) fn agent_is_gone(&mut self) {
        for letter in &mut self.letters {
            letter.given = false;
            if letter.status >= MessageStatus::Seen {
                self.done.insert(letter.message.id);
            }
        }
        self.letters.retain(|letter| letter.status < MessageStatus::Seen);
    }

    /// The agent was given something that the model has not seen.
    pub(super) fn on_their_way(&self) -> impl Iterator<Item = MessageId> + '_ {
        let way = |letter: &&Letter| letter.given && letter.status < MessageStatus::Seen;
        self.letters.iter().filter(way).map(|letter| letter.message.id)
    }

    /// An interrupt was answered, failed, or has nothing left to break off: its text remains.
    pub(super) fn has_interrupted(&mut self, id: MessageId) -> Option<Message> {
        let letter = self.letter(id)?;
        letter.interrupted = true;
        Some(letter.message.clone())
    }

    fn waiting(&self) -> Vec<Letter> {
        let waits = |letter: &&Letter| !letter.given && letter.status < MessageStatus::Seen;
        self.letters.iter().filter(waits).cloned().collect()
    }

    fn letter(&mut self, id: MessageId) -> Option<&mut Letter> {
        self.letters.iter_mut().find(|letter| letter.message.id == id)
    }
}

impl Run<'_> {
    /// Messages came; they are on disk.
    pub(super) async fn mail_came(&mut self, messages: Vec<Message>) -> Result<(), SpoolError> {
        for (id, trace_id) in self.mail.add(messages) {
            let trace = trace_id.map(tracing::field::display);
            tracing::info!(message_id = %id, trace_id = trace, "a message came");
            self.receipt((id, trace_id), MessageStatus::Delivered, None, None).await?;
        }
        self.hand_over_mail(false).await
    }

    /// Writes what waits to the agent, if there is one; `behind_prompt`: it was just asked.
    pub(super) async fn hand_over_mail(&mut self, behind_prompt: bool) -> Result<(), SpoolError> {
        let at = self.phase().unwrap_or(self.plan.start);
        for letter in self.mail.waiting() {
            let id = letter.message.id;
            match letter.due(now(), at, self.plan.until) {
                Due::Wait => continue,
                Due::Give => {}
                Due::Expire => {
                    let why = "its time ran out before an agent could be given it";
                    self.came(id, MessageStatus::Expired, None, Some(why.to_owned())).await?;
                    continue;
                }
                Due::Refuse(why) => {
                    self.came(id, MessageStatus::Refused, None, Some(why)).await?;
                    continue;
                }
            }
            if self.agent.is_none() {
                continue;
            }
            let interrupts = letter.message.kind == MessageKind::Interrupt && !letter.interrupted;
            if interrupts && !behind_prompt {
                // A second one waits for the answer to the first.
                self.interrupt(Cause::Message(id), letter.message.cancel_queued);
                continue;
            }
            let deliver = match letter.message.deliver {
                _ if letter.message.kind == MessageKind::Interrupt => Deliver::Next,
                message::Deliver::Now if behind_prompt => Deliver::Next,
                message::Deliver::Now => Deliver::Now,
                message::Deliver::Next => Deliver::Next,
                message::Deliver::Later => Deliver::Later,
            };
            if !self.give(&letter.message, deliver).await? {
                // The agent's end comes as a fact of its own; the next one gets the message.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Writes one message; `false`: the agent does not take it.
    async fn give(&mut self, message: &Message, deliver: Deliver) -> Result<bool, SpoolError> {
        let id = message.id;
        let Some(running) = &self.agent else { return Ok(false) };
        if let Err(error) = running.agent.say(id.0, &in_words(message), deliver).await {
            tracing::warn!(%error, %id, "a message could not be written");
            return Ok(false);
        }
        if let Some(letter) = self.mail.letter(id) {
            letter.given = true;
        }
        if let Some(attempt) = self.attempt.as_mut().filter(|_| deliver == Deliver::Now) {
            attempt.turns.cut_by(id.0);
        }
        self.held_waits_for_the_start();
        self.came(id, MessageStatus::Written, None, None).await?;
        Ok(true)
    }

    /// Writes what the agent hears after it was interrupted; `false`: it does not take it.
    pub(super) async fn follow(&mut self, message: &Message) -> Result<bool, SpoolError> {
        let queued: Vec<_> = self.mail.on_their_way().collect();
        if !self.give(message, Deliver::Next).await? {
            return Ok(false);
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.turns.followed_by(message.id.0, queued.into_iter().map(|id| id.0));
        }
        self.vigil.asked(Instant::now());
        Ok(true)
    }

    /// The run is to end after the phase at work. What is at work is not disturbed.
    pub(super) async fn pause(&mut self) -> Result<Option<RunEvent>, SpoolError> {
        let at = self.phase().unwrap_or(self.plan.start);
        if at < self.plan.until {
            self.plan.until = at;
            self.paused_after = Some(at);
            self.say(format!("The run will pause after {at}, as asked.")).await?;
        }
        Ok(None)
    }
}

/// Who speaks is told to the agent, since all of it comes over the same line.
fn in_words(message: &Message) -> String {
    let text = &message.text;
    match message.kind {
        MessageKind::UserMessage => text.clone(),
        MessageKind::GuardianNudge => format!("Specwright's guardian says: {text}"),
        MessageKind::System => format!("Specwright says: {text}"),
        MessageKind::Interrupt => format!(
            "You were interrupted. The person who watches your work says: {text}\n\nTake this into \
             account and go on with your task. It ends, as before, with one call of StructuredOutput."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(more: serde_json::Value) -> Letter {
        let mut new = serde_json::json!({ "kind": "user_message", "text": "x" });
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let new = serde_json::from_value(new).unwrap();
        let id = MessageId(uuid::Uuid::now_v7());
        Letter::new(Message::queued(id, 1, &new, None, Timestamp::from_micros(1)))
    }

    #[test]
    fn a_message_for_a_phase_waits_for_it_and_is_refused_when_it_cannot_come() {
        let noon = Timestamp::from_micros(5);
        let due = |phase: &str, until| {
            letter(serde_json::json!({ "phase": phase })).due(noon, Phase::Design, until)
        };
        assert_eq!(due("design", Phase::Complete), Due::Give);
        assert_eq!(due("tasks", Phase::Complete), Due::Wait);
        for (phase, until, why) in [
            ("explore", Phase::Complete, "has passed"),
            ("sync", Phase::Complete, "computed"),
            ("tasks", Phase::Design, "ends with the phase `design`"),
        ] {
            let Due::Refuse(reason) = due(phase, until) else { panic!("{phase} is not refused") };
            assert!(reason.contains(why), "{reason}");
        }
    }

    #[test]
    fn an_overdue_message_is_not_written() {
        let letter = letter(serde_json::json!({ "expires_at": Timestamp::from_micros(5) }));
        let due = |now| letter.due(Timestamp::from_micros(now), Phase::Explore, Phase::Complete);
        assert_eq!((due(4), due(5)), (Due::Give, Due::Expire));
    }

    #[test]
    fn what_an_agent_did_not_see_is_for_the_next_one_and_what_it_saw_is_not() {
        let (first, second) = (letter(serde_json::json!({})), letter(serde_json::json!({})));
        let (seen, unseen) = (first.message.clone(), second.message.clone());
        let mut mail = Mail::new(vec![seen.clone(), unseen.clone()], BTreeSet::new());
        for id in [seen.id, unseen.id] {
            mail.letter(id).unwrap().given = true;
        }
        assert!(mail.waiting().is_empty() && mail.on_their_way().count() == 2);
        mail.letter(seen.id).unwrap().status = MessageStatus::Seen;
        mail.agent_is_gone();
        let waiting: Vec<_> = mail.waiting().iter().map(|letter| letter.message.id).collect();
        assert_eq!(waiting, [unseen.id]);
        assert_eq!(mail.add(vec![seen, unseen]), [], "both are known");
    }
}
