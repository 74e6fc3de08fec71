//! The protocol, spoken over in-process channels: the same session that a process runs on its pipes.

use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::*;
use crate::rehearsal::flags::{Asked, Flags};

/// What a session wrote, readable while it runs. `on_line` sees every line as it is written, which
/// is how a test says something at an exact moment of a turn.
#[derive(Clone)]
struct Ear {
    lines: Arc<Mutex<Vec<Value>>>,
    on_line: Arc<dyn Fn(&Value) + Send + Sync>,
    partial: Vec<u8>,
}

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.partial.extend_from_slice(bytes);
        if self.partial.ends_with(b"\n") {
            let line: Value = serde_json::from_slice(&std::mem::take(&mut self.partial)).unwrap();
            (self.on_line)(&line);
            self.lines.lock().unwrap().push(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const SPOKEN: &str = "-p --input-format stream-json --output-format stream-json --verbose \
    --replay-user-messages --permission-mode bypassPermissions";

/// Runs a session over `said`, then the end of input. `on_line` may say more.
fn converse_with(
    more_flags: &[&str],
    said: &[String],
    on_line: impl Fn(&Value, &SyncSender<Heard>) + Send + Sync + 'static,
) -> (Vec<Value>, Result<ExitCode, SessionError>) {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("README.md"), "# A\n\nCounts requests.\n").unwrap();
    std::fs::write(place.path().join("main.py"), "class RequestLimit:\n    pass\n").unwrap();
    let args = SPOKEN.split_whitespace().chain(more_flags.iter().copied());
    let Ok(Asked::Work(flags)) = Flags::parse(args.map(Into::into)) else { panic!("flags") };
    let (sender, receiver) = sync_channel(1000);
    for line in said {
        sender.send(Heard::Line(line.clone().into_bytes())).unwrap();
    }
    let lines = Arc::new(Mutex::new(Vec::new()));
    // The session sees the end of its input when this, the only sender, is dropped: after the first
    // turn's result, or at once when nothing is to be said later.
    let sender = Mutex::new(Some(sender));
    let on_line = move |line: &Value| {
        let mut sender = sender.lock().unwrap();
        if let Some(sender) = &*sender {
            on_line(line, sender);
        }
        if line["type"] == "result"
            || line["type"] == "control_response" && line["response"]["request_id"] == "last"
        {
            sender.take();
        }
    };
    let ear = Ear { lines: lines.clone(), on_line: Arc::new(on_line), partial: Vec::new() };
    let outcome = Session::new(Lines::new(ear, flags, place.path().to_owned()), receiver).run();
    let lines = std::mem::take(&mut *lines.lock().unwrap());
    (lines, outcome)
}

fn converse(more_flags: &[&str], said: &[String]) -> (Vec<Value>, Result<ExitCode, SessionError>) {
    converse_with(more_flags, said, |_, _| {})
}

fn message(uuid: &str, priority: Option<&str>, text: &str) -> String {
    let mut line = json!({
        "type": "user", "uuid": uuid, "parent_tool_use_id": null, "session_id": "",
        "message": { "role": "user", "content": text }, "client_composed": true,
    });
    if let Some(priority) = priority {
        line["priority"] = json!(priority);
    }
    line.to_string()
}

fn control(id: &str, request: Value) -> String {
    json!({ "type": "control_request", "request_id": id, "request": request }).to_string()
}

fn explore() -> String {
    "Specwright phase: explore\n<specwright-data name=\"job\">{\"title\":\"Limit requests\",\
     \"description\":\"Limit requests to 5 a minute.\",\"accepted\":{}}</specwright-data>"
        .to_owned()
}

/// The lines as short words, so that their order can be read.
fn outline(lines: &[Value]) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let block = |line: &Value| line["message"]["content"][0].clone();
    lines
        .iter()
        .map(|line| match line["type"].as_str() {
            Some("command_lifecycle") => {
                format!("{} {}", word(&line["command_uuid"]), word(&line["state"]))
            }
            Some("system") => word(&line["subtype"]),
            Some("user") if line["isReplay"] == true => format!("replay {}", word(&line["uuid"])),
            Some("user") => format!("user {}", word(&block(line)["type"])),
            Some("assistant") if block(line)["type"] == "tool_use" => word(&block(line)["name"]),
            Some("assistant") => "text".to_owned(),
            Some("result") => format!("result {}", word(&line["terminal_reason"])),
            _ => word(&line["type"]),
        })
        .collect()
}

const SCHEMA: [&str; 2] = ["--json-schema", "{}"];

