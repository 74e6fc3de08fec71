//! The matrix (every state × every event, one table to read) and the properties.

use std::fmt::Write as _;
use std::num::NonZeroU8;

use proptest::prelude::*;

use super::*;

fn plan(max_attempts: u8) -> Plan {
    Plan {
        start: Phase::Explore,
        until: Phase::Complete,
        max_attempts: NonZeroU8::new(max_attempts).unwrap(),
    }
}

fn events() -> Vec<RunEvent> {
    vec![
        RunEvent::AttemptStarted,
        RunEvent::AttemptAccepted { attempt: 1 },
        RunEvent::AttemptRejected { attempt: 1 },
        RunEvent::AttemptBroke { attempt: 1, outcome: Outcome::AgentError },
        RunEvent::AttemptAccepted { attempt: 2 },
        RunEvent::AttemptRejected { attempt: 2 },
        RunEvent::Ended { outcome: Outcome::Cancelled },
    ]
}

#[test]
fn every_state_has_one_answer_to_every_event() {
    let mut states = vec![RunState::Done { outcome: Outcome::Succeeded }];
    for phase in [Phase::Explore, Phase::Tasks, Phase::Complete] {
        for attempt in [1, 2] {
            states.push(RunState::Ready { phase, attempt });
            states.push(RunState::Running { phase, attempt });
        }
    }
    let mut table = String::new();
    for state in states {
        for event in events() {
            let answer = match apply(&plan(2), state, event) {
                Ok((next, effects)) => format!("{next:?} {effects:?}"),
                Err(_) => "illegal".to_owned(),
            };
            writeln!(table, "{state:?}  +  {event:?}\n    → {answer}").unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_run_that_is_accepted_everywhere_succeeds_with_one_process_per_phase() {
    let plan = plan(3);
    let (mut state, effects) = plan.open();
    let mut all = effects;
    while !state.is_terminal() {
        for event in [RunEvent::AttemptStarted, RunEvent::AttemptAccepted { attempt: 1 }] {
            let (next, effects) = apply(&plan, state, event).unwrap();
            state = next;
            all.extend(effects);
        }
    }
    let begun = all.iter().filter(|effect| matches!(effect, Effect::Begin { .. })).count();
    assert_eq!(begun, Phase::ALL.len());
    assert_eq!(all.last(), Some(&Effect::Finish { outcome: Outcome::Succeeded }));
}

#[test]
fn a_run_that_was_cut_off_has_only_the_attempts_that_are_left() {
    let plan = plan(3);
    let (state, effects) = plan.open_at(3);
    let phase = plan.start;
    assert_eq!(effects, [Effect::Begin { phase, attempt: 3, opening: Opening::Fresh }]);
    let (state, _) = apply(&plan, state, RunEvent::AttemptStarted).unwrap();
    let (state, effects) = apply(&plan, state, RunEvent::AttemptRejected { attempt: 3 }).unwrap();
    assert_eq!(state, RunState::Done { outcome: Outcome::Failed });
    assert!(effects.contains(&Effect::FailPhase { phase, attempts: 3 }));
    // Settings may have become tighter meanwhile.
    assert_eq!(plan.open_at(9).0, RunState::Ready { phase, attempt: 3 });
}

#[test]
fn a_plan_that_ends_before_it_starts_has_nothing_to_do() {
    let plan = Plan { start: Phase::Sync, until: Phase::Design, ..plan(1) };
    let (state, effects) = plan.open();
    assert!(state.is_terminal());
    assert_eq!(effects, [Effect::Finish { outcome: Outcome::Succeeded }]);
}

fn any_event() -> impl Strategy<Value = RunEvent> {
    let attempt = 0_u8..6;
    prop_oneof![
        Just(RunEvent::AttemptStarted),
        attempt.clone().prop_map(|attempt| RunEvent::AttemptAccepted { attempt }),
        attempt.clone().prop_map(|attempt| RunEvent::AttemptRejected { attempt }),
        attempt
            .prop_map(|attempt| RunEvent::AttemptBroke { attempt, outcome: Outcome::AgentError }),
        Just(RunEvent::Ended { outcome: Outcome::TimedOut }),
    ]
}

proptest! {
    #[test]
    fn whatever_arrives_terminal_stays_terminal_and_attempts_stay_bounded(
        events in proptest::collection::vec(any_event(), 0..200),
        max_attempts in 1_u8..5,
    ) {
        let plan = plan(max_attempts);
        let (mut state, mut effects) = plan.open();
        for event in events {
            // An impossible event is refused and leaves the run where it was.
            let Ok((next, more)) = apply(&plan, state, event) else { continue };
            if state.is_terminal() {
                prop_assert_eq!(next, state);
                prop_assert!(more.is_empty());
            }
            if let RunState::Ready { attempt, .. } | RunState::Running { attempt, .. } = next {
                prop_assert!((1..=max_attempts).contains(&attempt));
            }
            if let Some(at) = more.iter().position(|e| matches!(e, Effect::Finish { .. })) {
                prop_assert!(more[..at].contains(&Effect::StopAgent));
            }
            effects.extend(more);
            state = next;
        }
        let finished = effects.iter().filter(|e| matches!(e, Effect::Finish { .. })).count();
        prop_assert_eq!(finished, usize::from(state.is_terminal()));
    }
}
