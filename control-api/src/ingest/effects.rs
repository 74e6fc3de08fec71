//! What each type of event means for the run that reports it. One match says how far that reaches,
//! exhaustive: a new type must choose.

use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{Phase, PhaseStatus, SpecStatus};
use specwright_shared::wire::event::{
    AgentCompleted, Event, ExecutionCompleted, ExecutionFailed, ModelCall, RawEvent,
};

use super::{Fault, Refusal, gate};
use crate::app::App;
use crate::run::{Ending, Run};
use crate::sandboxes::restart::{self, Restart};
use crate::store::{self, StoreError, Write, micro_usd};

/// How far the meaning of an event reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// A fact for the timeline, with no meaning for the records.
    Log,
    /// Money was spent, in millionths of a US dollar: spec and sandbox add it up.
    Cost(i64),
    /// Further: [`apply`] knows.
    Records,
}

/// How far an event's meaning reaches.
pub(super) fn reach(event: &Event) -> Result<Reach, Fault> {
    Ok(match event {
        // Where there is a ledger, its calls count, and the agent's own figure is a check only.
        Event::AgentCompleted(body) if body.ledger_usd.is_some() => Reach::Log,
        Event::AgentCompleted(AgentCompleted { cost_usd, .. })
        | Event::ModelCall(ModelCall { cost_usd: Some(cost_usd), .. }) => {
            Reach::Cost(money(*cost_usd)?)
        }
        Event::ExecutionStarted(_)
        | Event::PhaseStarted(_)
        | Event::PhaseRetry(_)
        | Event::PhaseFailed(_)
        | Event::PhaseCompleted(_)
        | Event::ArtifactCreated(_)
        | Event::MessageInjected(_)
        | Event::ExecutionCompleted(_)
        | Event::ExecutionFailed(_) => Reach::Records,
        Event::AgentStarted(_)
        | Event::AgentResumed(_)
        | Event::AgentMessage(_)
        | Event::AgentThinking(_)
        | Event::ToolUse(_)
        | Event::ToolResult(_)
        | Event::FileEdited(_)
        | Event::LoopDetected(_)
        | Event::SubagentInvoked(_)
        | Event::SubagentCompleted(_)
        | Event::AgentInterrupted(_)
        | Event::AgentRetrying(_)
        | Event::ModelCall(_)
        | Event::ModelParked(_)
        | Event::ModelResumed(_)
        | Event::ModelStalled(_)
        | Event::BudgetWarning(_)
        | Event::AgentError(_)
        | Event::AgentExited(_)
        | Event::Progress(_)
        | Event::SyncStarted(_)
        | Event::SyncCompleted(_)
        | Event::TicketsCreated(_)
        | Event::EventRefused(_)
        | Event::EventsDropped(_)
        | Event::Restarted(_)
        | Event::SandboxJudged(_)
        | Event::Intervened(_)
        | Event::OutcomeSeen(_)
        | Event::WorkSaved(_) => Reach::Log,
    })
}

