//! Watching the agent at its turn: what is open, since when, and for how long it may be.
//!
//! What holds: an open tool call is work, however silent, until its own limit (declared by its input,
//! else TOOL_TIMEOUT); without one, an agent at its turn may be silent, with no byte from its model,
//! for AGENT_SILENCE_TIMEOUT; neither limit reaches beyond the attempt's own. What is overdue is first
//! interrupted and asked to go on, a bounded number of times in an attempt; then the attempt is broken
//! and the next one has a fresh agent, at first in the same conversation; the attempts bound that. Each step is an event. While an
//! interrupt is under way, whoever asked for it, nothing is overdue. A loop is only reported.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use serde_json::Value;
use specwright_shared::budget::Budget;
use specwright_shared::liveness::{Loops, WorkerState};
use specwright_shared::machine::RunEvent;
use specwright_shared::outcome::Outcome;
use specwright_shared::price::{NanoUsd, Tokens};
use specwright_shared::redact::Redactor;
use specwright_shared::wire::event::{Event, LoopDetected, ModelCall, RetryReason};

use super::attempt::Failure;
use super::drive::Run;
use super::interrupt::Cause;
use crate::agent::Fact;
use crate::health::OpenCall;
use crate::spool::SpoolError;

/// How often an attempt is interrupted and asked to go on before it is given up.
const INTERRUPTS_MAX: u8 = 2;
/// What a tool gets beyond the limit that it declared: it ends itself first, and says so.
const DECLARED_GRACE: Duration = Duration::from_secs(30);
/// The most open calls that are kept; more are never at work in one conversation.
const OPEN_MAX: usize = 64;

/// What is known of the agent at work.
#[derive(Default)]
pub(super) struct Vigil {
    open: Vec<OpenCall>,
    loops: Loops,
    /// The agent's last line; what it says of a message of ours is none.
    line_at: Option<Instant>,
    /// That, or our last question to it.
    heard: Option<Instant>,
    /// Whether the agent was asked and has not ended its turn.
    at_turn: bool,
    interrupts: u8,
    state: WorkerState,
}

/// What took too long.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Overdue {
    Tool { tool: String, limit: Duration },
    Silence { limit: Duration },
}

impl Overdue {
    fn in_words(&self) -> String {
        match self {
            Self::Tool { tool, limit } => {
                format!("the tool {tool} was at work for longer than {} s", limit.as_secs())
            }
            Self::Silence { limit } => {
                format!("the agent said nothing for {} s and no tool was at work", limit.as_secs())
            }
        }
    }
}

impl Vigil {
    /// A fresh agent: nothing of the one before counts.
    pub(super) fn renew(&mut self) {
        *self = Self::default();
    }

    /// The agent was asked something.
    pub(super) fn asked(&mut self, now: Instant) {
        self.at_turn = true;
        self.heard = Some(now);
    }

    /// Whether the agent was asked and has not ended its turn.
    pub(super) const fn is_at_turn(&self) -> bool {
        self.at_turn
    }

    /// The agent answered an interrupt: no call is at work any more.
    pub(super) fn broken_off(&mut self) {
        self.open.clear();
    }

    /// What is overdue first, and when.
    fn next(
        &self,
        silence: Duration,
        model_moved_at: Option<Instant>,
    ) -> Option<(Instant, Overdue)> {
        // What the API makes the agent wait for is not its silence.
        if !self.at_turn || self.state == WorkerState::WaitingUsageLimit {
            return None;
        }
        let tool = self.open.iter().min_by_key(|call| call.since + call.limit);
        if let Some(OpenCall { tool, since, limit, .. }) = tool {
            return Some((*since + *limit, Overdue::Tool { tool: tool.clone(), limit: *limit }));
        }
        let heard = self.heard.max(model_moved_at)?;
        Some((heard + silence, Overdue::Silence { limit: silence }))
    }

    fn saw(
        &mut self,
        redactor: &Redactor,
        fact: &Fact,
        now: Instant,
        limit: Duration,
    ) -> Option<LoopDetected> {
        // The CLI answers our own message so, also when its model hangs: no sign of work.
        if matches!(fact, Fact::Lifecycle { .. } | Fact::Replayed { .. }) {
            return None;
        }
        (self.line_at, self.heard) = (Some(now), Some(now));
        self.state = match fact {
            Fact::ApiRetry { error_status: Some(429), .. } => WorkerState::WaitingUsageLimit,
            Fact::TurnEnded(_) => WorkerState::AgentIdle,
            _ => WorkerState::ModelTurn,
        };
        match fact {
            Fact::ToolUse { tool, tool_use_id, input, .. } => {
                if self.open.len() == OPEN_MAX {
                    self.open.remove(0);
                }
                let (id, tool) = (tool_use_id.clone(), tool.clone());
                // The evidence is cut: what is secret in it is taken out before that.
                self.loops.called(&id, &tool, &redactor.text(&input.to_string()));
                self.open.push(OpenCall { id, tool, since: now, limit });
                None
            }
            Fact::ToolResult { tool_use_id, is_error, result, .. } => {
                self.open.retain(|call| call.id != *tool_use_id);
                self.loops
                    .answered(tool_use_id, *is_error, &redactor.text(result))
                    .map(LoopDetected::from)
            }
            Fact::TurnEnded(_) => {
                // A message that still waits in the agent begins a turn with a line of its own.
                self.at_turn = false;
                self.open.clear();
                None
            }
            Fact::Init(_) => {
                self.at_turn = true;
                None
            }
            _ => None,
        }
    }

