//! What the agent does, as events; and what it means for the attempt.

use std::time::Instant;

use specwright_shared::excerpt::Excerpt;
use specwright_shared::machine::RunEvent;
use specwright_shared::outcome::Outcome;
use specwright_shared::redact::{Flow, Redactor};
use specwright_shared::wire::event::{
    AgentCompleted, AgentError, AgentMessage, AgentRetrying, Event, RetryReason, SubagentCompleted,
    SubagentInvoked, ToolResult, ToolUse,
};

use super::attempt::Failure;
use super::drive::Run;
use crate::agent::{Exit, Fact, TurnResult};
use crate::spool::SpoolError;

/// The tools that start a sub-agent, by the names that versions of the CLI gave them.
pub(super) const SUBAGENT_TOOLS: [&str; 2] = ["Task", "Agent"];

/// How much of a line that cannot be read is shown: enough to recognise it.
const LINE_SHOWN_BYTES: usize = 200;

impl Run<'_> {
    /// A fact from the agent: reported, then weighed.
    pub(super) async fn fact(&mut self, fact: Fact) -> Result<Option<RunEvent>, SpoolError> {
        self.observe(&fact).await?;
        self.report(&fact).await?;
        match fact {
            Fact::Replayed { uuid } => self.replayed(uuid).await.map(|()| None),
            Fact::Lifecycle { uuid, state } => self.lifecycle(uuid, state).await.map(|()| None),
            Fact::TurnEnded(turn) => {
                self.turn_settles(&turn).await?;
                self.turn_ended(&turn).await
            }
            // Said at the start of every turn: the mode could have been lowered on the way.
            Fact::Init(init) => Ok(init.check().err().map(|unfit| {
                self.over(Outcome::AgentError, format!("The agent cannot be worked with: {unfit}."))
            })),
            // The CLI would try a refused key ten times, for three minutes.
            Fact::ApiRetry { error_status: Some(401 | 403), .. } => {
                self.gone_with("The model's API refused the key.", "")
            }
            Fact::StdoutClosed => {
                if let Some(running) = &mut self.agent {
                    running.silent_since = Some(Instant::now());
                }
                Ok(None)
            }
            Fact::Exited(exit) => {
                let why = format!("The agent ended by itself {}.", how(&exit));
                self.gone_with(&why, &exit.stderr_tail)
            }
            _ => Ok(None),
        }
    }

    /// Writes down what a fact is for people.
    pub(super) async fn report(&mut self, fact: &Fact) -> Result<(), SpoolError> {
        match fact {
            Fact::Text { text, parent_tool_use_id, error, .. } => {
                let content = match error {
                    Some(error) => excerpt(&self.redactor, &format!("[{error}] {text}")),
                    None => excerpt(&self.redactor, text),
                };
                let parent_tool_use_id = parent_tool_use_id.clone();
                self.note(Event::AgentMessage(AgentMessage { content, parent_tool_use_id })).await
            }
            Fact::Thinking { text, parent_tool_use_id } => {
                self.pulse(Some("thinking".to_owned()));
                let parent_tool_use_id = parent_tool_use_id.clone();
                let content = excerpt(&self.redactor, text);
                self.note(Event::AgentThinking(AgentMessage { content, parent_tool_use_id })).await
            }
            Fact::ToolUse { tool, tool_use_id, input, parent_tool_use_id } => {
                self.pulse(Some(format!("tool {tool}")));
                if SUBAGENT_TOOLS.contains(&tool.as_str()) {
                    let text = |field: &str| Some(input.get(field)?.as_str()?.to_owned());
                    self.note(Event::SubagentInvoked(SubagentInvoked {
                        tool_use_id: tool_use_id.clone(),
                        subagent_type: text("subagent_type"),
                        description: text("description"),
                    }))
                    .await?;
                    if let Some(running) = &mut self.agent {
                        running.subagents.insert(tool_use_id.clone());
                    }
                }
                self.note(Event::ToolUse(ToolUse {
                    tool: tool.clone(),
                    tool_use_id: tool_use_id.clone(),
                    input: excerpt(&self.redactor, &input.to_string()),
                    parent_tool_use_id: parent_tool_use_id.clone(),
                }))
                .await
            }
            Fact::ToolResult { tool_use_id, is_error, result, .. } => {
                self.pulse(Some("waiting for the model".to_owned()));
                let (tool_use_id, is_error) = (tool_use_id.clone(), *is_error);
                let result = excerpt(&self.redactor, result);
                let subagent = self
                    .agent
                    .as_mut()
                    .is_some_and(|running| running.subagents.remove(&tool_use_id));
                if subagent {
                    let (tool_use_id, result) = (tool_use_id.clone(), result.clone());
                    let done = SubagentCompleted { tool_use_id, is_error, result };
                    self.note(Event::SubagentCompleted(done)).await?;
                }
                self.note(Event::ToolResult(ToolResult { tool_use_id, is_error, result })).await
            }
            Fact::ApiRetry { attempt, max_retries, retry_delay_ms, error_status, error } => {
                self.pulse(Some(format!("waiting to ask the model again ({error})")));
                self.note(Event::AgentRetrying(AgentRetrying {
                    attempt: *attempt,
                    max_retries: *max_retries,
                    // An infinite pause is no JSON number.
                    retry_delay_ms: if retry_delay_ms.is_finite() { *retry_delay_ms } else { 0.0 },
                    error_status: *error_status,
                    error: error.clone(),
                }))
                .await
            }
            Fact::ModelFallback { trigger, model } => {
                self.say(format!("The agent goes on with {model} ({trigger}).")).await
            }
            Fact::Compacted => self.say("The agent summarised its conversation.").await,
            Fact::PermissionDenied { tool, message, .. } => {
                self.trouble(format!("The tool {tool} was denied: {message}")).await
            }
            Fact::Malformed { line_start, why } => {
                let shown = start(&self.redactor, line_start);
                self.trouble(format!("A line of the agent cannot be read ({why}): {shown}")).await
            }
            Fact::LineTooLong { line_start, bytes } => {
                let shown = start(&self.redactor, line_start);
                self.trouble(format!("A line of {bytes} bytes was dropped: {shown}")).await
            }
            Fact::TurnEnded(turn) => self.turn_cost(turn).await,
            Fact::Init(_)
            | Fact::Lifecycle { .. }
            | Fact::Replayed { .. }
            | Fact::ToolProgress { .. }
            | Fact::StdoutClosed
            | Fact::Exited(_) => Ok(()),
        }
    }

    async fn turn_cost(&mut self, turn: &TurnResult) -> Result<(), SpoolError> {
        let cost_usd = if turn.cost_usd.is_finite() { turn.cost_usd.max(0.0) } else { 0.0 };
        let ledger_usd = self.ledger_of_turn(cost_usd);
        if ledger_usd.is_none() {
            self.cost_usd += cost_usd;
            self.tally.cost_usd += cost_usd;
        }
        // Waited for: what was spent must be known after a crash.
        self.record(Event::AgentCompleted(AgentCompleted {
            subtype: turn.subtype.clone(),
            is_error: turn.is_error,
            terminal_reason: turn.terminal_reason.clone(),
            structured_output: turn.structured_output.is_some(),
            num_turns: turn.num_turns,
            cost_usd,
            ledger_usd,
            input_tokens: turn.usage.input_tokens,
            output_tokens: turn.usage.output_tokens,
            cache_read_tokens: turn.usage.cache_read_tokens,
            cache_write_tokens: turn.usage.cache_write_tokens,
            duration_ms: turn.duration_ms,
        }))
        .await?;
        Ok(())
    }

    async fn trouble(&self, error: String) -> Result<(), SpoolError> {
        let stderr_tail = self.stderr_tail();
        self.note(Event::AgentError(AgentError { error, stderr_tail })).await
    }

    /// The agent cannot go on.
    pub(super) async fn agent_gone(&mut self, why: &str) -> Result<Option<RunEvent>, SpoolError> {
        let stderr_tail = self.stderr_tail();
        self.trouble(why.to_owned()).await?;
        self.gone_with(why, &stderr_tail)
    }

    fn gone_with(&mut self, why: &str, stderr_tail: &str) -> Result<Option<RunEvent>, SpoolError> {
        if self.agent.is_none() {
            return Ok(None);
        }
        if let Some(status @ (401 | 403)) =
            self.gateway.as_ref().and_then(crate::gateway::Gateway::last_upstream_status)
        {
            let key = self.config.credential.as_ref().map_or("the key", |key| key.variable());
            let why =
                format!("The model's API refused {key} with status {status}: set a valid one.");
            return Ok(Some(self.over(Outcome::AgentError, why)));
        }
        let tail = stderr_tail.trim();
        let why =
            if tail.is_empty() { why.to_owned() } else { format!("{why} Its stderr: {tail}") };
        self.broke(Failure::new(RetryReason::AgentBroke, why), Outcome::AgentError)
    }

    fn stderr_tail(&self) -> String {
        self.agent.as_ref().map(|running| running.agent.stderr_tail()).unwrap_or_default()
    }
}

