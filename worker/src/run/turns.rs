//! Which of the agent's turns mean something for the attempt: pure.
//!
//! What holds: the output is looked for in the turns that we asked for, and in those of messages that
//! took the place of one (an interrupt's, one for `now`, one that an output waits for). A turn that
//! was broken off means nothing if we broke it off: from the moment that we asked for it until the
//! message behind it is begun, no longer. Any other turn that is broken off is the agent's failure.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::agent::{Turn, TurnResult};

/// What the turns of one attempt are for.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The messages whose turn brings the output.
    awaited: BTreeSet<Uuid>,
    /// Messages that the agent had queued when it was interrupted: it turns to them first, and may end
    /// with the output there.
    queued: BTreeSet<Uuid>,
    cut: Option<Cut>,
}

/// We break a turn off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// What the agent hears next is not written yet.
    Asked,
    /// It is; the agent has not begun with it.
    Followed(Uuid),
}

/// What the end of a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It brings the output, or should have.
    Counts,
    /// We broke it off, and something follows.
    BrokenOff,
    /// The turn of a message that the attempt does not wait for.
    Foreign,
}

impl Turns {
    /// The output is expected from this message's turn too.
    pub(super) fn await_turn_of(&mut self, message: Uuid) {
        self.awaited.insert(message);
    }

    /// The agent was asked to break off what it does.
    pub(super) const fn cut(&mut self) {
        self.cut = Some(Cut::Asked);
    }

    /// This is what the agent hears next; its turn is awaited. `queued`: what it has not begun yet.
    pub(super) fn followed_by(&mut self, message: Uuid, queued: impl Iterator<Item = Uuid>) {
        self.await_turn_of(message);
        if self.cut.is_some() {
            self.cut = Some(Cut::Followed(message));
            self.queued.extend(queued);
        }
    }

    /// This message breaks the running turn off by itself.
    pub(super) fn cut_by(&mut self, message: Uuid) {
        self.await_turn_of(message);
        // An interrupt under way may still break this message's own turn off.
        if self.cut != Some(Cut::Asked) {
            self.cut = Some(Cut::Followed(message));
        }
    }

    /// The agent began with a message: what was broken off for it lies behind.
    pub(super) fn begun(&mut self, message: Uuid) {
        if self.cut == Some(Cut::Followed(message)) {
            self.cut = None;
        }
    }

