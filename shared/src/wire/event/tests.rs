use super::*;

fn raw(kind: &str, data: Value) -> RawEvent {
    RawEvent {
        seq: 17,
        id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        kind: kind.to_owned(),
        at: Timestamp::from_micros(1_795_000_000_000_001),
        phase: Some(Phase::Design),
        trace_id: None,
        data,
    }
}

#[test]
fn an_unknown_type_is_data_and_a_known_one_with_a_wrong_body_is_an_error() {
    assert_eq!(raw("agent.teleported", Value::Null).decode().unwrap(), Decoded::Unknown);
    let error = raw("spec.progress", serde_json::json!({ "message": 5 })).decode().unwrap_err();
    assert!(error.to_string().contains("`spec.progress`"), "{error}");
}

#[test]
fn a_body_may_have_fields_of_a_newer_peer() {
    let event = raw("spec.progress", serde_json::json!({ "message": "x", "mood": "good" }));
    assert_eq!(
        event.decode().unwrap(),
        Decoded::Known(Box::new(Event::Progress(Progress { message: "x".into() })))
    );
}

#[test]
fn the_envelope_is_the_one_that_is_documented() {
    let event = raw("spec.progress", serde_json::json!({ "message": "x" }));
    insta::assert_json_snapshot!(event);
}

#[test]
fn every_type_has_its_marks() {
    let table: Vec<String> =
        Event::KINDS.iter().map(|kind| format!("{kind} {:?}", Marks::of(kind))).collect();
    insta::assert_snapshot!(table.join("\n"));
}
