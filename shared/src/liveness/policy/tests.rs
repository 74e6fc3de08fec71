//! Timelines: a sandbox, judged every ten seconds by a clock that is moved by hand.

use proptest::prelude::*;

use super::*;
use crate::liveness::{
    AgentSignals, ClockJump, Observation, OpenTool, Operation, Signals, WorkerState, judge,
};
use crate::time::Timestamp;
use crate::wire::event::{Event, Marks};

const MINUTE: u64 = 60;
/// How often the duty looks, in seconds.
const ROUND: u64 = 10;

fn at(second: u64) -> Timestamp {
    Timestamp::from_micros(1_795_000_000_000_000).plus(Duration::from_secs(second))
}

/// What the world does at a second: the heartbeat that came last (its second and its signals), and
/// since when somebody listens.
struct World<'a> {
    heard: &'a dyn Fn(u64) -> Option<(u64, Signals)>,
    listening_since: &'a dyn Fn(u64) -> u64,
    settings: Settings,
    held: bool,
}

impl<'a> World<'a> {
    fn beating(signals: &'a dyn Fn(u64) -> Option<(u64, Signals)>) -> Self {
        Self { heard: signals, listening_since: &|_| 0, settings: Settings::default(), held: false }
    }

    /// Every step that is taken until a second, or until the end.
    fn play(&self, until: u64) -> Vec<(u64, VerdictKind, Action)> {
        let mut steps: Vec<(u64, VerdictKind, Action)> = Vec::new();
        let mut alarm_since = None;
        for second in (0..=until).step_by(usize::try_from(ROUND).unwrap()) {
            let heard = (self.heard)(second);
            let seen = Observation {
                created_at: at(0),
                ended_at: None,
                heartbeat_at: heard.as_ref().map(|(second, _)| at(*second)),
                listening_since: at((self.listening_since)(second)),
                signals: heard.as_ref().map(|(_, signals)| signals),
            };
            let verdict = judge(&seen, at(second), &self.settings.limits());
            if !is_alarming(verdict.kind) {
                alarm_since = None;
                continue;
            }
            let since = *alarm_since.get_or_insert(second);
            let own: Vec<_> = steps.iter().filter(|(when, ..)| *when >= since).collect();
            let seconds = Duration::from_secs;
            let history = History {
                alarm: seconds(second - since),
                hardest: own.iter().map(|(.., action)| *action).max(),
                last_step: own.last().map(|(when, ..)| seconds(second - when)),
                soft_steps: u32::try_from(
                    steps.iter().filter(|(.., action)| action.is_soft()).count(),
                )
                .unwrap(),
                held: self.held,
            };
            if let Some(action) = policy(&verdict, &history, &self.settings) {
                steps.push((second, verdict.kind, action));
                if action == Action::End {
                    return steps;
                }
            }
        }
        steps
    }
}

fn ms(seconds: u64) -> u64 {
    seconds * 1000
}

/// Something is under way since `age` seconds, and nothing was heard of it.
fn under_way(age: u64) -> Signals {
    Signals {
        state: WorkerState::ModelTurn,
        operation: Some(Operation { name: "model".into(), age_ms: ms(age), limit_ms: None }),
        agent: Some(AgentSignals { pid: 7, ..AgentSignals::default() }),
        agent_line_age_ms: Some(ms(age)),
        event_age_ms: Some(ms(age)),
        ..Signals::default()
    }
}

fn in_tool(age: u64, limit: u64) -> Signals {
    let call = OpenTool {
        tool: "Bash".into(),
        tool_use_id: "t".into(),
        age_ms: ms(age),
        limit_ms: ms(limit),
    };
    Signals { state: WorkerState::ToolCall, open_tools: vec![call], ..under_way(age) }
}

#[test]
fn a_silent_compile_of_25_minutes_is_left_alone() {
    let world = |second| Some((second, in_tool(second, 30 * MINUTE)));
    assert_eq!(World::beating(&world).play(25 * MINUTE), []);
}

#[test]
fn a_model_turn_of_14_minutes_is_left_alone_and_so_is_one_that_streams_for_an_hour() {
    let turn = |second: u64| Some((second, under_way(second % (14 * MINUTE))));
    assert_eq!(World::beating(&turn).play(60 * MINUTE), []);
    let streams =
        |second| Some((second, Signals { model_bytes_age_ms: Some(900), ..under_way(second) }));
    assert_eq!(World::beating(&streams).play(60 * MINUTE), []);
}

