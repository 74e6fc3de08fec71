//! The fake against the real Claude CLI: what the CLI makes of each answer.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use super::*;
use crate::system::{MODEL_KEY, claude_cli};
use crate::wait::PATIENCE;

/// A schema by which the script knows which phase is asked for.
fn schema() -> Value {
    json!({
        "title": "Explore",
        "type": "object",
        "properties": { "title": { "type": "string" }, "parts": { "type": "integer" } },
        "required": ["title", "parts"],
        "additionalProperties": false,
    })
}

/// Runs the CLI once, without a worker; the result line that it ends with.
async fn ask_the_cli(api: &MessagesApi, place: &Path, more: &[(&str, &str)]) -> Value {
    let mut command = tokio::process::Command::new(claude_cli());
    command
        .args(["-p", "Describe the project", "--output-format", "json"])
        .args(["--json-schema", &schema().to_string(), "--setting-sources="])
        .args(["--strict-mcp-config", "--tools", "Read"])
        .current_dir(place)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs([("HOME", place), ("CLAUDE_CONFIG_DIR", place), ("CLAUDE_CODE_TMPDIR", place)])
        .env("ANTHROPIC_BASE_URL", api.base_url())
        .env("ANTHROPIC_API_KEY", MODEL_KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_AUTOUPDATER", "1")
        .envs(more.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("the CLI ends in time")
        .expect("the CLI starts");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no result ({error}): {output:?}"))
}

#[tokio::test]
async fn the_real_cli_gets_its_structured_output() {
    let place = tempfile::tempdir().unwrap();
    let good = json!({ "title": "courier", "parts": 3 });
    let answer = good.clone();
    let api = MessagesApi::start(move |_| Answer::output(answer.clone())).await.unwrap();

    let result = ask_the_cli(&api, place.path(), &[]).await;

    assert_eq!(result["structured_output"], good, "{result:#}");
    assert_eq!(result["is_error"], false);
    assert!(result["total_cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{result:#}");
    let asks = api.asks();
    let ask = asks.iter().find(|ask| ask.phase().is_some()).expect("the document was asked for");
    assert!(ask.streams());
    assert_eq!(ask.headers["x-api-key"], MODEL_KEY);
    assert_eq!(ask.schema(), Some(&schema()));
    assert!(ask.mentions("Describe the project"));
    assert!(ask.tools().contains(&"Read"), "{:?}", ask.tools());
}

#[tokio::test]
async fn the_real_cli_runs_a_tool_and_repairs_an_output_that_misses_its_schema() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("notes.txt");
    std::fs::write(&file, "the word is marmalade\n").unwrap();
    let api = MessagesApi::start(move |ask: &Ask| match ask.turns_before() {
        0 => Answer::tool("Read", json!({ "file_path": file })),
        1 => Answer::output(json!({ "title": "courier" })),
        _ => Answer::output(json!({ "title": "courier", "parts": 3 })),
    })
    .await
    .unwrap();

    let result = ask_the_cli(&api, place.path(), &[]).await;

    assert_eq!(result["structured_output"]["parts"], 3, "{result:#}");
    let asks = api.asks();
    assert!(asks.iter().any(|ask| ask.mentions("marmalade")), "the file's text was sent");
    assert!(asks.iter().any(|ask| ask.mentions("does not match required schema")));
}

#[tokio::test]
async fn the_real_cli_tries_again_after_refusals_and_a_cut_stream() {
    let place = tempfile::tempdir().unwrap();
    let api = MessagesApi::start(|ask: &Ask| match ask.number {
        0 => Answer::Refuse(Refusal::RATE_LIMITED),
        1 => Answer::Refuse(Refusal::OVERLOADED),
        2 => Answer::CutAfter("Let me".into()),
        _ => Answer::output(json!({ "title": "courier", "parts": 3 })),
    })
    .await
    .unwrap();

    let result = ask_the_cli(&api, place.path(), &[]).await;

    assert_eq!(result["structured_output"]["parts"], 3, "{result:#}");
    assert_eq!(api.asks().len(), 4);
}

#[tokio::test]
async fn the_real_cli_gives_up_on_a_key_that_is_not_known() {
    let place = tempfile::tempdir().unwrap();
    let api = MessagesApi::start(|_| Answer::Refuse(Refusal::BAD_KEY)).await.unwrap();

    let result = ask_the_cli(&api, place.path(), &[("CLAUDE_CODE_MAX_RETRIES", "1")]).await;

    assert_eq!(result["is_error"], true, "{result:#}");
    assert_eq!(result["api_error_status"], 401, "{result:#}");
}

#[tokio::test]
async fn a_held_answer_comes_when_it_is_let_go_and_not_before() {
    let until = CancellationToken::new();
    let held = until.clone();
    let api =
        MessagesApi::start(move |_| Answer::Hold(held.clone(), vec![Block::Text("late".into())]))
            .await
            .unwrap();
    let request = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        connection: close\r\ncontent-length: 15\r\n\r\n{\"stream\":true}";
    let address = api.base_url().replace("http://", "");
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut connection, request).await.unwrap();

    let mut read = String::new();
    let mut buffer = [0; 4096];
    while !read.contains("event: ping") {
        let count = tokio::io::AsyncReadExt::read(&mut connection, &mut buffer).await.unwrap();
        read.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    assert!(read.contains("event: message_start") && !read.contains("delta"), "{read}");

    until.cancel();
    tokio::io::AsyncReadExt::read_to_string(&mut connection, &mut read).await.unwrap();
    // Text comes in two pieces.
    assert!(read.contains("\"la\"") && read.contains("\"te\""), "{read}");
    assert!(read.contains("event: message_stop"), "{read}");
}
