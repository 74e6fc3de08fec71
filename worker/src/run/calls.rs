//! What follows from the model's calls: costs and their limit, refusals, stalls.
//!
//! What holds: a refused key ends the run at its first answer. While the service takes no calls the
//! attempt's clock stands still, no attempt is used up, and the run asks again when it is told to or
//! after a growing pause, for [`Config::model_park_timeout`](crate::config::Config) in all. A call
//! that stalls is interrupted and the agent asked again, [`STALLS_MAX`] times in an attempt.
//!
//! Deliberately absent: repeating single calls (the agent does) and judging turns.

use std::time::{Duration, Instant};

use specwright_shared::budget::{Budget, WARN_AT_PERCENT};
use specwright_shared::excerpt::Excerpt;
use specwright_shared::machine::RunEvent;
use specwright_shared::outcome::Outcome;
use specwright_shared::price::NanoUsd;
use specwright_shared::redact::Redactor;
use specwright_shared::wire::event::{
    BudgetWarning, Event, ModelCall, ModelParked, ModelResumed, ModelStalled, RetryReason,
};

use super::attempt::Failure;
use super::drive::{Run, now};
use super::interrupt::Cause;
use crate::gateway::{ModelFact, StallSeen};
use crate::spool::SpoolError;

/// How often in an attempt a stalled call is answered with another try: what stalls a third time is
/// no accident of one connection.
const STALLS_MAX: u8 = 2;
/// The pause before the run asks again when the service does not say how long; doubled each time.
const PAUSE_MIN: Duration = Duration::from_secs(15);
/// And the longest: an overloaded service is back within minutes.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// How long calls may take to be entered after their agent has gone.
const QUIET_MAX: Duration = Duration::from_millis(500);

/// How much of the service's own words about a refusal stands in events.
const ERROR_SHOWN_BYTES: usize = 500;

/// What the agent is told after a stall.
const AFTER_STALL: &str = "Specwright says: the connection to the model stalled, and the turn was \
     interrupted. Nothing is wrong with your work. Go on where you were.";
/// And after the service was away.
const AFTER_PARKING: &str = "Specwright says: the model's service took no calls for a while. Nothing \
     is wrong with your work. Go on where you were.";

/// What the run knows of its calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    parked: Option<Parked>,
    /// When the service said that it will take calls again.
    back_at: Option<Instant>,
    /// Refusals in this attempt.
    refusals: u64,
    /// Turns of this attempt that ended in one.
    turns_refused: u32,
    /// Stalls in this attempt.
    stalls: u8,
    /// How long the job was parked, without the time that runs.
    parked_before: Duration,
    /// The warning was given.
    warned: bool,
    /// What the ledger said at the end of the last turn.
    at_last_turn: NanoUsd,
}

/// The service takes no calls.
#[derive(Debug, Clone, Copy)]
struct Parked {
    since: Instant,
    /// When the run asks again; `None`: the agent still tries by itself.
    until: Option<Instant>,
}

impl Calls {
    pub(super) fn new(warned: bool, spent: NanoUsd) -> Self {
        Self { warned, at_last_turn: spent, ..Self::default() }
    }

    /// Another attempt begins.
    pub(super) fn new_attempt(&mut self) {
        (self.refusals, self.turns_refused, self.stalls) = (0, 0, 0);
        self.back_at = None;
        if let Some(parked) = self.parked.take() {
            self.parked_before += parked.since.elapsed();
        }
    }

    /// While the attempt is parked: when there is something to do about it.
    pub(super) fn parked_until(&self, park_max: Duration) -> Option<Instant> {
        let Parked { since, until } = self.parked?;
        Some(until.unwrap_or(since + park_max.saturating_sub(self.parked_before)))
    }

    pub(super) const fn is_parked(&self) -> bool {
        self.parked.is_some()
    }
}

