//! Attempts: how one begins, how its time runs out, how it is recorded that it failed.

use std::time::{Duration, Instant};

use specwright_shared::finding::Finding;
use specwright_shared::machine::{Opening, RunEvent};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::Phase;
use specwright_shared::wire::event::{
    AgentInterrupted, Event, PhaseFailed, PhaseRetry, PhaseStarted, RetryReason, SyncStarted,
};
use uuid::Uuid;

use super::drive::Run;
use super::wake::Wake;
use crate::agent::Deliver;
use crate::phases;
use crate::spool::SpoolError;

/// How long an agent may live after it closed its stdout: its exit says more than its silence.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(2);

/// One try at a phase.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) phase: Phase,
    pub(super) number: u8,
    pub(super) deadline: Instant,
    /// The message whose turn brings the output.
    pub(super) asked: Option<Uuid>,
    /// A message with priority `now` cut the turn off: the next turn brings the output.
    pub(super) cut_by_message: bool,
}

/// What a phase took so far, over its attempts.
#[derive(Debug)]
pub(super) struct PhaseTally {
    pub(super) started: Instant,
    pub(super) cost_usd: f64,
    pub(super) failure: Option<Failure>,
}

impl PhaseTally {
    pub(super) const fn new(started: Instant) -> Self {
        Self { started, cost_usd: 0.0, failure: None }
    }

    pub(super) fn duration_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Why an attempt was not accepted.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) reason: RetryReason,
    pub(super) message: String,
    pub(super) score: Option<f64>,
    pub(super) findings: Vec<Finding>,
}

impl Failure {
    pub(super) fn new(reason: RetryReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), score: None, findings: Vec::new() }
    }
}

