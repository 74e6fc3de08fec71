//! What came of an intervention: what the agent did before, beside what it did since.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::wire::intervention::{Assessment, InterventionKind, InterventionOutcome};
use crate::wire::message::{Message, MessageStatus};

/// So much smaller or larger the share of fruitless calls has to be, in percentage points, to be
/// called a change: of four calls one.
const CHANGE: u32 = 25;

/// What an agent did, in numbers. A call counts as failed, as repeated (it had the same answer
/// before), or else as new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Activity {
    /// Calls of tools that were answered.
    pub calls: u32,
    /// Of these: the tool failed.
    pub failed: u32,
    /// Of these: the same call had the same answer before.
    pub repeated: u32,
    /// Changes of files.
    pub files: u32,
    /// Turns that ended.
    pub turns: u32,
    /// Attempts that were not accepted.
    pub refused: u32,
    /// Phases that were accepted.
    pub accepted: u32,
}

impl Activity {
    /// Calls that brought something new.
    #[must_use]
    pub const fn new_answers(&self) -> u32 {
        self.calls.saturating_sub(self.failed).saturating_sub(self.repeated)
    }

    /// What came since an earlier count.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(earlier.calls),
            failed: self.failed.saturating_sub(earlier.failed),
            repeated: self.repeated.saturating_sub(earlier.repeated),
            files: self.files.saturating_sub(earlier.files),
            turns: self.turns.saturating_sub(earlier.turns),
            refused: self.refused.saturating_sub(earlier.refused),
            accepted: self.accepted.saturating_sub(earlier.accepted),
        }
    }

    /// The share of calls that brought nothing, in percent; `None` without calls.
    fn fruitless(&self) -> Option<u32> {
        let nothing = self.calls.saturating_sub(self.new_answers());
        nothing.saturating_mul(100).checked_div(self.calls)
    }
}

/// How a run ended, when it did before the observation was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its outcome.
    pub outcome: Outcome,
    /// The run said so itself; else it was ended from outside.
    pub reported: bool,
    /// The run paused, as asked.
    pub paused: bool,
}

/// Judges an intervention when its observation is over, or its run is.
#[must_use]
pub fn assess(
    kind: InterventionKind,
    message: Option<&Message>,
    before: Activity,
    after: Activity,
    ended: Option<Ended>,
) -> Assessment {
    let (outcome, reason) = verdict(kind, message, &before, &after, ended);
    Assessment { outcome, reason, before, after }
}