impl Run<'_> {
    /// Something that the gateway saw.
    pub(super) async fn model_fact(
        &mut self,
        fact: ModelFact,
    ) -> Result<Option<RunEvent>, SpoolError> {
        match fact {
            ModelFact::Called(mut call) => {
                self.clean(&mut call);
                let refused = self.refused(&call);
                let looping = self.vigil.paid(&call, Budget::of(self.config.max_budget_usd));
                self.called(*call).await?;
                if let Some(seen) = looping {
                    self.record(Event::LoopDetected(seen)).await?;
                }
                match refused {
                    Some(event) => Ok(Some(event)),
                    None => self.warn_of_budget().await.map(|()| None),
                }
            }
            ModelFact::Stalled(seen) => self.stalled(seen).await,
            ModelFact::BudgetSpent { counted } => {
                let limit = self.config.max_budget_usd.unwrap_or_default();
                let why = format!(
                    "The budget of {limit} USD is spent ({:.4} USD, MAX_BUDGET_USD): a further call \
                     of the model was refused.",
                    counted.usd()
                );
                Ok(Some(self.over(Outcome::BudgetExceeded, why)))
            }
        }
    }

    fn clean(&self, call: &mut ModelCall) {
        call.error = call.error.as_deref().map(|said| shown(&self.redactor, said));
    }

    /// The end of the run, if the key was refused.
    fn refused(&mut self, call: &ModelCall) -> Option<RunEvent> {
        let status = call.status.filter(|status| matches!(status, 401 | 403))?;
        let key = self.config.credential.as_ref().map_or("the key", |key| key.variable());
        let said = call.error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
        let why = format!(
            "The model's API refused {key} with status {status}{said}: set one that is valid."
        );
        Some(self.over(Outcome::AgentError, why))
    }

    /// Writes a call down. Waited for: what was spent must be known after a crash.
    async fn called(&mut self, call: ModelCall) -> Result<(), SpoolError> {
        let (status, wait) = (call.status, call.retry_after_secs.map(Duration::from_secs));
        let cost_usd = call.cost_usd.unwrap_or_default();
        self.cost_usd += cost_usd;
        self.tally.cost_usd += cost_usd;
        let call_id = call.call_id;
        self.record(Event::ModelCall(call)).await?;
        if let Some(gateway) = &self.gateway {
            gateway.recorded(call_id);
        }
        match status {
            Some(status @ (429 | 529)) => self.park(status, wait).await,
            Some(200..=299) => self.unpark().await,
            _ => Ok(()),
        }
    }

    /// Calls that a worker before us did not live to enter: they stand in the ledger already.
    pub(super) async fn calls_before(&mut self, calls: Vec<ModelCall>) -> Result<(), SpoolError> {
        for call in calls {
            self.called(call).await?;
        }
        self.warn_of_budget().await
    }

    /// After the agent's end: calls that it left open are cut now, and count.
    pub(super) async fn last_calls(&mut self) -> Result<(), SpoolError> {
        let Some(gateway) = &self.gateway else { return Ok(()) };
        gateway.quiet(QUIET_MAX).await;
        while let Ok(fact) = self.wakes.model.try_recv() {
            if let ModelFact::Called(mut call) = fact {
                self.clean(&mut call);
                self.called(*call).await?;
            }
        }
        Ok(())
    }

    async fn warn_of_budget(&mut self) -> Result<(), SpoolError> {
        let budget = Budget::of(self.config.max_budget_usd);
        let (Some(gateway), Some(limit)) = (&self.gateway, budget.limit()) else { return Ok(()) };
        let spent = gateway.ledger().counted();
        if self.calls.warned || !budget.warns(spent) {
            return Ok(());
        }
        self.calls.warned = true;
        self.record(Event::BudgetWarning(BudgetWarning {
            spent_usd: spent.usd(),
            limit_usd: limit.usd(),
            percent: WARN_AT_PERCENT,
        }))
        .await?;
        Ok(())
    }

    /// What counts against the budget, in US dollars.
    pub(super) fn counted_usd(&self) -> f64 {
        let counted = self.gateway.as_ref().map(|gateway| gateway.ledger().counted().usd());
        counted.unwrap_or(self.cost_usd)
    }

    /// What the ledger counted since the turn before; the agent's own figure is put beside it.
    pub(super) fn ledger_of_turn(&mut self, agents_own: f64) -> Option<f64> {
        let gateway = self.gateway.as_ref()?;
        gateway.agent_says(NanoUsd::from_usd(agents_own));
        let known = gateway.ledger().known();
        let before = std::mem::replace(&mut self.calls.at_last_turn, known);
        Some(NanoUsd(known.0.saturating_sub(before.0)).usd())
    }

    /// The service refuses for now.
    async fn park(&mut self, status: u16, wait: Option<Duration>) -> Result<(), SpoolError> {
        self.calls.refusals += 1;
        self.calls.back_at = wait.map(|wait| Instant::now() + wait);
        if self.attempt.is_none() || self.calls.parked.is_some() {
            return Ok(());
        }
        self.calls.parked = Some(Parked { since: Instant::now(), until: None });
        self.parked(status, wait, "the agent tries again by itself").await
    }

    async fn parked(
        &self,
        status: u16,
        wait: Option<Duration>,
        next: &str,
    ) -> Result<(), SpoolError> {
        let what = if status == 529 { "is overloaded" } else { "limits the rate of calls" };
        self.pulse(Some(format!("waiting for the model ({status})")));
        self.record(Event::ModelParked(ModelParked {
            status,
            until: wait.map(|wait| now().plus(wait)),
            refusals: self.calls.refusals,
            reason: format!("The model's service {what} ({status}); {next}."),
        }))
        .await?;
        Ok(())
    }

    /// It takes calls again: the attempt gets the time back.
    async fn unpark(&mut self) -> Result<(), SpoolError> {
        let Some(parked) = self.calls.parked.take() else { return Ok(()) };
        let took = parked.since.elapsed();
        self.calls.parked_before += took;
        self.calls.back_at = None;
        if let Some(attempt) = &mut self.attempt {
            attempt.deadline += took;
        }
        let parked_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.record(Event::ModelResumed(ModelResumed { parked_ms })).await?;
        Ok(())
    }

    /// A turn ended because the service takes no calls. `None`: that is not so.
    pub(super) async fn turn_parked(
        &mut self,
        status: Option<u16>,
    ) -> Result<Option<Option<RunEvent>>, SpoolError> {
        let (Some(status @ (429 | 529)), Some(parked)) = (status, self.calls.parked) else {
            return Ok(None);
        };
        let doubled = PAUSE_MIN.saturating_mul(1 << self.calls.turns_refused.min(8));
        let asked = self.calls.back_at.map(|at| at.saturating_duration_since(Instant::now()));
        let wait = asked.unwrap_or(doubled.min(PAUSE_MAX));
        let park_max = self.config.model_park_timeout;
        if self.calls.parked_before + parked.since.elapsed() + wait > park_max {
            let why = format!(
                "The model's service takes no calls ({status}) until {}, which is longer than the \
                 run may wait ({} s, MODEL_PARK_TIMEOUT). Resume it then.",
                now().plus(wait),
                park_max.as_secs()
            );
            return Ok(Some(Some(self.over(Outcome::AgentError, why))));
        }
        self.calls.turns_refused += 1;
        let until = Some(Instant::now() + wait);
        self.calls.parked = Some(Parked { until, ..parked });
        self.parked(status, Some(wait), "the run asks again then").await?;
        Ok(Some(None))
    }

    /// A parked attempt's moment has come.
    pub(super) async fn parking_is_over(&mut self) -> Result<Option<RunEvent>, SpoolError> {
        let due = self.calls.parked_until(self.config.model_park_timeout);
        if due.is_some_and(|due| due > Instant::now()) {
            return Ok(None);
        }
        match &mut self.calls.parked {
            Some(parked) if parked.until.is_some() => {
                parked.until = None;
                self.ask(AFTER_PARKING).await
            }
            _ => {
                let secs = self.config.model_park_timeout.as_secs();
                let why = format!(
                    "The model's service took no calls for {secs} s (MODEL_PARK_TIMEOUT); it was \
                     asked {} times in this attempt.",
                    self.calls.refusals
                );
                Ok(Some(self.over(Outcome::AgentError, why)))
            }
        }
    }

    /// A call is open and nothing comes.
    async fn stalled(&mut self, seen: StallSeen) -> Result<Option<RunEvent>, SpoolError> {
        if self.agent.is_none() || self.attempt.is_none() || self.wakes.interrupt.is_some() {
            // An interrupt that is under way frees the turn from this call as well.
            return Ok(None);
        }
        self.calls.stalls = self.calls.stalls.saturating_add(1);
        let number = self.calls.stalls;
        let again = number <= STALLS_MAX;
        let remedy = if again { "interrupt, and ask again" } else { "give the attempt up" };
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let event = Event::ModelStalled(ModelStalled {
            call_id: seen.call_id,
            stall: seen.stall,
            since_byte_ms: ms(seen.since_byte),
            since_content_ms: ms(seen.since_content),
            number,
            remedy: remedy.to_owned(),
        });
        self.record(event).await?;
        let evidence = format!(
            "The model stalled {number} times in this attempt; the last call brought no byte for {} \
             ms and no content for {} ms.",
            ms(seen.since_byte),
            ms(seen.since_content)
        );
        if again {
            let what = "the connection to the model stalled".to_owned();
            let words = AFTER_STALL.to_owned();
            self.interrupt(Cause::Remedy { what, reason: None, words }, false);
            return Ok(None);
        }
        // Before a fresh agent too: the turn must not go on while this one is being ended.
        let failure = Failure::new(RetryReason::TimedOut, evidence);
        if !self.interrupt(Cause::End(failure.clone()), false) {
            return self.broke(failure, Outcome::TimedOut);
        }
        Ok(None)
    }
}

/// The service's words may hold what was sent to it: redacted first, then cut.
fn shown(redactor: &Redactor, said: &str) -> String {
    Excerpt::within(&redactor.text(said), ERROR_SHOWN_BYTES).text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_across_the_cut_of_the_services_words_leaves_no_part_of_itself() {
        let redactor = Redactor::new(["sk-ant-a-real-key".to_owned()]);
        for before in ERROR_SHOWN_BYTES - 20..=ERROR_SHOWN_BYTES {
            let said = shown(&redactor, &format!("{}sk-ant-a-real-key", "x".repeat(before)));
            assert!(said.len() <= ERROR_SHOWN_BYTES && !said.contains("sk-"), "{before}: {said}");
        }
    }
}