    /// A call of the model was paid.
    pub(super) fn paid(&mut self, call: &ModelCall, budget: Budget) -> Option<LoopDetected> {
        let Tokens { input, output, cache_read, cache_write_5m, cache_write_1h } = call.tokens;
        let tokens = [input, output, cache_read, cache_write_5m, cache_write_1h];
        let tokens = tokens.into_iter().fold(0, u64::saturating_add);
        let cost = NanoUsd::from_usd(call.counted_usd);
        self.loops.paid(tokens, cost, budget.limit()).map(LoopDetected::from)
    }

    /// What the heartbeat says of it.
    pub(super) fn tell(&self, pulse: &mut crate::health::Pulse) {
        pulse.line_at = self.line_at;
        pulse.open.clone_from(&self.open);
        pulse.state = match pulse.phase {
            None => pulse.state,
            Some(_) if pulse.state == WorkerState::Ending => WorkerState::Ending,
            Some(phase) if !phase.needs_agent() => WorkerState::Computing,
            Some(_) if pulse.agent_alive => self.at(),
            // Nothing is done for it yet, or nothing any more.
            Some(_) if pulse.operation.is_none() => WorkerState::BetweenPhases,
            Some(_) => WorkerState::Preparing,
        };
    }

    /// What the living agent is at.
    const fn at(&self) -> WorkerState {
        if self.open.is_empty() { self.state } else { WorkerState::ToolCall }
    }
}

/// How long a call may take by its own words, in milliseconds as the CLI's tools count.
fn declared(input: &Value) -> Option<Duration> {
    let limit = Duration::from_millis(input.get("timeout")?.as_u64()?);
    Some(limit.saturating_add(DECLARED_GRACE))
}

impl Run<'_> {
    /// Before a fact is weighed: what it says about the agent's work.
    pub(super) async fn observe(&mut self, fact: &Fact) -> Result<(), SpoolError> {
        let most = self.config.phase_timeout;
        let limit = match fact {
            // A sub-agent works as long as the attempt does.
            Fact::ToolUse { tool, .. } if super::facts::SUBAGENT_TOOLS.contains(&tool.as_str()) => {
                most
            }
            Fact::ToolUse { input, .. } => declared(input).unwrap_or(self.config.tool_timeout),
            _ => most,
        };
        let looping = self.vigil.saw(&self.redactor, fact, Instant::now(), limit.min(most));
        self.wakes.watch.tool_is_open(!self.vigil.open.is_empty());
        let vigil = &self.vigil;
        self.pulse.send_modify(|pulse| vigil.tell(pulse));
        if let Some(seen) = looping {
            self.record(Event::LoopDetected(seen)).await?;
        }
        Ok(())
    }

    /// When the agent is overdue with what it does.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        // What the model's service makes it wait for is not its fault.
        self.agent.as_ref().filter(|_| !self.calls.is_parked())?;
        self.overdue().map(|(at, _)| at)
    }

    fn overdue(&self) -> Option<(Instant, Overdue)> {
        let moved_at = self.pulse.borrow().model_moved_at.as_ref().and_then(|at| *at.borrow());
        self.vigil.next(self.config.silence_timeout, moved_at)
    }

    /// What is overdue is remedied; the agent's answer is waited for elsewhere.
    pub(super) fn remedy(&mut self) -> Result<Option<RunEvent>, SpoolError> {
        let Some((_, overdue)) = self.overdue().filter(|(at, _)| *at <= Instant::now()) else {
            return Ok(None);
        };
        let what = overdue.in_words();
        if self.vigil.interrupts >= INTERRUPTS_MAX {
            let why = format!("After {INTERRUPTS_MAX} interrupts, {what} again.");
            return self.broke(Failure::new(RetryReason::TimedOut, why), Outcome::TimedOut);
        }
        self.vigil.interrupts += 1;
        let reason = Some(format!(
            "Interrupted, since {what}; it is asked to go on ({} of {INTERRUPTS_MAX}).",
            self.vigil.interrupts
        ));
        let words = go_on(&what);
        self.interrupt(Cause::Remedy { what, reason, words }, false);
        Ok(None)
    }
}

fn go_on(what: &str) -> String {
    format!(
        "You were interrupted because {what}. Do not repeat the step that hung: choose another way, \
         or leave it out, and go on with the task until the output is complete."
    )
}
