//! Attempts: how one begins, how its time runs out, how it is recorded that it failed.

use std::time::{Duration, Instant};

use specwright_shared::finding::Finding;
use specwright_shared::machine::{Opening, RunEvent};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::Phase;
use specwright_shared::wire::event::{
    Event, PhaseFailed, PhaseRetry, PhaseStarted, RetryReason, SyncStarted,
};
use uuid::Uuid;

use super::drive::Run;
use super::interrupt::Cause;
use super::mail::Held;
use super::turns::Turns;
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
    /// Which of the agent's turns mean something.
    pub(super) turns: Turns,
    /// An output that waits for a message's own turn.
    pub(super) held: Option<Held>,
}

/// What a phase took so far, over its attempts.
#[derive(Debug)]
pub(super) struct PhaseTally {
    pub(super) started: Instant,
    pub(super) cost_usd: f64,
    pub(super) failure: Option<Failure>,
    /// Why a conversation that took too long was begun again in a fresh process: once in a phase.
    pub(super) kept: Option<String>,
    /// The conversation of the agent that was started last.
    pub(super) session: Option<Uuid>,
}

impl PhaseTally {
    pub(super) const fn new(started: Instant) -> Self {
        Self { started, cost_usd: 0.0, failure: None, kept: None, session: None }
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
        if self.wakes.interrupt.is_some() {
            // Its answer has a limit of its own, and nothing is remedied twice at once.
            return None;
        }
        let silence = running.silent_since.map(|since| since + SILENCE_MAX);
        if let Some(parked) = self.calls.parked_until(self.config.model_park_timeout) {
            // The attempt's clock and the agent's stand still.
            return silence.into_iter().chain([parked]).min();
        }
        let held = attempt.held.as_ref().map(|held| held.until);
        [silence, held, self.overdue_at()].into_iter().flatten().chain([attempt.deadline]).min()
    }

    pub(super) async fn begin(
        &mut self,
        phase: Phase,
        number: u8,
        opening: Opening,
    ) -> Result<Vec<RunEvent>, SpoolError> {
        let is_taken_up = self.taken_up.take().is_some() && number > 1;
        if is_taken_up {
            // The worker before us wrote down why there is another.
        } else if number > 1 {
            self.record_retry(number - 1).await?;
            self.keep_conversation(phase);
        } else {
            self.tally = PhaseTally::new(Instant::now());
        }
        self.attempt = Some(Attempt {
            phase,
            number,
            deadline: Instant::now() + self.config.phase_timeout,
            turns: Turns::default(),
            held: None,
        });
        self.calls.new_attempt();
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
        let budget = match self.config.max_budget_usd.map(|most| most - self.counted_usd()) {
            Some(left) if left <= 0.0 => {
                let why = format!("The job's budget is spent: {:.2} USD.", self.counted_usd());
                return Ok(vec![self.over(Outcome::BudgetExceeded, why)]);
            }
            // The gateway holds the limit, by its own prices and for sub-agents too.
            _ if self.gateway.is_some() => None,
            left => left,
        };
        let text = match (opening, &self.agent, &self.tally.failure) {
            (Opening::Repair, Some(_), Some(failure)) => phases::repair(phase, &failure.findings),
            _ => {
                if let Some(event) = self.prepare_place().await? {
                    return Ok(vec![event]);
                }
                let launch = self.launch(question.schema, budget);
                match self.start_or_resume(phase, launch, question.prompt).await? {
                    Ok(text) => text,
                    Err(event) => return Ok(vec![RunEvent::AttemptStarted, event]),
                }
            }
        };
        let asked = self.ask(&text).await?;
        Ok(std::iter::once(RunEvent::AttemptStarted).chain(asked).collect())
    }

    /// Writes the prompt or the repair, then what waits in the mail.
    pub(super) async fn ask(&mut self, text: &str) -> Result<Option<RunEvent>, SpoolError> {
        let uuid = Uuid::new_v4();
        self.compared = false;
        if let Some(attempt) = &mut self.attempt {
            attempt.turns.followed_by(uuid, self.mail.on_their_way().map(|id| id.0));
        }
        self.vigil.asked(Instant::now());
        let Some(running) = &mut self.agent else { return Ok(None) };
        if let Err(error) = running.agent.say(uuid, text, Deliver::Next).await {
            let why = format!("The agent could not be asked: {error}.");
            return self.broke(Failure::new(RetryReason::AgentBroke, why), Outcome::AgentError);
        }
        self.hand_over_mail(true).await?;
        Ok(None)
    }

    /// The attempt's time is up, or a silent agent's.
    pub(super) async fn time_is_up(&mut self) -> Result<Option<RunEvent>, SpoolError> {
        if self.held_is_due()
            && let Some(output) = self.take_held()
        {
            return self.judge_output(&output).await;
        }
        let Some(running) = &self.agent else { return Ok(None) };
        let in_time = self.attempt.as_ref().is_some_and(|one| one.deadline > Instant::now());
        let is_silent = running.silent_since.is_some();
        if is_silent && in_time {
            return self.agent_gone("The agent closed its stdout and lived on.").await;
        }
        if self.calls.is_parked() {
            return self.parking_is_over().await;
        }
        if in_time {
            return self.remedy();
        }
        let secs = self.config.phase_timeout.as_secs();
        let reason = format!("The attempt took longer than {secs} s (PHASE_TIMEOUT).");
        self.interrupt(Cause::End(Failure::new(RetryReason::TimedOut, reason)), false);
        Ok(None)
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
        let agent = self.agent.as_ref().map(|running| &running.agent);
        self.pulse.send_modify(|pulse| {
            pulse.phase = attempt.map(|attempt| attempt.phase);
            pulse.attempt = attempt.map(|attempt| attempt.number);
            if pulse.operation != operation || operation.is_none() {
                pulse.since = Some(Instant::now());
            }
            pulse.operation = operation;
            pulse.agent_alive = agent.is_some_and(|agent| agent.is_alive());
            pulse.agent_pid = agent.map(|agent| agent.pid());
            self.vigil.tell(pulse);
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
