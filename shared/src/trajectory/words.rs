//! What an event is called in one line. Calls of tools are put together in [`super::fold`].

use crate::liveness::LoopKind;
use crate::wire::event::{Event, FileChange};
use crate::wire::message::MessageStatus;

/// The line of an event; `None`: it makes no step.
pub(super) fn of(event: &Event) -> Option<String> {
    Some(match event {
        Event::ExecutionStarted(run) => {
            let phases: Vec<&str> = run.phases.iter().map(|phase| phase.as_str()).collect();
            format!("the run begins: {}", phases.join(", "))
        }
        Event::PhaseStarted(_) => "the phase begins".to_owned(),
        Event::AgentStarted(agent) => format!("agent up, attempt {}", agent.attempt),
        Event::AgentResumed(_) => "a new process took the work up".to_owned(),
        Event::AgentMessage(said) if said.parent_tool_use_id.is_none() => {
            format!("says: {}", said.content.text)
        }
        Event::FileEdited(file) => {
            let how = match file.change {
                FileChange::Created => "created",
                FileChange::Modified => "modified",
                FileChange::Deleted => "deleted",
                FileChange::Renamed => "renamed",
            };
            format!("file {how}: {}", file.path)
        }
        Event::LoopDetected(seen) if seen.kind == LoopKind::NoProgress => format!(
            "no new answer for {} calls of the model and {} tokens",
            seen.count,
            seen.tokens.unwrap_or_default()
        ),
        Event::LoopDetected(seen) => {
            let what = match seen.kind {
                LoopKind::SameCall => "the same call with the same answer",
                LoopKind::SameError => "the same error",
                LoopKind::NoProgress => "no progress",
            };
            format!("loop: {} {} times {what}", seen.tool, seen.count)
        }
        Event::MessageInjected(step) => match step.status {
            MessageStatus::Seen => "a message was seen by the agent".to_owned(),
            MessageStatus::Cancelled | MessageStatus::Expired | MessageStatus::Refused => {
                format!("a message was not seen by the agent: {}", step.status.as_str())
            }
            _ => return None,
        },
        Event::AgentInterrupted(why) => format!("interrupted: {}", why.reason),
        Event::ModelParked(parked) => format!("waits for the model: {}", parked.reason),
        Event::ModelStalled(stall) => {
            format!("a call of the model stalls: {} s", stall.since_content_ms / 1000)
        }
        Event::BudgetWarning(spent) => format!("{} % of the budget is spent", spent.percent),
        Event::AgentError(fault) => format!("agent error: {}", fault.error),
        Event::AgentCompleted(turn) => {
            let output = if turn.structured_output { "with output" } else { "without output" };
            format!("turn over: {}, {output}, {:.4} USD", turn.subtype, turn.cost_usd)
        }
        Event::PhaseRetry(retry) => {
            format!("attempt {} not accepted: {}", retry.attempt, retry.message)
        }
        Event::PhaseCompleted(done) => {
            format!("accepted: attempt {}, score {:.2}", done.attempt, done.score)
        }
        Event::PhaseFailed(failed) => format!("the phase failed: {}", failed.message),
        Event::ExecutionCompleted(_) => "the run is complete".to_owned(),
        Event::ExecutionFailed(end) => format!("the run ended: {}: {}", end.outcome, end.message),
        _ => return None,
    })
}