    /// A turn is over.
    pub(super) fn ended(&mut self, turn: &TurnResult) -> Meaning {
        if turn.judge() == Turn::Aborted && self.cut.is_some() {
            return Meaning::BrokenOff;
        }
        let of = |message: &Uuid| turn.user_message_uuids.contains(message);
        if let Some(Cut::Followed(message)) = self.cut
            && of(&message)
        {
            self.cut = None;
        }
        // A turn without messages is one that the agent began by itself, to go on.
        let awaited = turn.user_message_uuids.is_empty() || self.awaited.iter().any(of);
        let brings = || self.queued.iter().any(of) && matches!(turn.judge(), Turn::Output(_));
        if awaited || brings() { Meaning::Counts } else { Meaning::Foreign }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: Uuid = Uuid::from_u128(1);
    const WORDS: Uuid = Uuid::from_u128(2);
    const QUEUED: Uuid = Uuid::from_u128(3);

    fn asked() -> Turns {
        let mut turns = Turns::default();
        turns.await_turn_of(PROMPT);
        turns
    }

    fn turn(of: &[Uuid], reason: &str) -> TurnResult {
        TurnResult {
            subtype: "success".into(),
            is_error: false,
            terminal_reason: Some(reason.into()),
            stop_reason: None,
            api_error_status: None,
            text: String::new(),
            structured_output: None,
            session_id: None,
            user_message_uuids: of.to_vec(),
            num_turns: 1,
            duration_ms: 1,
            cost_usd: 0.0,
            total_cost_usd: 0.0,
            usage: crate::agent::Usage::default(),
            permission_denials: 0,
            result_index: None,
        }
    }

    fn aborted(of: &[Uuid]) -> TurnResult {
        turn(of, "aborted_tools")
    }

    fn done(of: &[Uuid]) -> TurnResult {
        turn(of, "completed")
    }

    #[test]
    fn an_abort_that_nobody_asked_for_counts() {
        assert_eq!(asked().ended(&aborted(&[PROMPT])), Meaning::Counts);
        assert_eq!(asked().ended(&done(&[PROMPT])), Meaning::Counts);
        assert_eq!(asked().ended(&done(&[QUEUED])), Meaning::Foreign);
        assert_eq!(asked().ended(&aborted(&[QUEUED])), Meaning::Foreign);
    }

    #[test]
    fn an_interrupt_excuses_aborts_until_its_words_are_begun_and_none_after() {
        let mut turns = asked();
        turns.cut();
        assert_eq!(turns.ended(&aborted(&[PROMPT])), Meaning::BrokenOff, "before the answer");
        turns.followed_by(WORDS, std::iter::empty());
        assert_eq!(turns.ended(&aborted(&[QUEUED])), Meaning::BrokenOff, "what was queued, too");
        turns.begun(PROMPT);
        assert_eq!(turns.ended(&aborted(&[PROMPT])), Meaning::BrokenOff, "a line that came late");
        turns.begun(WORDS);
        assert_eq!(turns.ended(&aborted(&[WORDS])), Meaning::Counts);
    }

    #[test]
    fn an_agent_that_says_nothing_of_beginnings_is_known_by_the_turns_it_ends() {
        let mut turns = asked();
        turns.cut();
        turns.followed_by(WORDS, std::iter::empty());
        assert_eq!(turns.ended(&done(&[WORDS])), Meaning::Counts);
        assert_eq!(turns.ended(&aborted(&[])), Meaning::Counts);
    }

    #[test]
    fn a_message_for_now_excuses_one_abort_and_its_own_turn_is_awaited() {
        let mut turns = asked();
        turns.cut_by(WORDS);
        assert_eq!(turns.ended(&aborted(&[PROMPT])), Meaning::BrokenOff);
        turns.begun(WORDS);
        assert_eq!(turns.ended(&aborted(&[WORDS])), Meaning::Counts, "a later abort is no cut");
        assert_eq!(turns.ended(&done(&[WORDS])), Meaning::Counts);
    }

    #[test]
    fn a_message_for_now_does_not_hide_an_interrupt_under_way() {
        let mut turns = asked();
        turns.cut();
        turns.cut_by(QUEUED);
        turns.begun(QUEUED);
        assert_eq!(turns.ended(&aborted(&[QUEUED])), Meaning::BrokenOff);
        turns.followed_by(WORDS, std::iter::empty());
        turns.begun(WORDS);
        assert_eq!(turns.ended(&aborted(&[WORDS])), Meaning::Counts);
    }

    #[test]
    fn what_was_queued_at_an_interrupt_may_bring_the_output_and_need_not() {
        let output = || TurnResult { structured_output: Some(1.into()), ..done(&[QUEUED]) };
        let mut turns = asked();
        turns.followed_by(WORDS, std::iter::once(QUEUED));
        assert_eq!(turns.ended(&output()), Meaning::Foreign, "there was no interrupt");
        turns.cut();
        turns.followed_by(WORDS, std::iter::once(QUEUED));
        assert_eq!(turns.ended(&done(&[QUEUED])), Meaning::Foreign);
        assert_eq!(turns.ended(&output()), Meaning::Counts);
    }

    #[test]
    fn what_follows_without_a_cut_excuses_nothing() {
        let mut turns = asked();
        turns.followed_by(WORDS, std::iter::empty());
        assert_eq!(turns.ended(&aborted(&[WORDS])), Meaning::Counts);
        assert_eq!(turns.ended(&done(&[WORDS])), Meaning::Counts);
    }
}