#[test]
fn heartbeats_without_progress_lead_step_by_step_to_an_end() {
    let world = |second| Some((second, under_way(second)));
    let steps = World::beating(&world).play(60 * MINUTE);
    let stuck = VerdictKind::Stuck;
    assert_eq!(
        steps,
        [
            (15 * MINUTE, stuck, Action::Nudge),
            (18 * MINUTE, stuck, Action::Interrupt),
            (21 * MINUTE, stuck, Action::SaveWork),
            (23 * MINUTE, stuck, Action::End),
        ]
    );
    assert_eq!(outcome(stuck), Outcome::TimedOut);
}

#[test]
fn an_agent_that_comes_back_after_a_nudge_is_not_ended() {
    let world = |second: u64| {
        let age = if second < 16 * MINUTE { second } else { 1 };
        Some((second, under_way(age)))
    };
    let steps = World::beating(&world).play(120 * MINUTE);
    assert_eq!(steps, [(15 * MINUTE, VerdictKind::Stuck, Action::Nudge)]);
}

#[test]
fn one_that_answers_every_nudge_and_does_nothing_else_is_ended_all_the_same() {
    // Each step is answered with a line at once, and then nothing for as long as it takes.
    let settings = Settings { life_s: 7 * 24 * 3600, ..Settings::default() };
    let world = |second: u64| Some((second, under_way(second % (15 * MINUTE + ROUND))));
    let steps = World { settings, ..World::beating(&world) }.play(300 * MINUTE);
    let nudges = steps.iter().filter(|(.., action)| *action == Action::Nudge).count();
    assert_eq!(nudges, 5, "{steps:?}");
    // From then on an alarm of the whole ladder's length would be needed; a shorter one does nothing.
    assert!(steps.iter().all(|(.., action)| action.is_soft()), "{steps:?}");
    let stays = |second: u64| {
        let age =
            if second < 100 * MINUTE { second % (15 * MINUTE + ROUND) } else { second - 6000 };
        Some((second, under_way(age)))
    };
    let steps = World::beating(&stays).play(200 * MINUTE);
    assert_eq!(steps.last().map(|(.., action)| *action), Some(Action::End), "{steps:?}");
}

#[test]
fn a_worker_that_died_is_found_and_ended_as_lost() {
    let world = |second: u64| Some((second.min(5 * MINUTE), under_way(0)));
    let steps = World::beating(&world).play(60 * MINUTE);
    assert_eq!(steps, [(15 * MINUTE, VerdictKind::Lost, Action::End)]);
    assert_eq!(outcome(VerdictKind::Lost), Outcome::Lost);
}

#[test]
fn one_that_never_started_is_ended_after_three_minutes() {
    let steps = World::beating(&|_| None).play(60 * MINUTE);
    assert_eq!(steps, [(3 * MINUTE, VerdictKind::Lost, Action::End)]);
}

#[test]
fn a_worker_whose_control_api_was_away_for_an_hour_is_not_lost() {
    // Heard at minute 5; nobody listened from then on until minute 65, and it is back at once.
    let heard = |second: u64| {
        let at = if second < 65 * MINUTE { second.min(5 * MINUTE) } else { second };
        Some((at, under_way(0)))
    };
    let since = |second: u64| {
        // Who judges in the gap judges nothing: the listening begins then.
        if second <= 5 * MINUTE { 0 } else { second.min(65 * MINUTE) }
    };
    let world = World { listening_since: &since, ..World::beating(&heard) };
    assert_eq!(world.play(120 * MINUTE), []);
}

#[test]
fn a_machine_that_was_paused_for_two_hours_is_not_called_stuck() {
    // Frozen from minute 1 to minute 121, with the control API on the same machine.
    let wake = 121 * MINUTE;
    let heard = move |second: u64| match second {
        0..=60 => Some((second, under_way(second))),
        61..=7259 => Some((60, under_way(60))),
        _ => {
            let jump = ClockJump { by_ms: 120 * 60_000, age_ms: ms(second - wake), paused: true };
            // Its ages contain the pause; it works on for ten minutes, and then there is progress.
            let signals = under_way(if second < wake + 600 { second } else { 5 });
            Some((second, Signals { clock_jump: Some(jump), ..signals }))
        }
    };
    let since = move |second: u64| if second <= MINUTE { 0 } else { second.min(wake) };
    let world = World { listening_since: &since, ..World::beating(&heard) };
    assert_eq!(world.play(wake + 600), []);
}

