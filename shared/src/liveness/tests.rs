//! Timelines with a clock that is moved by hand.

use super::*;

const MINUTE: u64 = 60_000;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_micros(1_795_000_000_000_000).plus(Duration::from_millis(ms))
}

/// What is judged when a heartbeat came at that moment.
fn beat_at(ms: u64, signals: &Signals) -> Verdict {
    let seen = Observation { heartbeat_at: Some(at(ms)), ..nothing(Some(signals)) };
    judge(&seen, at(ms), &Limits::default())
}

fn nothing(signals: Option<&Signals>) -> Observation<'_> {
    let (created_at, listening_since) = (at(0), at(0));
    Observation { created_at, ended_at: None, heartbeat_at: None, listening_since, signals }
}

fn model_turn(age_ms: u64) -> Signals {
    Signals {
        state: WorkerState::ModelTurn,
        operation: Some(Operation { name: "model".into(), age_ms, limit_ms: None }),
        agent: Some(AgentSignals { pid: 7, ..AgentSignals::default() }),
        agent_line_age_ms: Some(age_ms),
        event_age_ms: Some(age_ms),
        ..Signals::default()
    }
}

fn tool(age_ms: u64, limit_ms: u64) -> Signals {
    let call = OpenTool { tool: "Bash".into(), tool_use_id: "t".into(), age_ms, limit_ms };
    Signals { state: WorkerState::ToolCall, open_tools: vec![call], ..model_turn(age_ms) }
}

#[test]
fn a_silent_compile_of_25_minutes_in_an_open_tool_call_is_progress_all_the_time() {
    for minute in 0..=25 {
        let verdict = beat_at(minute * MINUTE, &tool(minute * MINUTE, 30 * MINUTE));
        assert_eq!(verdict.kind, VerdictKind::WaitingTool, "{minute}: {verdict:?}");
    }
    let over = beat_at(40 * MINUTE, &tool(32 * MINUTE, 30 * MINUTE));
    assert_eq!(over.kind, VerdictKind::Stuck);
    assert_eq!(over.evidence[0].signal, "tool");
    assert_eq!(over.evidence[0].limit_ms, Some(30 * MINUTE));
}

#[test]
fn a_model_turn_of_14_minutes_is_never_called_stuck() {
    for minute in 0..=14 {
        let verdict = beat_at(minute * MINUTE, &model_turn(minute * MINUTE));
        assert_eq!(verdict.kind, VerdictKind::WaitingModel, "{minute}: {verdict:?}");
    }
    assert_eq!(beat_at(15 * MINUTE, &model_turn(15 * MINUTE)).kind, VerdictKind::Stuck);
}

#[test]
fn bytes_from_the_model_are_progress_however_long_the_turn() {
    let signals = Signals { model_bytes_age_ms: Some(2_000), ..model_turn(50 * MINUTE) };
    let verdict = beat_at(50 * MINUTE, &signals);
    assert_eq!(verdict.kind, VerdictKind::WaitingModel);
    assert_eq!(verdict.evidence[0].signal, "model_bytes");
}

#[test]
fn a_heartbeat_is_life_and_not_progress() {
    let mut signals = model_turn(0);
    let mut kinds = Vec::new();
    for minute in 0..=20 {
        signals.event_age_ms = Some(minute * MINUTE);
        signals.agent_line_age_ms = Some(minute * MINUTE);
        kinds.push(beat_at(minute * MINUTE, &signals).kind);
    }
    assert_eq!(kinds[14], VerdictKind::WaitingModel);
    assert!(kinds[15..].iter().all(|kind| *kind == VerdictKind::Stuck), "{kinds:?}");
}

#[test]
fn processor_time_of_the_tree_is_progress() {
    let agent = AgentSignals { busy_age_ms: Some(3_000), ..AgentSignals::default() };
    let signals = Signals { agent: Some(agent), ..model_turn(40 * MINUTE) };
    let verdict = beat_at(40 * MINUTE, &signals);
    assert_eq!((verdict.kind, verdict.evidence[0].signal.as_str()), (VerdictKind::Working, "cpu"));
}

#[test]
fn an_agent_without_work_becomes_idle_and_between_phases_sooner() {
    let of = |state, minutes: u64| {
        beat_at(minutes * MINUTE, &Signals { state, ..model_turn(minutes * MINUTE) }).kind
    };
    assert_eq!(of(WorkerState::AgentIdle, 9), VerdictKind::Working);
    assert_eq!(of(WorkerState::AgentIdle, 10), VerdictKind::Idle);
    assert_eq!(of(WorkerState::AgentIdle, 15), VerdictKind::Stuck);
    assert_eq!(of(WorkerState::BetweenPhases, 4), VerdictKind::Working);
    assert_eq!(of(WorkerState::BetweenPhases, 5), VerdictKind::Idle);
}

