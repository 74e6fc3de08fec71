//! What a person reads of an event: one sentence, or nothing.
//!
//! Pure. Every known type is named in one match, so that a new one cannot be forgotten.

mod work;

use specwright_shared::finding::Finding;
use specwright_shared::id::SandboxId;
use specwright_shared::liveness::LoopKind;
use specwright_shared::liveness::policy::Action;
use specwright_shared::wire::event::{
    Event, FileChange, ResumeRung, RetryReason, SandboxJudged, ToolUse,
};
use specwright_shared::wire::message::MessageStatus;

use crate::output::fit;

/// How many findings of a rejected attempt are shown; `show --json` has all of them.
const FINDINGS_SHOWN: usize = 5;

/// How many columns of a message are shown: enough to tell it from others.
const MESSAGE_WIDTH: usize = 60;

/// The fields of a tool's input that say most about a call, best first.
const TELLING_FIELDS: [&str; 8] =
    ["file_path", "path", "pattern", "command", "query", "url", "description", "prompt"];

/// An event in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wording {
    /// The sentence.
    pub(crate) text: String,
    /// More lines that belong to it.
    pub(crate) details: Vec<String>,
    /// A command to be copied: never cut.
    pub(crate) command: Option<String>,
    /// Whether it is worth a line of its own beside a live display.
    pub(crate) notable: bool,
}

fn passing(text: impl Into<String>) -> Option<Wording> {
    Some(Wording { text: text.into(), details: vec![], command: None, notable: false })
}

fn notable(text: impl Into<String>) -> Option<Wording> {
    Some(Wording { text: text.into(), details: vec![], command: None, notable: true })
}

fn with_findings(text: String, findings: &[Finding]) -> Option<Wording> {
    let mut details: Vec<String> = findings
        .iter()
        .take(FINDINGS_SHOWN)
        .map(|finding| format!("{}: {} {}", finding.at, finding.message, finding.fix))
        .collect();
    if let Some(more) = findings.len().checked_sub(FINDINGS_SHOWN).filter(|more| *more > 0) {
        details.push(format!("and {more} more"));
    }
    Some(Wording { text, details, command: None, notable: true })
}