#[test]
fn unknown_states_are_judged_by_the_same_signs() {
    let newer = |second| {
        let signals = Signals { state: WorkerState::Unknown, ..under_way(second) };
        Some((second, signals))
    };
    assert_eq!(World::beating(&newer).play(14 * MINUTE), []);
    assert!(World::beating(&newer).play(60 * MINUTE).ends_with(&[(
        23 * MINUTE,
        VerdictKind::Stuck,
        Action::End
    )]));
}

/// The agent says nothing; an event of one of these types is recorded each minute, in turn.
fn recording(kinds: &[&str], second: u64) -> Signals {
    let minutes = 0..=second / MINUTE;
    let of = |minute: u64| kinds[usize::try_from(minute).unwrap() % kinds.len()];
    let progress = minutes.rev().find(|minute| Marks::of(of(*minute)).progress);
    Signals {
        event_age_ms: Some(ms(second - progress.map_or(0, |minute| minute * MINUTE))),
        ..under_way(second)
    }
}

#[test]
fn event_types_that_only_a_newer_worker_knows_keep_a_run_from_being_ended() {
    let newer = ["agent.something_new", "newer.family"];
    assert!(newer.iter().all(|kind| !Event::KINDS.contains(kind)));
    let world = |second| Some((second, recording(&newer, second)));
    assert_eq!(World::beating(&world).play(350 * MINUTE), []);
}

#[test]
fn noise_of_users_and_guardians_keeps_nothing_alive() {
    let noise = ["agent.message_injected", "agent.interrupted", "sandbox.judged"];
    assert!(noise.iter().all(|kind| Event::KINDS.contains(kind)));
    let noisy = |second| Some((second, recording(&noise, second)));
    let silent = |second| Some((second, under_way(second)));
    let steps = World::beating(&noisy).play(60 * MINUTE);
    assert_eq!(steps.last(), Some(&(23 * MINUTE, VerdictKind::Stuck, Action::End)));
    assert_eq!(steps, World::beating(&silent).play(60 * MINUTE), "as if nobody had said anything");
    // The same with one real step of the agent among the noise, every four minutes.
    let real =
        ["agent.message_injected", "agent.interrupted", "agent.tool_result", "sandbox.judged"];
    let works = |second| Some((second, recording(&real, second)));
    assert_eq!(World::beating(&works).play(350 * MINUTE), []);
}

#[test]
fn a_held_sandbox_is_nudged_and_never_ended() {
    let world = |second| Some((second, under_way(second)));
    let steps = World { held: true, ..World::beating(&world) }.play(300 * MINUTE);
    assert_eq!(steps, [(15 * MINUTE, VerdictKind::Stuck, Action::Nudge)]);
}

#[test]
fn a_life_that_is_too_long_is_saved_and_ended_whatever_it_does() {
    let world = |second| Some((second, under_way(0)));
    let steps = World::beating(&world).play(7 * 60 * MINUTE);
    assert_eq!(
        steps,
        [
            (360 * MINUTE, VerdictKind::Stuck, Action::SaveWork),
            (362 * MINUTE, VerdictKind::Stuck, Action::End)
        ]
    );
}

#[test]
fn waiting_for_a_person_or_for_the_service_is_left_alone_until_its_life_is_over() {
    for state in [WorkerState::WaitingApproval, WorkerState::WaitingUsageLimit] {
        let world = |second| Some((second, Signals { state, ..under_way(second) }));
        let steps = World::beating(&world).play(24 * 60 * MINUTE);
        let stuck = VerdictKind::Stuck;
        assert_eq!(
            steps,
            [(360 * MINUTE, stuck, Action::SaveWork), (362 * MINUTE, stuck, Action::End)],
            "{state:?}"
        );
    }
}

#[test]
fn a_run_whose_being_stuck_is_answered_with_nothing_ends_with_its_life() {
    let settings = Settings::default().with(&serde_json::json!({ "stuck": [] })).unwrap();
    let world = |second| Some((second, under_way(second)));
    let steps = World { settings, ..World::beating(&world) }.play(24 * 60 * MINUTE);
    let actions: Vec<_> = steps.iter().map(|(second, _, action)| (*second, *action)).collect();
    assert_eq!(actions, [(360 * MINUTE, Action::SaveWork), (362 * MINUTE, Action::End)]);
}

