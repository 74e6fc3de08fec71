//! When what is overdue.

use serde_json::json;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(60);

fn call(id: &str) -> Fact {
    Fact::ToolUse {
        tool: "Bash".into(),
        tool_use_id: id.into(),
        input: json!({}),
        parent_tool_use_id: None,
    }
}

fn answer(id: &str) -> Fact {
    Fact::ToolResult {
        tool_use_id: id.into(),
        is_error: false,
        result: "x".into(),
        parent_tool_use_id: None,
    }
}

#[test]
fn an_open_call_within_its_limit_is_no_silence() {
    let start = Instant::now();
    let mut vigil = Vigil::default();
    assert_eq!(vigil.next(SILENCE, None), None, "nobody was asked");
    vigil.asked(start);
    assert_eq!(
        vigil.next(SILENCE, None),
        Some((start + SILENCE, Overdue::Silence { limit: SILENCE }))
    );
    let limit = SECOND * 1500;
    vigil.saw(&Redactor::default(), &call("1"), start, limit);
    assert_eq!(vigil.next(SILENCE, None).unwrap().0, start + limit);
    vigil.saw(&Redactor::default(), &call("2"), start + SECOND, SECOND);
    assert_eq!(vigil.next(SILENCE, None).unwrap().0, start + SECOND * 2);
    vigil.saw(&Redactor::default(), &answer("2"), start + SECOND * 2, limit);
    vigil.saw(&Redactor::default(), &answer("1"), start + SECOND * 3, limit);
    assert_eq!(vigil.next(SILENCE, None).unwrap().0, start + SECOND * 3 + SILENCE);
}

#[test]
fn every_line_and_every_byte_from_the_model_breaks_the_silence() {
    let start = Instant::now();
    let mut vigil = Vigil::default();
    vigil.asked(start);
    vigil.saw(&Redactor::default(), &Fact::Compacted, start + SECOND * 59, SECOND);
    assert_eq!(vigil.next(SILENCE, None).unwrap().0, start + SECOND * 119);
    let moved_at = Some(start + SECOND * 100);
    assert_eq!(vigil.next(SILENCE, moved_at).unwrap().0, start + SECOND * 160);
}

#[test]
fn a_call_may_declare_its_own_limit() {
    assert_eq!(declared(&json!({"timeout": 600_000})), Some(SECOND * 630));
    assert_eq!(declared(&json!({"timeout": "soon"})), None);
    assert_eq!(declared(&json!({"command": "make"})), None);
    assert!(declared(&json!({"timeout": u64::MAX})).is_some());
}

#[test]
fn the_heartbeat_says_what_the_worker_is_at_with_and_without_an_agent() {
    use specwright_shared::phase::Phase;

    use crate::health::Pulse;

    let now = Instant::now();
    let mut vigil = Vigil::default();
    let told = |vigil: &Vigil, phase, agent_alive, operation: Option<&str>| {
        let operation = operation.map(str::to_owned);
        let mut pulse = Pulse { phase, agent_alive, operation, ..Pulse::default() };
        vigil.tell(&mut pulse);
        pulse.state
    };
    let design = Some(Phase::Design);
    assert_eq!(told(&vigil, None, false, None), WorkerState::Preparing);
    assert_eq!(told(&vigil, design, false, Some("starting the agent")), WorkerState::Preparing);
    assert_eq!(told(&vigil, design, false, None), WorkerState::BetweenPhases);
    assert_eq!(told(&vigil, Some(Phase::Sync), false, None), WorkerState::Computing);
    vigil.saw(&Redactor::default(), &Fact::Compacted, now, SECOND);
    assert_eq!(told(&vigil, design, true, None), WorkerState::ModelTurn);
    vigil.saw(&Redactor::default(), &call("1"), now, SECOND);
    assert_eq!(told(&vigil, design, true, Some("tool Bash")), WorkerState::ToolCall);
    vigil.broken_off();
    assert_eq!(told(&vigil, design, true, None), WorkerState::ModelTurn);
    let mut ending = Pulse { phase: design, state: WorkerState::Ending, ..Pulse::default() };
    vigil.tell(&mut ending);
    assert_eq!(ending.state, WorkerState::Ending);
}

#[test]
fn a_question_of_ours_is_no_line_of_the_agent() {
    let now = Instant::now();
    let mut vigil = Vigil::default();
    vigil.asked(now);
    let mut pulse = crate::health::Pulse::default();
    vigil.tell(&mut pulse);
    assert_eq!(pulse.line_at, None);
    vigil.saw(&Redactor::default(), &Fact::Compacted, now, SECOND);
    vigil.tell(&mut pulse);
    assert_eq!(pulse.line_at, Some(now));
}

#[test]
fn what_the_agent_says_of_a_message_of_ours_is_no_sign_of_work() {
    use uuid::Uuid;

    use crate::agent::LifecycleState;

    let start = Instant::now();
    let uuid = Uuid::nil();
    let mut vigil = Vigil::default();
    vigil.asked(start);
    let waits = Fact::ApiRetry {
        attempt: 1,
        max_retries: 10,
        retry_delay_ms: 1.0,
        error_status: Some(429),
        error: "rate_limit".into(),
    };
    vigil.saw(&Redactor::default(), &waits, start, SECOND);
    let echoes = [
        Fact::Lifecycle { uuid, state: LifecycleState::Queued },
        Fact::Lifecycle { uuid, state: LifecycleState::Started },
        Fact::Replayed { uuid },
    ];
    let mut pulse = crate::health::Pulse::default();
    for echo in &echoes {
        vigil.saw(&Redactor::default(), echo, start + SECOND * 59, SECOND);
        vigil.tell(&mut pulse);
        assert_eq!((pulse.line_at, vigil.at()), (Some(start), WorkerState::WaitingUsageLimit));
    }
    vigil.saw(&Redactor::default(), &Fact::Compacted, start, SECOND);
    for echo in &echoes {
        vigil.saw(&Redactor::default(), echo, start + SECOND * 59, SECOND);
        assert_eq!(vigil.next(SILENCE, None).unwrap().0, start + SILENCE);
    }
}

#[test]
fn a_secret_across_the_cut_of_a_loops_evidence_leaves_no_part_of_itself() {
    let redactor = Redactor::new(["sk-ant-a-real-key".to_owned()]);
    for before in 280..=300 {
        let text = format!("{}sk-ant-a-real-key", "x".repeat(before));
        let mut vigil = Vigil::default();
        let now = Instant::now();
        let mut seen = None;
        for number in 0..5 {
            let tool_use_id = number.to_string();
            let (tool, parent_tool_use_id) = ("Bash".to_owned(), None);
            let input = json!({ "": text });
            let call =
                Fact::ToolUse { tool, tool_use_id: tool_use_id.clone(), input, parent_tool_use_id };
            vigil.saw(&redactor, &call, now, SECOND);
            let (is_error, result) = (false, text.clone());
            let answer =
                Fact::ToolResult { tool_use_id, is_error, result, parent_tool_use_id: None };
            seen = vigil.saw(&redactor, &answer, now, SECOND);
        }
        let seen = serde_json::to_string(&seen.expect("five times the same is a loop")).unwrap();
        assert!(!seen.contains("sk-"), "{before}: {seen}");
    }
}
