//! An output that waits for a message: the agent gave it at the end of its turn while a message was
//! on its way, which then gets a turn of its own.
//!
//! What holds: the phase goes on while a message is on its way to its agent, so that the one who knows
//! what it is about hears it, not the next phase's; the output of the later turn counts, and without
//! one the held output does; nothing is held without a limit.

use std::time::Instant;

use serde_json::Value;

use crate::run::drive::Run;

/// An output that was not judged yet.
#[derive(Debug)]
pub(crate) struct Held {
    output: Value,
    pub(crate) until: Instant,
}

impl Run<'_> {
    /// Holds an output back if a message is on its way to the agent; `false`: judge it.
    pub(crate) fn hold(&mut self, output: &Value) -> bool {
        let on_their_way: Vec<_> = self.mail.on_their_way().collect();
        let follows = !on_their_way.is_empty() || self.is_interrupted_by_message();
        let Some(attempt) = self.attempt.as_mut().filter(|_| follows) else { return false };
        // When the turn has begun, the attempt's own limit holds.
        let until = Instant::now() + self.config.answer_timeout;
        attempt.held = Some(Held { output: output.clone(), until });
        // The next turn is the message's, and is ours all the same.
        on_their_way.iter().for_each(|id| attempt.turns.await_turn_of(id.0));
        true
    }

    /// The message's turn did not come in time.
    pub(crate) fn held_is_due(&self) -> bool {
        let held = self.attempt.as_ref().and_then(|attempt| attempt.held.as_ref());
        held.is_some_and(|held| held.until <= Instant::now())
    }

    /// The output that was held back.
    pub(crate) fn take_held(&mut self) -> Option<Value> {
        Some(self.attempt.as_mut()?.held.take()?.output)
    }

    pub(super) fn held_waits_for_the_start(&mut self) {
        self.held_until(Instant::now() + self.config.answer_timeout);
    }

    pub(super) fn held_waits_for_the_turn(&mut self) {
        if let Some(deadline) = self.attempt.as_ref().map(|attempt| attempt.deadline) {
            self.held_until(deadline);
        }
    }

    fn held_until(&mut self, until: Instant) {
        if let Some(held) = self.attempt.as_mut().and_then(|attempt| attempt.held.as_mut()) {
            held.until = until;
        }
    }
}
