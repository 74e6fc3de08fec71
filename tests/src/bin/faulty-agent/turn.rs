//! One turn of the faulty agent, with every line that the CLI would write for it.

use anyhow::Result;
use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::steady::Pace;
use super::{descendants, print, say, wait_to_be_told};

/// What the process does after a line was dealt with.
pub(crate) enum After {
    GoOn,
    Exit(u8),
    Hang,
}

/// What stays the same from turn to turn.
pub(crate) struct Turn<'a> {
    behaviour: &'a Behaviour,
    session: &'a str,
    schema: &'a Value,
}

pub(crate) fn version(behaviour: &Behaviour) -> &'static str {
    if behaviour.has("wrong-version") { "2.1.197" } else { "2.1.330" }
}

pub(crate) fn permission_mode(behaviour: &Behaviour) -> &'static str {
    if behaviour.has("wrong-permission-mode") { "default" } else { "dontAsk" }
}

impl<'a> Turn<'a> {
    pub(crate) const fn new(behaviour: &'a Behaviour, session: &'a str, schema: &'a Value) -> Self {
        Self { behaviour, session, schema }
    }

    /// Plays a turn for a message of ours.
    pub(crate) fn play(&self, message: &Value) -> Result<After> {
        let has = |word| self.behaviour.has(word);
        let uuid = &message["uuid"];
        if has("hang") {
            return Ok(After::GoOn);
        }
        self.begin(message)?;
        self.misbehave()?;
        if has("asks") {
            let request = json!({"subtype": "can_use_tool", "tool_name": "Bash", "input": {}});
            say(&json!({"type": "control_request", "request_id": "q", "request": request}))?;
        }
        if has("closes-stdout-but-lives") {
            let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
            rustix::stdio::dup2_stdout(&nowhere)?;
            return Ok(After::GoOn);
        }
        if has("no-result") {
            return Ok(After::Exit(0));
        }
        if has("torn-line") {
            print(br#"{"type":"assistant","message":{"content":[{"type":"te"#)?;
            return Ok(After::Exit(0));
        }
        if has("prose-once") && self.first_time()? {
            self.end_in_prose(uuid)?;
            return Ok(After::GoOn);
        }
        if has("waits") || (has("waits-once") && self.first_time()?) {
            return Ok(After::GoOn);
        }
        if has("aborts-a-later-turn") {
            // The first message is never answered, the second one is broken off.
            let first = self.first_time()?;
            let broken_off = self.behaviour.folder().join("broke-off");
            if first {
                return Ok(After::GoOn);
            }
            if std::fs::File::create_new(broken_off).is_ok() {
                return self.interrupted();
            }
        }
        if has("hangs-in-a-tool-once") && self.first_time()? {
            self.begin_call("toolu_hangs", "Bash", &json!({"command": "sleep infinity"}))?;
            return Ok(After::GoOn);
        }
        if has("loops") {
            for number in 0..6 {
                let id = format!("toolu_loop_{number}");
                self.begin_call(&id, "Read", &json!({"file_path": "/nothing"}))?;
                self.end_call(&id, "there is no such file")?;
            }
        }
        self.end(uuid)?;
        Ok(if has("hang-after-result") { After::Hang } else { After::GoOn })
    }

    /// An answer of ours to a question: repeated as text.
    pub(crate) fn told(&self, line: &Value) -> Result<After> {
        let error = line["response"]["error"].as_str().unwrap_or("no error");
        self.text(&format!("I was told: {error}"))?;
        Ok(After::GoOn)
    }

    /// The end of a turn that was interrupted.
    pub(crate) fn interrupted(&self) -> Result<After> {
        self.result(json!({
            "subtype": "error_during_execution",
            "is_error": true,
            "errors": ["[ede_diagnostic] interrupted"],
            "terminal_reason": "aborted_tools",
        }))?;
        Ok(After::GoOn)
    }

    fn begin(&self, message: &Value) -> Result<()> {
        let uuid = &message["uuid"];
        self.lifecycle(uuid, "queued")?;
        self.lifecycle(uuid, "started")?;
        say(&json!({
            "type": "system",
            "subtype": "init",
            "session_id": self.session,
            "model": "faulty",
            "tools": ["Read", "StructuredOutput"],
            "permissionMode": permission_mode(self.behaviour),
            "claude_code_version": version(self.behaviour),
            "capabilities": ["msg_lifecycle_v1", "interrupt_receipt_v1"],
        }))?;
        say(&json!({"type": "user", "message": message["message"], "uuid": uuid,
            "session_id": self.session, "isReplay": true}))
    }

    fn misbehave(&self) -> Result<()> {
        let has = |word| self.behaviour.has(word);
        if has("setsid-grandchild") {
            descendants::leave(self.behaviour.folder())?;
        }
        if has("writes-file") {
            std::fs::write("written-by-the-agent.txt", "the agent was here\n")?;
        }
        if has("malformed-known-line") {
            say(&json!({"type": "system", "subtype": "api_retry", "attempt": "soon"}))?;
        }
        if has("invalid-utf8") {
            let mut line =
                br#"{"type":"assistant","message":{"content":[{"type":"text","text":"in"#.to_vec();
            line.extend(b"\xff\xc3valid\"}]}}\n");
            print(&line)?;
        }
        if has("line-5mb") {
            self.text(&"z".repeat(5_000_000))?;
        }
        if has("flood-5mb") {
            for _ in 0..10 {
                self.text(&"z".repeat(5_000_000))?;
            }
        }
        if has("line-65mb") {
            self.text(&"z".repeat(65 * 1024 * 1024))?;
        }
        if has("burst") {
            for number in 0..300 {
                self.text(&number.to_string())?;
            }
        }
        if has("flood") {
            for number in 0..100_000 {
                self.text(&number.to_string())?;
            }
        }
        if let Some(pace) = Pace::of(self.behaviour)? {
            wait_to_be_told(self.behaviour, &format!("steady-{}", std::process::id()))?;
            pace.keep(|text| self.text(text))?;
        }
        Ok(())
    }

    /// The end of a turn that brings nothing but words.
    fn end_in_prose(&self, uuid: &Value) -> Result<()> {
        let said = "I would rather write prose.";
        self.text(said)?;
        self.result(json!({
            "subtype": "success",
            "is_error": false,
            "terminal_reason": "completed",
            "user_message_uuids": [uuid],
            "result": said,
        }))?;
        self.lifecycle(uuid, "completed")
    }

    fn end(&self, uuid: &Value) -> Result<()> {
        let has = |word| self.behaviour.has(word);
        let mut result = json!({
            "subtype": "success",
            "is_error": false,
            "terminal_reason": "completed",
            "stop_reason": "end_turn",
            "api_error_status": null,
            "user_message_uuids": [uuid],
        });
        if has("refused-key") {
            result["is_error"] = json!(true);
            result["terminal_reason"] = json!("api_error");
            result["api_error_status"] = json!(401);
            result["result"] = json!("Invalid API key");
        } else if has("out-of-turns") || has("out-of-budget") {
            let limit = if has("out-of-turns") { "max_turns" } else { "max_budget_usd" };
            result["subtype"] = json!(format!("error_{limit}"));
            result["is_error"] = json!(true);
            result["terminal_reason"] = json!(limit);
        } else if has("prose") {
            self.text("I would rather write prose.")?;
            result["result"] = json!("I would rather write prose.");
        } else {
            let output = self.behaviour.output(self.schema)?;
            self.call("StructuredOutput", &output)?;
            result["result"] = json!(output.to_string());
            result["structured_output"] = output;
        }
        self.result(result)?;
        self.lifecycle(uuid, "completed")
    }

    fn result(&self, mut fields: Value) -> Result<()> {
        fields["type"] = json!("result");
        fields["session_id"] = json!(self.session);
        fields["num_turns"] = json!(2);
        fields["duration_ms"] = json!(3);
        fields["total_cost_usd"] = json!(0.25);
        fields["usage"] = json!({"input_tokens": 100, "output_tokens": 10});
        say(&fields)
    }

    /// Whether nothing of this behaviour was told so before, by whichever process.
    fn first_time(&self) -> Result<bool> {
        let mark = self.behaviour.folder().join("was-here");
        match std::fs::File::create_new(mark) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn call(&self, tool: &str, input: &Value) -> Result<()> {
        self.begin_call("toolu_1", tool, input)?;
        self.end_call("toolu_1", "Structured output provided successfully")
    }

    fn begin_call(&self, id: &str, tool: &str, input: &Value) -> Result<()> {
        let call = json!({"type": "tool_use", "id": id, "name": tool, "input": input});
        say(&json!({"type": "assistant", "message": {"role": "assistant", "content": [call]},
            "parent_tool_use_id": null, "session_id": self.session}))
    }

    fn end_call(&self, id: &str, content: &str) -> Result<()> {
        let result = json!({"type": "tool_result", "tool_use_id": id, "content": content});
        say(&json!({"type": "user", "message": {"role": "user", "content": [result]},
            "parent_tool_use_id": null, "session_id": self.session}))
    }

    fn text(&self, text: &str) -> Result<()> {
        let content = json!([{"type": "text", "text": text}]);
        say(&json!({"type": "assistant", "message": {"role": "assistant", "content": content},
            "parent_tool_use_id": null, "session_id": self.session}))
    }

    fn lifecycle(&self, uuid: &Value, state: &str) -> Result<()> {
        say(&json!({"type": "command_lifecycle", "command_uuid": uuid, "state": state,
            "session_id": self.session}))
    }
}