#[test]
fn a_worker_that_died_is_first_silent_then_lost() {
    let signals = model_turn(0);
    let seen = Observation { heartbeat_at: Some(at(0)), ..nothing(Some(&signals)) };
    let kind = |minutes| judge(&seen, at(minutes * MINUTE), &Limits::default()).kind;
    assert_eq!(kind(1), VerdictKind::WaitingModel);
    assert_eq!(kind(2), VerdictKind::Silent);
    assert_eq!(kind(10), VerdictKind::Lost);
    // Nor is it forgotten that it was over, whatever came before.
    let ended = Observation { ended_at: Some(at(MINUTE)), ..seen };
    assert_eq!(judge(&ended, at(90 * MINUTE), &Limits::default()).kind, VerdictKind::Finished);
}

#[test]
fn an_hour_in_which_nobody_listened_makes_no_worker_lost() {
    let signals = model_turn(0);
    let seen = Observation {
        heartbeat_at: Some(at(0)),
        listening_since: at(60 * MINUTE),
        ..nothing(Some(&signals))
    };
    assert_eq!(judge(&seen, at(61 * MINUTE), &Limits::default()).kind, VerdictKind::WaitingModel);
    assert_eq!(judge(&seen, at(62 * MINUTE), &Limits::default()).kind, VerdictKind::Silent);
}

#[test]
fn a_clock_that_was_set_back_makes_nobody_silent() {
    let signals = model_turn(5_000);
    let seen = Observation { heartbeat_at: Some(at(60 * MINUTE)), ..nothing(Some(&signals)) };
    let verdict = judge(&seen, at(0), &Limits::default());
    assert_eq!(verdict.kind, VerdictKind::WaitingModel);
}

#[test]
fn the_time_that_a_machine_was_paused_does_not_count() {
    // Two hours asleep: all ages have grown by them, and the worker has noticed.
    let paused = ClockJump { by_ms: 120 * 60_000, age_ms: 1_000, paused: true };
    let signals = Signals { clock_jump: Some(paused), ..model_turn(121 * MINUTE) };
    let verdict = beat_at(130 * MINUTE, &signals);
    assert_eq!(verdict.kind, VerdictKind::WaitingModel, "{verdict:?}");
    assert_eq!(verdict.evidence[0].age_ms, MINUTE);
    // A clock that was set has not made ages grow; and an old pause is no excuse.
    let set = ClockJump { paused: false, ..paused };
    let signals = Signals { clock_jump: Some(set), ..model_turn(121 * MINUTE) };
    assert_eq!(beat_at(130 * MINUTE, &signals).kind, VerdictKind::Stuck);
    let long_ago = ClockJump { age_ms: 60 * MINUTE, ..paused };
    let signals = Signals { clock_jump: Some(long_ago), ..model_turn(20 * MINUTE) };
    assert_eq!(beat_at(300 * MINUTE, &signals).kind, VerdictKind::Stuck);
}

#[test]
fn a_start_has_its_own_limit() {
    let kind = |ms| judge(&nothing(None), at(ms), &Limits::default()).kind;
    assert_eq!(kind(0), VerdictKind::Starting);
    assert_eq!(kind(3 * MINUTE), VerdictKind::Lost);
    let preparing = beat_at(0, &Signals::default());
    assert_eq!(preparing.kind, VerdictKind::Starting);
}

#[test]
fn waiting_for_a_person_or_for_the_api_is_not_stuck_until_its_life_is_over() {
    for (state, kind) in [
        (WorkerState::WaitingApproval, VerdictKind::WaitingApproval),
        (WorkerState::WaitingUsageLimit, VerdictKind::WaitingUsageLimit),
    ] {
        let signals = Signals { state, ..model_turn(400 * MINUTE) };
        assert_eq!(beat_at(359 * MINUTE, &signals).kind, kind);
        let over = beat_at(360 * MINUTE, &signals);
        assert_eq!((over.kind, over.evidence[0].signal.as_str()), (VerdictKind::Stuck, "life"));
    }
}

#[test]
fn a_whole_life_has_an_end_even_with_progress() {
    let verdict = beat_at(360 * MINUTE, &tool(0, MINUTE));
    assert_eq!((verdict.kind, verdict.evidence[0].signal.as_str()), (VerdictKind::Stuck, "life"));
}

#[test]
fn signals_of_a_newer_worker_are_read_as_far_as_they_are_known() {
    let newer = serde_json::json!({"state": "dreaming", "mood": 1, "agent_line_age_ms": 5});
    let signals: Signals = serde_json::from_value(newer).unwrap();
    assert_eq!(signals.state, WorkerState::Unknown);
    assert_eq!(beat_at(0, &signals).kind, VerdictKind::Working);
}