#[test]
fn a_phase_goes_from_queued_to_a_structured_result() {
    let (lines, outcome) = converse(&SCHEMA, &[message("u1", None, &explore())]);
    assert_eq!(outcome.unwrap(), ExitCode::SUCCESS);
    assert_eq!(
        outline(&lines),
        [
            "u1 queued",
            "u1 started",
            "init",
            "replay u1",
            "text",
            "Glob",
            "user tool_result",
            "text",
            "Read",
            "user tool_result",
            "text",
            "Grep",
            "user tool_result",
            "text",
            "Read",
            "user tool_result",
            "text",
            "Read",
            "user tool_result",
            "text",
            "StructuredOutput",
            "user tool_result",
            "result completed",
            "u1 completed",
        ]
    );
    let init = &lines[2];
    assert_eq!(init["claude_code_version"], "2.1.330");
    assert_eq!(init["model"], "rehearsal (no model)");
    assert_eq!(init["permissionMode"], "bypassPermissions");
    assert_eq!(init["tools"], json!(["Glob", "Grep", "Read", "StructuredOutput"]));
    let result = &lines[lines.len() - 2];
    assert_eq!(result["subtype"], "success");
    assert_eq!((&result["is_error"], &result["total_cost_usd"]), (&json!(false), &json!(0.0)));
    assert_eq!(result["structured_output"]["feature_summary"]["name"], "limit-requests");
    assert_eq!(result["user_message_uuids"], json!(["u1"]));
    assert_eq!(result["modelUsage"], json!({}));
    assert_eq!(result["result"].as_str().unwrap(), result["structured_output"].to_string());
    let call =
        lines.iter().find(|line| line["message"]["content"][0]["name"] == "StructuredOutput");
    assert_eq!(call.unwrap()["message"]["content"][0]["input"], result["structured_output"]);
    let session = &init["session_id"];
    assert!(lines.iter().all(|line| line["session_id"] == *session && line["uuid"].is_string()));
}

#[test]
fn a_repair_gives_the_same_document_again() {
    let said =
        [message("u1", None, &explore()), message("u2", Some("later"), "Specwright repair\n…")];
    let (lines, _) = converse(&SCHEMA, &said);
    let outputs: Vec<_> = lines
        .iter()
        .filter(|line| line["type"] == "result")
        .map(|line| (line["result_index"].clone(), line["structured_output"].clone()))
        .collect();
    assert_eq!(outputs.len(), 2);
    assert_eq!(outputs[0].1, outputs[1].1);
    assert_eq!((&outputs[0].0, &outputs[1].0), (&json!(0), &json!(1)));
}

#[test]
fn a_message_during_a_tool_is_folded_into_the_turn() {
    let (lines, _) = converse_with(&SCHEMA, &[message("u1", None, &explore())], |line, sender| {
        if line["message"]["content"][0]["name"] == "Glob" {
            for (uuid, priority) in [("u2", None), ("u3", Some("later")), ("u4", Some("next"))] {
                let line = message(uuid, priority, "use blue");
                sender.send(Heard::Line(line.into_bytes())).unwrap();
            }
        }
    });
    let outline = outline(&lines);
    let at = outline.iter().position(|word| word == "Glob").unwrap();
    assert_eq!(
        outline[at..at + 12],
        [
            "Glob",
            "u2 queued",
            "u3 queued",
            "u4 queued",
            "user tool_result",
            "replay u2",
            "u2 started",
            "replay u4",
            "u4 started",
            "text",
            "Read",
            "u2 completed",
        ]
    );
    let results: Vec<_> = lines.iter().filter(|line| line["type"] == "result").collect();
    assert_eq!(results.len(), 2, "`later` is a turn of its own");
    assert_eq!(results[0]["user_message_uuids"], json!(["u1", "u2", "u4"]));
    assert_eq!(results[0]["queued_turn_count"], 1);
    assert_eq!(results[1]["user_message_uuids"], json!(["u3"]));
    assert!(results[1]["structured_output"].is_null());
    assert!(lines.iter().any(|line| {
        line["message"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("use blue"))
            && line["type"] == "assistant"
    }));
}

#[test]
fn a_message_that_cannot_wait_aborts_the_turn() {
    let (lines, outcome) =
        converse_with(&SCHEMA, &[message("u1", None, &explore())], |line, sender| {
            if line["message"]["content"][0]["name"] == "Read" {
                let now = message("u2", Some("now"), &explore());
                if line["user_message_uuids"].is_null() {
                    sender.send(Heard::Line(now.into_bytes())).unwrap();
                }
            }
        });
    assert_eq!(outcome.unwrap(), ExitCode::SUCCESS);
    let outline = outline(&lines);
    let at = outline.iter().position(|word| word == "result aborted_tools").unwrap();
    assert_eq!(outline[at + 1..at + 5], ["u1 cancelled", "u2 started", "init", "replay u2"]);
    assert_eq!(lines[at]["subtype"], "success");
    assert_eq!(lines[at]["result"], "");
    assert_eq!(outline.last().unwrap(), "u2 completed");
}