impl Run<'_> {
    /// When the attempt's time is up, or a silent agent's.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let attempt = self.attempt.as_ref()?;
        let running = self.agent.as_ref()?;
        let silence = running.silent_since.map(|since| since + SILENCE_MAX);
        Some(silence.map_or(attempt.deadline, |silence| silence.min(attempt.deadline)))
    }

    pub(super) async fn begin(
        &mut self,
        phase: Phase,
        number: u8,
        opening: Opening,
    ) -> Result<Vec<RunEvent>, SpoolError> {
        if number > 1 {
            self.record_retry(number - 1).await?;
        } else {
            self.tally = PhaseTally::new(Instant::now());
        }
        self.attempt = Some(Attempt {
            phase,
            number,
            deadline: Instant::now() + self.config.phase_timeout,
            asked: None,
            cut_by_message: false,
        });
        self.pulse(None);
        if number == 1 {
            let max_attempts = self.plan.max_attempts.get();
            self.record(Event::PhaseStarted(PhaseStarted { max_attempts })).await?;
        }
        if self.wakes.asked.is_cancelled() {
            // The signal itself is the next wake.
            return Ok(vec![RunEvent::AttemptStarted]);
        }
        let Some(question) = phases::question(phase, &self.job) else {
            if phase == Phase::Sync {
                self.record(Event::SyncStarted(SyncStarted {})).await?;
            }
            let computed = phases::compute(phase, &self.job.accepted);
            self.wakes.own.push_back(Wake::Computed(Box::new(computed)));
            return Ok(vec![RunEvent::AttemptStarted]);
        };
        let budget = match self.config.max_budget_usd.map(|most| most - self.cost_usd) {
            Some(left) if left <= 0.0 => {
                let why = format!("The job's budget is spent: {:.2} USD.", self.cost_usd);
                return Ok(vec![self.over(Outcome::BudgetExceeded, why)]);
            }
            left => left,
        };
        let text = match (opening, &self.agent, &self.tally.failure) {
            (Opening::Repair, Some(_), Some(failure)) => phases::repair(phase, &failure.findings),
            _ => {
                if let Some(event) = self.prepare_place().await? {
                    return Ok(vec![event]);
                }
                let launch = self.launch(question.schema, budget);
                match self.start_agent(launch).await? {
                    None => question.prompt,
                    Some(event) => return Ok(vec![RunEvent::AttemptStarted, event]),
                }
            }
        };
        let asked = self.ask(&text).await?;
        Ok(std::iter::once(RunEvent::AttemptStarted).chain(asked).collect())
    }

    /// Writes the prompt or the repair, then what waits in the mail.
    async fn ask(&mut self, text: &str) -> Result<Option<RunEvent>, SpoolError> {
        let uuid = Uuid::new_v4();
        self.compared = false;
        if let Some(attempt) = &mut self.attempt {
            attempt.asked = Some(uuid);
        }
        let Some(running) = &mut self.agent else { return Ok(None) };
        if let Err(error) = running.agent.say(uuid, text, Deliver::Next).await {
            let why = format!("The agent could not be asked: {error}.");
            return self.broke(Failure::new(RetryReason::AgentBroke, why), Outcome::AgentError);
        }
        self.hand_over_mail().await?;
        Ok(None)
    }

    /// The attempt's time is up, or a silent agent's.
    pub(super) async fn time_is_up(&mut self) -> Result<Option<RunEvent>, SpoolError> {
        let Some(running) = &self.agent else { return Ok(None) };
        let in_time = self.attempt.as_ref().is_some_and(|one| one.deadline > Instant::now());
        if running.silent_since.is_some() && in_time {
            return self.agent_gone("The agent closed its stdout and lived on.").await;
        }
        let secs = self.config.phase_timeout.as_secs();
        let reason = format!("The attempt took longer than {secs} s (PHASE_TIMEOUT).");
        match running.agent.interrupt().await {
            Ok(_) => {
                let reason = reason.clone();
                self.record(Event::AgentInterrupted(AgentInterrupted { reason })).await?;
            }
            Err(error) => tracing::warn!(%error, "the agent was not interrupted; it is ended"),
        }
        self.broke(Failure::new(RetryReason::TimedOut, reason), Outcome::TimedOut)
    }

    /// The attempt broke; a fresh agent is needed.
    #[expect(clippy::unnecessary_wraps, reason = "the last word of many fallible steps")]
    pub(super) fn broke(
        &mut self,
        failure: Failure,
        outcome: Outcome,
    ) -> Result<Option<RunEvent>, SpoolError> {
        let attempt = self.attempt.as_ref().map_or(1, |attempt| attempt.number);
        self.because.clone_from(&failure.message);
        self.tally.failure = Some(failure);
        Ok(Some(RunEvent::AttemptBroke { attempt, outcome }))
    }

    async fn record_retry(&mut self, attempt: u8) -> Result<(), SpoolError> {
        let failure = self.last_failure();
        self.record(Event::PhaseRetry(PhaseRetry {
            attempt,
            max_attempts: self.plan.max_attempts.get(),
            reason: failure.reason,
            message: failure.message,
            score: failure.score,
            findings: failure.findings,
        }))
        .await?;
        Ok(())
    }

    pub(super) async fn fail_phase(
        &mut self,
        phase: Phase,
        attempts: u8,
    ) -> Result<(), SpoolError> {
        let failure = self.last_failure();
        self.because =
            format!("The phase {phase} used up its {attempts} attempts. {}", failure.message);
        self.record(Event::PhaseFailed(PhaseFailed {
            attempts,
            reason: failure.reason,
            message: failure.message,
            duration_ms: self.tally.duration_ms(),
            cost_usd: self.tally.cost_usd,
            findings: failure.findings,
        }))
        .await?;
        Ok(())
    }

    fn last_failure(&self) -> Failure {
        let unknown = || Failure::new(RetryReason::AgentBroke, "The attempt gave no reason.");
        self.tally.failure.clone().unwrap_or_else(unknown)
    }

    /// Tells the heartbeat what is being done.
    pub(super) fn pulse(&self, operation: Option<String>) {
        let attempt = self.attempt.as_ref();
        self.pulse.send_replace(crate::health::Pulse {
            phase: attempt.map(|attempt| attempt.phase),
            attempt: attempt.map(|attempt| attempt.number),
            operation,
            agent_alive: self.agent.as_ref().is_some_and(|running| running.agent.is_alive()),
        });
    }
}

/// An error and what caused it, on one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
