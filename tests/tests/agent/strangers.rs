//! Programs that say something else than an agent would, without end or without a line.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A place whose agent is a shell script.
fn script(text: &str) -> Place {
    let place = Place::of("ok");
    let path = place.path("agent");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    place
}

#[tokio::test]
async fn garbage_without_end_is_no_introduction() {
    let patience = Duration::from_millis(500);
    for garbage in ["exec yes garbage", "exec yes '{\"type\":\"garbage\"}'", "exec cat /dev/zero"] {
        let error = script(garbage).refused_within(patience).await;
        assert!(matches!(error, StartError::NotReady { .. }), "{garbage}: {error}");
        assert!(error.to_string().len() < 10_000, "{garbage}: the garbage is repeated");
    }
}

#[tokio::test]
async fn an_answer_to_another_question_is_no_introduction() {
    let answer = r#"{"type":"control_response","response":{"subtype":"success","request_id":"1",
        "response":{"claude_code_version":"2.1.330","current_permission_mode":"dontAsk"}}}"#
        .replace('\n', "");
    let place = script(&format!("echo '{answer}'; exec sleep 600"));
    let error = place.refused_within(Duration::from_millis(500)).await;
    assert!(matches!(error, StartError::NotReady { .. }), "{error}");
}

#[tokio::test]
async fn an_agent_that_closes_its_stdin_and_lives_is_not_fit() {
    let error = script("exec 0<&-; exec sleep 600").refused_within(Duration::from_secs(2)).await;
    let named = matches!(error, StartError::NotReady { .. } | StartError::Ended { .. });
    assert!(named, "{error}");
}
