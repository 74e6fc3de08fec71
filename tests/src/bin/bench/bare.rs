//! One phase with nothing between us and the CLI.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use specwright_shared::documents::schema;
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::MessagesApi;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use uuid::Uuid;

use crate::overhead::is_good_result;

/// The switches with which the worker starts the CLI.
const SWITCHES: [(&str, &str); 8] = [
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS", "1"),
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
    ("CLAUDE_CODE_STARTUP_FAILURE_RESULTS", "1"),
    ("CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS", "90000"),
    ("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1"),
    ("CLAUDE_CODE_DISABLE_BUNDLED_SKILLS", "1"),
];

/// From the start of the process to its end, in milliseconds.
pub(crate) async fn phase_ms(
    cli: &Path,
    api: &MessagesApi,
    repository: &Path,
    phase: Phase,
    prompt: &str,
) -> Result<f64> {
    let private = tempfile::tempdir()?;
    let schema = schema(phase).context("no agent does this phase")?;
    let began = Instant::now();
    let mut agent = Command::new(cli)
        .args(["-p", "--input-format=stream-json", "--output-format=stream-json", "--verbose"])
        .args(["--replay-user-messages", "--setting-sources=", "--strict-mcp-config"])
        .args(["--system-prompt-snapshot=off", "--permission-mode=dontAsk"])
        .arg(format!("--session-id={}", Uuid::new_v4()))
        .arg("--append-system-prompt=You plan; you do not change files.")
        .arg(format!("--json-schema={schema}"))
        .arg("--tools=Read,Glob,Grep")
        .current_dir(repository)
        .env_clear()
        .envs(SWITCHES)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", private.path())
        .env("LANG", "C.UTF-8")
        .env("CLAUDE_CONFIG_DIR", private.path().join("config"))
        .env("CLAUDE_CODE_TMPDIR", private.path())
        .env("ANTHROPIC_API_KEY", "a-key-that-opens-nothing")
        .env("ANTHROPIC_BASE_URL", api.base_url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("the Claude CLI cannot be started")?;
    let mut stdin = agent.stdin.take().context("no stdin")?;
    let stdout = agent.stdout.take().context("no stdout")?;
    let message = json!({
        "type": "user", "uuid": Uuid::new_v4(), "session_id": "", "parent_tool_use_id": null,
        "message": { "role": "user", "content": prompt }, "client_composed": true,
    });
    stdin.write_all(format!("{message}\n").as_bytes()).await?;
    let mut lines = BufReader::new(stdout).lines();
    loop {
        let line = lines.next_line().await?.context("the bare CLI ended without a result")?;
        let line: Value = serde_json::from_str(&line)?;
        if is_good_result(&line)? {
            break;
        }
    }
    drop(stdin);
    // What it still says must be read, or it could wait for us.
    while lines.next_line().await?.is_some() {}
    let status = agent.wait().await?;
    ensure!(status.success(), "the bare CLI ended with {status}");
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}
