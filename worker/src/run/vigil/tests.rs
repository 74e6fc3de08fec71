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
    vigil.saw(&call("1"), start, limit);
    assert_eq!(vigil.next(SILENCE, None).unwrap().0, start + limit);
    vigil.saw(&call("2"), start + SECOND, SECOND);
    assert_eq!(vigil.next(SILENCE, None).unwrap().0, start + SECOND * 2);
    vigil.saw(&answer("2"), start + SECOND * 2, limit);
    vigil.saw(&answer("1"), start + SECOND * 3, limit);
    assert_eq!(vigil.next(SILENCE, None).unwrap().0, start + SECOND * 3 + SILENCE);
}

#[test]
fn every_line_and_every_byte_from_the_model_breaks_the_silence() {
    let start = Instant::now();
    let mut vigil = Vigil::default();
    vigil.asked(start);
    vigil.saw(&Fact::Compacted, start + SECOND * 59, SECOND);
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