#[test]
fn an_interrupt_ends_the_turn_and_keeps_what_is_queued() {
    let (lines, outcome) =
        converse_with(&SCHEMA, &[message("u1", None, &explore())], |line, sender| {
            if line["message"]["content"][0]["name"] == "Glob" {
                let queued = message("u2", Some("later"), "and then?");
                sender.send(Heard::Line(queued.into_bytes())).unwrap();
                let interrupt = control("r1", json!({ "subtype": "interrupt" }));
                sender.send(Heard::Line(interrupt.into_bytes())).unwrap();
            }
        });
    let outline = outline(&lines);
    let at = outline.iter().position(|word| word == "control_response").unwrap();
    assert_eq!(
        outline[at..at + 5],
        [
            "control_response",
            "user tool_result",
            "user text",
            "result aborted_tools",
            "u1 cancelled"
        ]
    );
    assert_eq!(lines[at]["response"]["response"]["still_queued"], json!(["u2"]));
    assert_eq!(lines[at + 3]["subtype"], "error_during_execution");
    assert_eq!(lines[at + 3]["is_error"], true);
    assert_eq!(outline.last().unwrap(), "u2 completed", "the queued one has its turn");
    assert_eq!(outcome.unwrap(), ExitCode::SUCCESS, "the last turn decides");
}

#[test]
fn requests_are_answered_while_nothing_runs() {
    let said = [
        control("r1", json!({ "subtype": "initialize" })),
        control("r2", json!({ "subtype": "interrupt" })),
        control("r3", json!({ "subtype": "dance" })),
        control("last", json!({ "subtype": "cancel_async_message", "message_uuid": "u9" })),
    ];
    let (lines, outcome) = converse(&[], &said);
    assert_eq!(outcome.unwrap(), ExitCode::SUCCESS);
    let answers: Vec<&Value> = lines.iter().map(|line| &line["response"]).collect();
    assert_eq!(answers[0]["response"]["claude_code_version"], "2.1.330");
    assert_eq!(answers[0]["response"]["current_permission_mode"], "bypassPermissions");
    assert_eq!(answers[0]["response"]["pid"], std::process::id());
    assert_eq!(answers[1]["response"], json!({ "still_queued": [] }));
    assert_eq!(answers[2]["error_code"], "unsupported_request");
    assert_eq!(answers[3]["response"], json!({ "cancelled": false }));
}

#[test]
fn a_session_that_is_ended_does_not_wait_for_the_end_of_its_input() {
    let said = [control("r1", json!({ "subtype": "end_session" }))];
    let (lines, outcome) = converse_with(&[], &said, |line, sender| {
        // Still open, and with something to do: nobody reads it any more.
        if line["type"] == "control_response" {
            sender.send(Heard::Line(message("u1", None, "hello").into_bytes())).unwrap();
        }
    });
    assert_eq!(outcome.unwrap(), ExitCode::SUCCESS);
    assert!(lines.iter().all(|line| line["type"] != "result"));
}

#[test]
fn said_twice_is_done_once() {
    let said = [message("u1", None, "hello"), message("u1", None, "hello")];
    let (lines, _) = converse(&[], &said);
    assert_eq!(lines.iter().filter(|line| line["type"] == "result").count(), 1);
}

#[test]
fn what_is_no_phase_gets_words_and_no_document() {
    for text in
        ["hello", "Specwright repair", "Specwright phase: sync", "Specwright phase: design\n"]
    {
        let (lines, _) = converse(&SCHEMA, &[message("u1", None, text)]);
        let result = lines.iter().find(|line| line["type"] == "result").unwrap();
        assert!(result["structured_output"].is_null(), "{text}");
        assert!(result["result"].as_str().unwrap().contains("no model was used"), "{text}");
    }
}

#[test]
fn a_bad_line_ends_the_session() {
    let (_, outcome) = converse(&[], &["{".to_owned()]);
    assert!(matches!(outcome, Err(SessionError::Input(_))));
}

#[test]
fn few_turns_mean_few_reads_and_still_an_answer() {
    for max in ["1", "2"] {
        let flags = ["--json-schema", "{}", "--max-turns", max];
        let (lines, _) = converse(&flags, &[message("u1", None, &explore())]);
        let calls = lines.iter().filter(|line| line["message"]["content"][0]["type"] == "tool_use");
        assert_eq!(calls.count().to_string(), max, "the answer is one of them");
        assert!(lines.iter().any(|line| line["structured_output"].is_object()));
    }
}

#[test]
fn tools_that_were_not_given_are_not_used() {
    let flags = ["--json-schema", "{}", "--tools", "Glob"];
    let (lines, _) = converse(&flags, &[message("u1", None, &explore())]);
    let outline = outline(&lines);
    assert!(outline.contains(&"Glob".to_owned()));
    assert!(!outline.contains(&"Read".to_owned()) && !outline.contains(&"Grep".to_owned()));
}

#[test]
fn nothing_is_written_where_the_agent_works() {
    let place = tempfile::tempdir().unwrap();
    let listing = |root: &Path| std::fs::read_dir(root).unwrap().count();
    let Ok(Asked::Work(flags)) = Flags::parse(SPOKEN.split_whitespace().map(Into::into)) else {
        panic!("flags")
    };
    let (sender, receiver) = sync_channel(2);
    sender.send(Heard::Line(message("u1", None, &explore()).into_bytes())).unwrap();
    drop(sender);
    Session::new(Lines::new(io::sink(), flags, place.path().to_owned()), receiver).run().unwrap();
    assert_eq!(listing(place.path()), 0);
}