fn verdict(
    kind: InterventionKind,
    message: Option<&Message>,
    before: &Activity,
    after: &Activity,
    ended: Option<Ended>,
) -> (InterventionOutcome, String) {
    use InterventionOutcome::{Helped, NoEffect, Worse};
    if !kind.speaks() {
        return match ended {
            None => (NoEffect, "the run is still at work".to_owned()),
            Some(Ended { paused: true, .. }) if kind == InterventionKind::Park => {
                (Helped, "the run has paused, as asked".to_owned())
            }
            Some(Ended { outcome: Outcome::Cancelled, reported: true, .. })
                if kind == InterventionKind::Stop =>
            {
                (Helped, "the run has stopped, as asked".to_owned())
            }
            // A crash, a limit, or somebody's force.
            Some(Ended { outcome, .. }) => {
                (NoEffect, format!("the run ended otherwise: {outcome}"))
            }
        };
    }
    // A receipt may be missing, and a turn be over all the same.
    let taken_up = |message: &Message| {
        message.seen_at.is_some()
            || matches!(message.status, MessageStatus::Seen | MessageStatus::Settled)
    };
    if let Some(message) = message.filter(|message| !taken_up(message)) {
        let how = message.status.as_str();
        return (NoEffect, format!("the agent has not taken the message up: it is {how}"));
    }
    match ended.map(|ended| ended.outcome) {
        Some(Outcome::Succeeded) => return (Helped, "the run has succeeded".to_owned()),
        // Nothing that the agent did.
        Some(outcome @ (Outcome::Cancelled | Outcome::Lost | Outcome::Fenced)) => {
            return (NoEffect, format!("the run ended otherwise: {outcome}"));
        }
        Some(outcome) => return (Worse, format!("the run has failed: {outcome}")),
        None => {}
    }
    if after.accepted > 0 {
        return (Helped, "a phase was accepted since".to_owned());
    }
    let Some(now) = after.fruitless() else {
        return (NoEffect, "no tool was called since".to_owned());
    };
    let Some(then) = before.fruitless() else {
        return if after.new_answers() > 0 {
            (Helped, "calls bring something new again".to_owned())
        } else {
            (NoEffect, "calls bring nothing new".to_owned())
        };
    };
    let shares = format!("calls that bring nothing: {then} % before, {now} % since");
    if now + CHANGE <= then {
        (Helped, shares)
    } else if now >= then + CHANGE {
        (Worse, shares)
    } else {
        (NoEffect, shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InterventionKind::{Nudge, Park, Stop};
    use InterventionOutcome::{Helped, NoEffect, Worse};

    fn did(calls: u32, failed: u32, repeated: u32) -> Activity {
        Activity { calls, failed, repeated, ..Activity::default() }
    }

    fn message(status: MessageStatus, seen: bool) -> Message {
        serde_json::from_value(serde_json::json!({
            "id": uuid::Uuid::nil(), "position": 1, "kind": "guardian_nudge", "text": "x",
            "deliver": "next", "status": status, "created_at": "2026-11-18T11:06:40.000001Z",
            "seen_at": seen.then_some("2026-11-18T11:06:41.000001Z"),
        }))
        .unwrap()
    }

    fn outcome(before: Activity, after: Activity, ended: Option<Outcome>) -> InterventionOutcome {
        let seen = message(MessageStatus::Settled, true);
        let ended = ended.map(|outcome| Ended { outcome, reported: true, paused: false });
        assess(Nudge, Some(&seen), before, after, ended).outcome
    }

    #[test]
    fn an_agent_that_leaves_its_loop_was_helped_and_one_that_enters_it_was_not() {
        assert_eq!(outcome(did(10, 0, 8), did(4, 0, 0), None), Helped);
        assert_eq!(outcome(did(10, 8, 0), did(10, 7, 0), None), NoEffect);
        assert_eq!(outcome(did(10, 1, 0), did(10, 2, 4), None), Worse);
        assert_eq!(outcome(did(0, 0, 0), did(1, 0, 0), None), Helped);
        assert_eq!(outcome(did(10, 0, 9), did(0, 0, 0), None), NoEffect, "silence is no change");
        let accepted = Activity { accepted: 1, ..did(1, 1, 0) };
        assert_eq!(outcome(did(10, 0, 0), accepted, None), Helped);
    }

    #[test]
    fn the_end_of_a_run_says_more_than_its_calls() {
        let (before, after) = (did(10, 0, 9), did(10, 0, 9));
        assert_eq!(outcome(before, after, Some(Outcome::Succeeded)), Helped);
        assert_eq!(outcome(before, did(9, 0, 0), Some(Outcome::AgentError)), Worse);
        assert_eq!(outcome(before, after, Some(Outcome::Lost)), NoEffect);
    }

    #[test]
    fn what_the_agent_never_saw_has_no_effect() {
        for status in [MessageStatus::Queued, MessageStatus::Written, MessageStatus::Expired] {
            let unseen = message(status, false);
            let found = assess(Nudge, Some(&unseen), did(9, 0, 9), did(9, 0, 0), None);
            assert_eq!(found.outcome, NoEffect, "{found:?}");
            assert!(found.reason.contains(status.as_str()), "{found:?}");
        }
    }

    #[test]
    fn parking_and_stopping_helped_when_the_run_did_what_was_asked_and_by_itself() {
        let idle = Activity::default();
        let of = |kind, ended| assess(kind, None, idle, idle, ended).outcome;
        let paused = Ended { outcome: Outcome::Succeeded, reported: true, paused: true };
        let stopped = Ended { outcome: Outcome::Cancelled, reported: true, paused: false };
        assert_eq!((of(Park, None), of(Stop, None)), (NoEffect, NoEffect));
        assert_eq!((of(Park, Some(paused)), of(Stop, Some(stopped))), (Helped, Helped));
        assert_eq!((of(Park, Some(stopped)), of(Stop, Some(paused))), (NoEffect, NoEffect));
        for outcome in Outcome::ALL {
            // By force, by a crash, by a limit, or because the work was done.
            let reported = outcome != Outcome::Cancelled;
            let ended = Some(Ended { outcome, reported, paused: false });
            assert_eq!((of(Park, ended), of(Stop, ended)), (NoEffect, NoEffect), "{outcome}");
        }
    }
}