/// Applies an event that was just recorded.
pub(super) async fn apply(
    app: Option<&App>,
    write: &mut Write,
    run: &mut Run,
    raw: &RawEvent,
    event: Event,
) -> Result<(), Refusal> {
    match reach(&event)? {
        Reach::Log => return Ok(()),
        Reach::Cost(cost) => {
            run.spec.cost_micro_usd = run.spec.cost_micro_usd.saturating_add(cost);
            run.sandbox.cost_micro_usd = run.sandbox.cost_micro_usd.saturating_add(cost);
            return Ok(());
        }
        Reach::Records => {}
    }
    match event {
        Event::ExecutionStarted(body) => {
            run.spec.agent = Some(body.agent);
            run.spec.rehearsal = body.rehearsal;
        }
        Event::PhaseStarted(_) => {
            let phase = phase_of(raw)?;
            run.spec.current_phase = phase;
            if run.status(phase) != PhaseStatus::Accepted {
                let record = run.phase(phase);
                record.status = PhaseStatus::Running;
                record.attempts = 1;
                record.findings.clear();
            }
        }
        Event::PhaseRetry(body) => {
            let phase = phase_of(raw)?;
            if run.status(phase) != PhaseStatus::Accepted {
                let record = run.phase(phase);
                record.status = PhaseStatus::Running;
                record.attempts = body.attempt.saturating_add(1);
                record.findings = body.findings;
            }
        }
        Event::PhaseFailed(body) => {
            let phase = phase_of(raw)?;
            if run.status(phase) != PhaseStatus::Accepted {
                let cost = money(body.cost_usd)?;
                let record = run.phase(phase);
                record.status = PhaseStatus::Failed;
                record.attempts = body.attempts;
                record.duration_ms = body.duration_ms;
                record.cost_micro_usd = cost;
                record.findings = body.findings;
            }
        }
        Event::PhaseCompleted(body) => {
            let phase = phase_of(raw)?;
            let cost = money(body.cost_usd)?;
            gate::phase_completed(write, run, phase, body, cost).await?;
        }
        Event::ArtifactCreated(body) => {
            let phase = phase_of(raw)?;
            store::document::save(write, run.spec.id, phase, &body, raw.at).await?;
        }
        Event::MessageInjected(body) => {
            store::message::advance(write, run.sandbox.id, &body, raw.at).await?;
        }
        Event::ExecutionCompleted(body) => {
            let ending = completed(run, &body)?;
            run.end(write, ending).await?;
        }
        Event::ExecutionFailed(body) => {
            if matches!(body.outcome, Outcome::Succeeded | Outcome::Lost) {
                return Err(Fault::Invalid(format!(
                    "a failed run does not end as `{}`; report how it failed",
                    body.outcome
                ))
                .into());
            }
            failed(app, write, run, &body).await?;
        }
        // [`reach`] said that it means nothing more.
        _ => {}
    }
    Ok(())
}

/// Ends a run that failed; or only its sandbox, where another one is to go on.
async fn failed(
    app: Option<&App>,
    write: &mut Write,
    run: &mut Run,
    report: &ExecutionFailed,
) -> Result<(), StoreError> {
    let (outcome, mut message) = run.as_intended(write, report.outcome, &report.message).await?;
    // Who says so himself has used up his attempts: the same again would cost the same again.
    let used_up = report.outcome == Outcome::TimedOut;
    let restart = match app {
        Some(app) if !used_up => restart::wanted(app, write, run, outcome).await?,
        _ => Restart::No,
    };
    match restart {
        Restart::In(next, number) => {
            run.restart(write, (outcome, &message), &next, number).await?;
            return Ok(());
        }
        Restart::Refused(why) => message = format!("{message}; it is not started again: {why}"),
        Restart::No => {}
    }
    run.end(write, Ending::failed(outcome, message)).await?;
    Ok(())
}

/// What a run that "did all it was asked" did indeed: complete the spec, or reach the phase after
/// which it was to stop. Believed only when the accepted phases say the same.
fn completed(run: &Run, report: &ExecutionCompleted) -> Result<Ending, Fault> {
    let planned = run.sandbox.options.until.unwrap_or(Phase::Complete);
    let paused = report.paused_after.filter(|phase| *phase < planned);
    if let Some(phase) = paused
        && !run.sandbox.pause_requested
    {
        return Err(Fault::Gate(format!("nobody asked the run to pause after `{phase}`")));
    }
    let until = paused.unwrap_or(planned);
    if run.status(until) != PhaseStatus::Accepted {
        return Err(Fault::Gate(format!(
            "the run was to go on until `{until}`, which has not been accepted"
        )));
    }
    Ok(if until == Phase::Complete {
        Ending { outcome: Outcome::Succeeded, message: None, status: SpecStatus::Completed }
    } else {
        Ending {
            outcome: Outcome::Succeeded,
            message: Some(match paused {
                Some(phase) => format!("paused after `{phase}`, as asked"),
                None => format!("stopped after `{until}`, as asked"),
            }),
            status: SpecStatus::Draft,
        }
    })
}

fn phase_of(raw: &RawEvent) -> Result<Phase, Fault> {
    raw.phase
        .ok_or_else(|| Fault::Invalid(format!("an event of type `{}` says its `phase`", raw.kind)))
}

/// Reported money as whole millionths; a negative amount would hide what was spent.
fn money(usd: f64) -> Result<i64, Fault> {
    if usd.is_finite() && usd >= 0.0 {
        Ok(micro_usd(usd))
    } else {
        Err(Fault::Invalid(format!("a cost of {usd} US dollars is none; it is 0 or more")))
    }
}