#[test]
fn an_idle_agent_and_one_between_phases_have_their_own_times() {
    for (state, first) in [(WorkerState::AgentIdle, 10), (WorkerState::BetweenPhases, 5)] {
        let world = |second| Some((second, Signals { state, ..under_way(second) }));
        let steps = World::beating(&world).play(60 * MINUTE);
        assert_eq!(steps[0], (first * MINUTE, VerdictKind::Idle, Action::Nudge), "{steps:?}");
        assert_eq!(steps.last().map(|(.., action)| *action), Some(Action::End), "{steps:?}");
    }
}

#[test]
fn what_was_ended_from_outside_is_started_again_once_and_what_failed_by_itself_is_not() {
    let settings = Settings::default();
    let ended = [Outcome::Lost, Outcome::TimedOut];
    for outcome in ended {
        assert!(restarts(outcome, 0, None, &settings), "{outcome}");
        assert!(!restarts(outcome, 1, None, &settings), "{outcome}");
        assert!(restarts(outcome, 2, Some(3), &settings), "{outcome}");
        assert!(!restarts(outcome, 0, Some(0), &settings), "{outcome}");
    }
    for outcome in Outcome::ALL.into_iter().filter(|outcome| !ended.contains(outcome)) {
        assert!(!restarts(outcome, 0, Some(9), &settings), "{outcome}");
    }
}

/// What a worker does for a while.
#[derive(Debug, Clone, Copy)]
enum Stretch {
    /// Something moves all the time, seen by one of four signs.
    Moves(u8),
    /// A call of a tool is open, silent, within its limit.
    InTool,
    /// Nothing moves, and nothing is declared.
    Nothing,
}

fn stretches() -> impl Strategy<Value = Vec<(Stretch, u64)>> {
    let one = prop_oneof![
        3 => (0..4_u8).prop_map(Stretch::Moves),
        2 => Just(Stretch::InTool),
        3 => Just(Stretch::Nothing),
    ];
    proptest::collection::vec((one, 1..2400_u64), 1..9)
}

proptest! {
    #[test]
    fn nothing_is_ended_while_there_is_progress_or_a_declared_operation_within_its_limit(
        plan in stretches()
    ) {
        let total: u64 = plan.iter().map(|(_, length)| length).sum();
        // Where in which stretch a second is, and when something last moved.
        let look = |second: u64| {
            let (mut begin, mut moved) = (0, 0);
            for (stretch, length) in &plan {
                if second < begin + length {
                    if matches!(stretch, Stretch::Moves(_)) {
                        moved = second;
                    }
                    return (*stretch, second - begin, moved);
                }
                begin += length;
                // A call that ends has an answer, and that moves something.
                if !matches!(stretch, Stretch::Nothing) {
                    moved = begin;
                }
            }
            (Stretch::Nothing, 0, moved)
        };
        let heard = |second: u64| {
            let (stretch, into, moved) = look(second);
            let still = under_way(second - moved);
            let fresh = Some(500);
            Some((second, match stretch {
                Stretch::Nothing => still,
                Stretch::InTool => Signals {
                    event_age_ms: Some(ms(second - moved)), ..in_tool(into, 3000)
                },
                Stretch::Moves(0) => Signals { model_bytes_age_ms: fresh, ..still },
                Stretch::Moves(1) => Signals { agent_line_age_ms: fresh, ..still },
                Stretch::Moves(2) => Signals { event_age_ms: fresh, ..still },
                Stretch::Moves(_) => Signals {
                    agent: Some(AgentSignals { busy_age_ms: fresh, ..AgentSignals::default() }),
                    ..still
                },
            }))
        };
        for (second, kind, action) in World::beating(&heard).play(total.min(350 * MINUTE)) {
            let (stretch, _, moved) = look(second);
            prop_assert!(
                matches!(stretch, Stretch::Nothing) && second - moved >= 15 * MINUTE,
                "{action:?} for {kind} at {second}, in {stretch:?}, moved at {moved}"
            );
            if !action.is_soft() {
                // No step is passed over: a hard one comes six minutes after the alarm at the soonest.
                prop_assert!(second - moved >= 21 * MINUTE, "{action:?} at {second}");
            }
        }
    }
}
