//! The faulty agent: speaks enough of the CLI's protocol to be started, and then misbehaves as it is
//! told, by real means (a real hang, a real deaf process, a real orphan).
//!
//! It cannot be told by arguments or environment, since the worker decides about both. It reads a
//! file `behaviour` from the folder of the path that it was started by (a test links the binary into a
//! folder of its own), with words of [`behaviour`] separated by commas; more than one may be played.

mod behaviour;
mod descendants;
mod signals;
mod steady;
mod turn;

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use behaviour::Behaviour;
use turn::{After, Turn};

/// Longer than any worker waits for the answer to an interrupt.
const TOLD_WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args();
    let program = arguments.next().context("started without a name")?;
    let arguments: Vec<String> = arguments.collect();
    if descendants::is_one(&arguments) {
        return descendants::live(&arguments);
    }
    let behaviour = Behaviour::beside(program.as_ref())?;
    run(&behaviour, &arguments)
}

fn run(behaviour: &Behaviour, arguments: &[String]) -> Result<ExitCode> {
    if behaviour.has("deaf") {
        signals::ignore_all()?;
    }
    if behaviour.has("stderr-noise") {
        let noise = "noise on stderr, and more of it\n".repeat(100_000);
        std::io::stderr().write_all(noise.as_bytes())?;
        eprintln!("the last words");
    }
    if behaviour.has("exit-at-once") {
        eprintln!("the faulty agent was told to exit at once");
        return Ok(ExitCode::from(7));
    }
    if behaviour.has("hang-before-initialize") {
        sleep_for_ever();
    }
    if behaviour.has("garbage") {
        print(b"Credit balance is too low\n\x00\xff\x1b[31m{{{\n[1,2]\n\n")?;
    }

    let flag = |name: &str| {
        let prefix = format!("--{name}=");
        arguments.iter().find_map(|argument| argument.strip_prefix(&prefix))
    };
    let session = flag("session-id").or(flag("resume")).context("no session is given")?;
    if behaviour.has("unknown-session") {
        let error = format!("No conversation found with session ID: {session}");
        say(&json!({"type": "result", "subtype": "error_during_execution", "is_error": true,
            "errors": [error]}))?;
        return Ok(ExitCode::FAILURE);
    }
    let schema: Value = serde_json::from_str(flag("json-schema").context("no schema is given")?)?;
    let turn = Turn::new(behaviour, session, &schema);

    for line in std::io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let after = match line["type"].as_str() {
            Some("control_request") => answer(behaviour, &line, &turn)?,
            Some("user") => turn.play(&line)?,
            Some("control_response") => turn.told(&line)?,
            _ => After::GoOn,
        };
        match after {
            After::GoOn => {}
            After::Exit(code) => return Ok(ExitCode::from(code)),
            After::Hang => sleep_for_ever(),
        }
    }
    if behaviour.has("deaf") || behaviour.has("hang") {
        sleep_for_ever();
    }
    Ok(ExitCode::SUCCESS)
}

/// Answers `initialize` and `interrupt`.
fn answer(behaviour: &Behaviour, line: &Value, turn: &Turn<'_>) -> Result<After> {
    let request_id = &line["request_id"];
    let success = |response: Value| {
        let response =
            json!({"subtype": "success", "request_id": request_id, "response": response});
        say(&json!({"type": "control_response", "response": response}))
    };
    match line["request"]["subtype"].as_str() {
        Some("initialize") => {
            // The CLI echoes answers that were never asked for; they must be dropped.
            let echo = json!({"subtype": "success", "request_id": "never-asked", "response": {}});
            say(&json!({"type": "control_response", "response": echo}))?;
            success(json!({
                "claude_code_version": turn::version(behaviour),
                "current_permission_mode": turn::permission_mode(behaviour),
                "pid": std::process::id(),
                "session_state": "idle",
                "capabilities": [],
            }))?;
            Ok(After::GoOn)
        }
        Some("interrupt") if behaviour.has("hang") => Ok(After::GoOn),
        Some("interrupt") => {
            if behaviour.has("answers-when-told") {
                wait_to_be_told(behaviour, "interrupted")?;
            }
            success(json!({"still_queued": []}))?;
            turn.interrupted()
        }
        other => bail!("the faulty agent knows no request {other:?}"),
    }
}

/// Leaves a mark and waits for `go`. Bounded: an agent that nobody tells anything ends.
fn wait_to_be_told(behaviour: &Behaviour, mark: &str) -> Result<()> {
    let (mark, told) = (behaviour.folder().join(mark), behaviour.folder().join("go"));
    std::fs::write(mark, "")?;
    for _ in 0..TOLD_WITHIN.as_millis() / LOOK_EVERY.as_millis() {
        if told.exists() {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    bail!("nobody told the faulty agent to go on")
}

/// Writes one line.
fn say(line: &Value) -> Result<()> {
    print(format!("{line}\n").as_bytes())
}

fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush().context("stdout is closed")
}

fn sleep_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}