/// Says what an event means; `None` for those that only machines need. `sandbox`: whose it is, so
/// that paths in its workspace can be shown as paths in the repository. `rehearsal`: whether the run
/// uses no model, whatever its agent calls itself.
pub(crate) fn of(event: &Event, sandbox: Option<SandboxId>, rehearsal: bool) -> Option<Wording> {
    match event {
        Event::ExecutionStarted(run) => {
            let first = run.phases.first().map_or("nothing", |phase| phase.as_str());
            let last = run.phases.last().map_or("nothing", |phase| phase.as_str());
            passing(format!("run with agent {}, {first} to {last}", run.agent))
        }
        Event::PhaseStarted(_) => passing("begins"),
        Event::AgentStarted(agent) if rehearsal => {
            passing(format!("rehearsal agent {} is up (no model)", agent.version))
        }
        Event::AgentStarted(agent) => {
            let model = agent.model.as_deref().unwrap_or("its default model");
            passing(format!("agent {} is up, with {model}", agent.version))
        }
        Event::AgentResumed(resumed) => notable(match resumed.rung {
            ResumeRung::Transcript => "a new process; the agent goes on where it was",
            ResumeRung::SameSession => "a new process; the agent is asked again",
            ResumeRung::FreshSession => "a new process; a fresh agent begins the phase",
        }),
        Event::AgentMessage(said) => passing(&said.content.text),
        Event::AgentThinking(_) => passing("thinking"),
        Event::ToolUse(call) => passing(tool_call(call, sandbox)),
        Event::ToolResult(result) if result.is_error => {
            passing(format!("tool failed: {}", result.result.text))
        }
        Event::ToolResult(_) => None,
        Event::FileEdited(file) => {
            let how = match file.change {
                FileChange::Created => "created",
                FileChange::Modified => "changed",
                FileChange::Deleted => "deleted",
                FileChange::Renamed => "renamed",
            };
            let lines = match (file.lines_added, file.lines_removed) {
                (Some(added), Some(removed)) => format!(" (+{added} -{removed})"),
                _ => String::new(),
            };
            let from = file.from.as_deref().map(|from| format!("{from} to ")).unwrap_or_default();
            passing(format!("{how} {from}{}{lines}", file.path))
        }
        Event::LoopDetected(seen) => {
            let (tool, count) = (&seen.tool, seen.count);
            notable(match seen.kind {
                LoopKind::SameCall => format!("a loop: {tool} {count} times with the same answer"),
                LoopKind::SameError => format!("a loop: {tool} {count} times with the same error"),
                LoopKind::NoProgress => {
                    format!("a loop: {count} calls of the model and nothing new came of them")
                }
            })
        }
        Event::SubagentInvoked(sub) => {
            let what = sub.description.as_deref().or(sub.subagent_type.as_deref());
            passing(format!("sub-agent: {}", what.unwrap_or("started")))
        }
        Event::SubagentCompleted(sub) if sub.is_error => {
            passing(format!("sub-agent failed: {}", sub.result.text))
        }
        Event::SubagentCompleted(_) => passing("sub-agent is done"),
        Event::MessageInjected(message) => {
            let why = message.reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            notable(format!("message {}: {}{why}", message.message_id, message.status.as_str()))
        }
        Event::AgentInterrupted(why) => {
            notable(format!("the agent was interrupted: {}", why.reason))
        }
        Event::AgentRetrying(wait) => {
            let what = wait
                .error_status
                .map_or_else(|| "did not answer".to_owned(), |status| format!("answered {status}"));
            passing(format!(
                "the model {what} ({}); try {} of {} in {:.1} s",
                wait.error,
                wait.attempt,
                wait.max_retries,
                wait.retry_delay_ms / 1000.0
            ))
        }
        Event::ModelCall(call) => call
            .cost_unknown
            .as_ref()
            .map(|why| format!("what a call of the model cost is unknown: {why}"))
            .and_then(passing),
        Event::ModelParked(parked) => notable(match parked.until {
            Some(until) => format!("{} Until {until}.", parked.reason),
            None => parked.reason.clone(),
        }),
        Event::ModelResumed(parked) => notable(format!(
            "the model's service takes calls again, after {}",
            duration(parked.parked_ms)
        )),
        Event::ModelStalled(stall) => notable(format!(
            "a call of the model has brought no content for {}: {}",
            duration(stall.since_content_ms),
            stall.remedy
        )),
        Event::BudgetWarning(spent) => notable(format!(
            "{} % of the budget is spent: {} of {}",
            spent.percent,
            cost(spent.spent_usd),
            cost(spent.limit_usd)
        )),
        Event::AgentError(fault) => notable(format!("agent: {}", fault.error)),
        Event::AgentCompleted(_) | Event::AgentExited(_) => None,
        Event::Progress(progress) => passing(&progress.message),
        Event::PhaseRetry(retry) => with_findings(
            format!(
                "attempt {} of {} not accepted ({}): {}",
                retry.attempt,
                retry.max_attempts,
                reason(retry.reason),
                retry.message
            ),
            &retry.findings,
        ),
        Event::PhaseCompleted(done) => passing(format!(
            "accepted: attempt {}, score {:.2}, {}, {}",
            done.attempt,
            done.score,
            cost(done.cost_usd),
            duration(done.duration_ms)
        )),
        Event::PhaseFailed(failed) => with_findings(
            format!(
                "failed after {} ({}): {}",
                count(usize::from(failed.attempts), "attempt"),
                reason(failed.reason),
                failed.message
            ),
            &failed.findings,
        ),
        Event::ArtifactCreated(document) if document.path.is_empty() => {
            passing(format!("made {}, which is in no file", document.name))
        }
        Event::ArtifactCreated(document) => passing(format!("wrote {}", document.path)),
        Event::SyncStarted(_) => passing("computes coverage and order"),
        Event::SyncCompleted(sync) => passing(format!(
            "{} of {} met, by {} in {}",
            sync.covered,
            count(sync.requirements, "requirement"),
            count(sync.tasks, "task"),
            count(sync.tickets, "ticket")
        )),
        Event::TicketsCreated(made) => {
            let tickets = count(made.tickets_created, "ticket");
            let tasks = count(made.tasks_created, "task");
            let kept = made.tickets_updated + made.tasks_updated;
            let kept =
                if kept > 0 { format!("; {kept} were there already") } else { String::new() };
            passing(format!("{tickets} and {tasks} made{kept}"))
        }
        Event::EventRefused(refused) => notable(format!(
            "the control API refused an event ({}): {}",
            refused.refused, refused.reason
        )),
        Event::EventsDropped(lost) => notable(format!(
            "{} of little weight given up: the sandbox's disk is nearly full",
            count(
                usize::try_from(lost.dropped.values().sum::<u64>()).unwrap_or(usize::MAX),
                "event"
            )
        )),
        Event::Restarted(again) => notable(format!(
            "{}: {}; goes on at {} in another sandbox (restart {})",
            again.outcome, again.message, again.phase, again.restart
        )),
        Event::SandboxJudged(judged) => notable(judgement(judged)),
        Event::Intervened(did) => notable(format!("{} ({}): {}", did.by, did.kind, did.reason)),
        Event::OutcomeSeen(seen) => notable(format!(
            "the {} has come to this: {}: {}",
            seen.kind, seen.assessment.outcome, seen.assessment.reason
        )),
        Event::WorkSaved(work) => work::saved(work),
        Event::ExecutionCompleted(_) => passing("run completed"),
        Event::ExecutionFailed(failed) => {
            passing(format!("run ended: {}: {}", failed.outcome, failed.message))
        }
    }
}

fn judgement(judged: &SandboxJudged) -> String {
    let verdict = format!("{}: {}", judged.verdict.kind, judged.verdict.reason);
    match judged.action {
        None => verdict,
        Some(Action::Nudge) => format!("{verdict}; the agent is told so"),
        Some(Action::Interrupt) => format!("{verdict}; what it does is broken off"),
        Some(Action::SaveWork) => {
            format!("{verdict}; the worker is asked to save its work and stop")
        }
        Some(Action::End) => format!("{verdict}; the sandbox is ended"),
    }
}

