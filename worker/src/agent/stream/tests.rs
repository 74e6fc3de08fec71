//! Lines of our own making, one per shape, and (where the folder is there) recorded ones.

use std::path::PathBuf;

use super::*;
use crate::agent::turn::Turn;

const MESSAGE: &str = "0190a0a0-0000-7000-8000-000000000001";

fn facts(line: &str) -> Vec<Fact> {
    match decode(line.as_bytes()) {
        Decoded::Facts(facts) => facts,
        other => panic!("{line} gave {other:?}"),
    }
}

fn one(line: &str) -> Fact {
    let mut facts = facts(line);
    assert_eq!(facts.len(), 1, "{line} gave {facts:?}");
    facts.remove(0)
}

#[test]
fn the_tag_may_stand_last() {
    let line = r#"{"is_error":false,"num_turns":2,"subtype":"success","type":"result"}"#;
    assert!(matches!(decode(line.as_bytes()), Decoded::Result(_)));
}

#[test]
fn unknown_types_subtypes_states_blocks_and_fields_are_ignored() {
    for line in [
        r#"{"type":"of_tomorrow","x":1}"#,
        r#"{"type":"system","subtype":"of_tomorrow"}"#,
        r#"{"type":"system","subtype":7}"#,
        r#"{"type":"stream_event","event":{}}"#,
        r#"{"type":"assistant","message":{"content":[{"type":"redacted_thinking","data":"x"}]}}"#,
        r#"{"type":"user","message":{"content":"This session is being continued"}}"#,
        "   ",
    ] {
        assert_eq!(facts(line), [], "{line}");
    }
    let line = format!(
        r#"{{"type":"command_lifecycle","command_uuid":"{MESSAGE}","state":"asleep","new":[]}}"#
    );
    assert_eq!(facts(&line), []);
}

#[test]
fn a_known_type_with_a_wrong_body_is_reported_with_its_name() {
    let Fact::Malformed { line_start, why } =
        one(r#"{"type":"system","subtype":"api_retry","attempt":"soon"}"#)
    else {
        panic!("not reported")
    };
    assert!(line_start.starts_with(r#"{"type":"system""#));
    assert!(why.contains("`system/api_retry`"), "{why}");
    assert!(matches!(one(r#"{"type":"result"}"#), Fact::Malformed { .. }));
    assert!(matches!(one(r#"{"type":"assistant","message":{}}"#), Fact::Malformed { .. }));
}

#[test]
fn what_is_no_tagged_object_is_reported() {
    for line in ["Credit balance is too low", "[1,2]", "{\"no\":\"type\"}", "{\"type\":\"user\""] {
        assert!(matches!(one(line), Fact::Malformed { .. }), "{line}");
    }
}

#[test]
fn a_wrong_block_spoils_only_itself() {
    let facts = facts(
        r#"{"type":"assistant","message":{"content":[{"type":"tool_use","id":7},{"type":"text","text":"still here"}]}}"#,
    );
    assert!(matches!(&facts[0], Fact::Malformed { .. }), "{facts:?}");
    assert!(matches!(&facts[1], Fact::Text { text, .. } if text == "still here"), "{facts:?}");
}

#[test]
fn a_retry_delay_may_be_a_fraction_and_its_status_absent() {
    let line = r#"{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"retry_delay_ms":540.25,"error_status":null,"error":"connection"}"#;
    assert_eq!(
        one(line),
        Fact::ApiRetry {
            attempt: 1,
            max_retries: 10,
            retry_delay_ms: 540.25,
            error_status: None,
            error: "connection".into()
        }
    );
}

#[test]
fn invalid_utf8_is_replaced() {
    let mut line =
        br#"{"type":"assistant","message":{"content":[{"type":"text","text":"a"#.to_vec();
    line.extend([0xff, 0xfe]);
    line.extend(br#"b"}]}}"#);
    let Decoded::Facts(facts) = decode(&line) else { panic!("not facts") };
    assert!(
        matches!(&facts[..], [Fact::Text { text, .. }] if text == "a\u{fffd}\u{fffd}b"),
        "{facts:?}"
    );
}

#[test]
fn a_tools_answer_is_text_whatever_its_form() {
    let result = |content: &str| {
        let line = format!(
            r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"t","is_error":true,"content":{content}}}]}}}}"#
        );
        match one(&line) {
            Fact::ToolResult { result, is_error: true, .. } => result,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(result(r#""plain""#), "plain");
    assert_eq!(
        result(r#"[{"type":"text","text":"a"},{"type":"image","source":{}}]"#),
        "a\n[image]"
    );
    assert_eq!(result("null"), "");
}

#[test]
fn answers_and_questions_of_the_control_protocol_are_no_facts() {
    let line = r#"{"type":"control_response","response":{"subtype":"error","request_id":"r","error":"no"}}"#;
    let Decoded::Answer(answer) = decode(line.as_bytes()) else { panic!("no answer") };
    assert_eq!((answer.request_id.as_str(), answer.outcome), ("r", Err("no".to_owned())));
    let line =
        r#"{"type":"control_request","request_id":"q","request":{"subtype":"can_use_tool"}}"#;
    assert!(matches!(decode(line.as_bytes()), Decoded::Asked { request_id } if request_id == "q"));
}

/// Recorded lines of the real CLI are not part of the project; the test reads them where they are.
fn transcripts() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("SPECWRIGHT_TRANSCRIPTS")?);
    folder.is_dir().then_some(folder)
}

#[test]
fn every_recorded_line_decodes() {
    let Some(folder) = transcripts() else {
        println!("not run: there is no folder of transcripts (SPECWRIGHT_TRANSCRIPTS names one)");
        return;
    };
    let (mut lines, mut facts) = (0, 0);
    let mut turns = Vec::new();
    let mut wrong = Vec::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for record in std::fs::read_to_string(&path).unwrap().lines() {
            let record: Value = serde_json::from_str(record).unwrap();
            let message = &record["msg"];
            // Lines that the recorder cut or that were no JSON are kept as text under its own keys.
            if record["dir"] != "out" || message.get("type").is_none() || cut_by_recorder(message) {
                continue;
            }
            lines += 1;
            match decode(message.to_string().as_bytes()) {
                Decoded::Facts(found) => {
                    facts += found.len();
                    wrong.extend(found.into_iter().filter_map(|fact| match fact {
                        Fact::Malformed { why, .. } => Some(format!("{}: {why}", path.display())),
                        _ => None,
                    }));
                }
                Decoded::Result(line) => turns.push(line.into_turn(0.0).judge()),
                Decoded::Answer(_) | Decoded::Asked { .. } => {}
            }
        }
    }
    assert_eq!(wrong, [] as [String; 0]);
    assert!(lines > 1000 && facts > 900, "{lines} lines, {facts} facts");
    assert!(turns.iter().any(|turn| matches!(turn, Turn::Output(_))));
    assert!(turns.contains(&Turn::Aborted));
    assert!(turns.contains(&Turn::AuthenticationFailed { status: 401 }));
    assert!(turns.contains(&Turn::PromptTooLong));
}

fn cut_by_recorder(message: &Value) -> bool {
    message.get("_truncated").is_some()
}