/// Redacted first, then cut: of a secret that lies across the cut, a part would not be known again.
fn excerpt(redactor: &Redactor, text: &str) -> Excerpt {
    Excerpt::of(&redactor.text(text))
}

/// The beginning of a line that may have been cut off in the middle of a secret.
fn start(redactor: &Redactor, line_start: &str) -> String {
    let mut flow = Flow::new(redactor.clone());
    let clean = flow.push(line_start.as_bytes()) + &flow.rest();
    Excerpt::within(&clean, LINE_SHOWN_BYTES).text
}

fn how(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("with exit code {code}"),
        (None, Some(signal)) => format!("by signal {signal}"),
        (None, None) => "in an unknown way".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use specwright_shared::excerpt::EXCERPT_MAX_BYTES;

    use super::*;

    #[test]
    fn a_secret_that_lies_across_the_cut_leaves_no_part_of_itself() {
        let redactor = Redactor::new(["sk-ant-a-real-key".to_owned()]);
        let text = format!("{}sk-ant-a-real-key", "x".repeat(EXCERPT_MAX_BYTES - 6));
        let kept = excerpt(&redactor, &text);
        assert!(kept.cut);
        assert!(!kept.text.contains("sk-"), "{}", &kept.text[EXCERPT_MAX_BYTES - 20..]);
    }

    #[test]
    fn the_beginning_of_a_line_shows_no_part_of_a_secret_whoever_cut_it() {
        let redactor = Redactor::new(["sk-ant-a-real-key".to_owned()]);
        for before in LINE_SHOWN_BYTES - 20..=LINE_SHOWN_BYTES {
            let line = format!("{}sk-ant-a-real-key", "x".repeat(before));
            for cut in before..=line.len() {
                let shown = start(&redactor, &line[..cut]);
                assert!(!shown.contains("sk-a"), "{before} {cut}: {shown}");
            }
        }
    }
}