/// A message with its first words, and how far it has come.
pub(crate) fn message(status: MessageStatus, text: &str) -> String {
    format!("message {}: “{}”", status.as_str(), fit(text, MESSAGE_WIDTH))
}

/// A tool call in a few words: the tool, and the part of its input that says most.
fn tool_call(call: &ToolUse, sandbox: Option<SandboxId>) -> String {
    // The input may have been cut and then is no JSON any more; the tool's name says enough then.
    let input: serde_json::Value = serde_json::from_str(&call.input.text).unwrap_or_default();
    let telling = TELLING_FIELDS.iter().find_map(|field| input.get(field)?.as_str());
    let telling = telling.map(|what| in_repository(what, sandbox));
    telling.map_or_else(|| call.tool.clone(), |what| format!("{} {what}", call.tool))
}

/// A path without the way to the sandbox's workspace, which holds the sandbox's id.
fn in_repository(path: &str, sandbox: Option<SandboxId>) -> &str {
    let Some(sandbox) = sandbox else { return path };
    path.split_once(&format!("{sandbox}/workspace/")).map_or(path, |(_, inside)| inside)
}

const fn reason(reason: RetryReason) -> &'static str {
    match reason {
        RetryReason::GateRejected => "its gate",
        RetryReason::AgentBroke => "the agent",
        RetryReason::WorkTreeChanged => "it changed files",
        RetryReason::TimedOut => "time",
    }
}

/// `1 ticket`, `2 tickets`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A cost, with as many digits as it needs to be seen.
pub(crate) fn cost(usd: f64) -> String {
    if usd > 0.0 && usd < 0.01 { format!("${usd:.4}") } else { format!("${usd:.2}") }
}

/// A duration: `0.8s`, `42s`, `3m12s`, `1h05m`.
pub(crate) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..10 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, data: serde_json::Value) -> Event {
        serde_json::from_value(json!({ "type": kind, "data": data })).unwrap()
    }

    #[test]
    fn a_tool_call_shows_what_it_is_about() {
        let call = |input: &str| {
            let event = event(
                "agent.tool_use",
                json!({ "tool": "Read", "tool_use_id": "t",
                        "input": { "text": input, "bytes": 9, "cut": false } }),
            );
            of(&event, Some(SandboxId(uuid::Uuid::nil())), false).unwrap().text
        };
        assert_eq!(call(r#"{"limit":5,"file_path":"src/lib.rs"}"#), "Read src/lib.rs");
        assert_eq!(call(r#"{"file_path":"src/l"#), "Read");
        assert_eq!(call(r#"{"file_path":7}"#), "Read");
        let inside = "/data/sandboxes/00000000-0000-0000-0000-000000000000/workspace/a b/c.rs";
        assert_eq!(call(&json!({ "path": inside }).to_string()), "Read a b/c.rs");
    }

    #[test]
    fn a_rejected_attempt_shows_its_first_findings_and_how_many_more_there_are() {
        let finding = serde_json::to_value(Finding::error("c", "tasks[0]", "is bad.", "Mend it."));
        let findings = vec![finding.unwrap(); 7];
        let retry = event(
            "spec.phase_retry",
            json!({ "attempt": 1, "max_attempts": 3, "reason": "gate_rejected",
                    "message": "7 findings", "score": null, "findings": findings }),
        );
        let wording = of(&retry, None, false).unwrap();
        assert_eq!(wording.text, "attempt 1 of 3 not accepted (its gate): 7 findings");
        assert_eq!(wording.details.len(), FINDINGS_SHOWN + 1);
        assert_eq!(wording.details[0], "tasks[0]: is bad. Mend it.");
        assert_eq!(wording.details[FINDINGS_SHOWN], "and 2 more");
    }

    #[test]
    fn a_rehearsal_claims_no_model() {
        let started = event(
            "agent.started",
            json!({ "attempt": 1, "pid": 7, "program": "/p", "version": "2.1.330",
                    "model": "rehearsal-model", "permission_mode": "dontAsk",
                    "session_id": uuid::Uuid::nil() }),
        );
        let text = |rehearsal| of(&started, None, rehearsal).unwrap().text;
        assert_eq!(text(true), "rehearsal agent 2.1.330 is up (no model)");
        assert_eq!(text(false), "agent 2.1.330 is up, with rehearsal-model");
    }

    #[test]
    fn durations_and_costs_are_short() {
        let shown: Vec<String> =
            [0, 850, 9_999, 42_000, 192_000, 3_900_000].into_iter().map(duration).collect();
        assert_eq!(shown, ["0.0s", "0.8s", "9.9s", "42s", "3m12s", "1h05m"]);
        assert_eq!([cost(0.0), cost(0.004), cost(1.5)], ["$0.00", "$0.0040", "$1.50"]);
    }
}
