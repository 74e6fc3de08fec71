//! The closed loop: a wake, what it means, what the machine decides, what is then done.

use std::collections::VecDeque;
use std::time::Instant;

use specwright_shared::liveness::WorkerState;
use specwright_shared::machine::{Effect, Plan, RunEvent, RunState, apply};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::Phase;
use specwright_shared::redact::Redactor;
use specwright_shared::time::Timestamp;
use specwright_shared::trace::TraceId;
use specwright_shared::wire::event::{Event, Progress};
use specwright_shared::wire::sandbox::SpecJob;
use tokio::sync::watch;

use super::Ended;
use super::attempt::{Attempt, PhaseTally};
use super::calls::Calls;
use super::mail::Mail;
use super::process::Running;
use super::vigil::Vigil;
use super::wake::{Wake, Wakes};
use crate::api::Api;
use crate::config::Config;
use crate::deliver::DeliverProblem;
use crate::gateway::Gateway;
use crate::health::Pulse;
use crate::spool::{Open, Spool, SpoolError};
use crate::workspace::{Fingerprint, Workspace};

/// A run and all that it holds.
pub(super) struct Run<'a> {
    pub(super) config: &'a Config,
    /// Takes the known secrets out of what is written down.
    pub(super) redactor: Redactor,
    pub(super) job: SpecJob,
    pub(super) plan: Plan,
    pub(super) spool: &'a Spool,
    pub(super) acked: watch::Receiver<u64>,
    pub(super) pulse: watch::Sender<Pulse>,
    pub(super) wakes: Wakes,
    pub(super) workspace: Workspace,
    /// The workspace as it must stay.
    pub(super) pristine: Option<Fingerprint>,
    /// Whether it was compared since the agent last worked.
    pub(super) compared: bool,
    pub(super) gateway: Option<Gateway>,
    pub(super) calls: Calls,
    pub(super) agent: Option<Running>,
    /// The control API, for what is no event.
    pub(super) api: &'a Api,
    /// Ours; a newer one fences us off.
    pub(super) generation: u64,
    /// The newest conversation of an agent.
    pub(super) conversation: Option<uuid::Uuid>,
    pub(super) mail: Mail,
    /// The conversation that a dead worker's agent was in, until it is taken up.
    pub(super) interrupted: Option<Open>,
    /// The attempt that a dead worker was in, until it is taken up.
    pub(super) taken_up: Option<u8>,
    /// What the agent is at, and since when.
    pub(super) vigil: Vigil,
    pub(super) attempt: Option<Attempt>,
    pub(super) tally: PhaseTally,
    pub(super) done: Vec<Phase>,
    /// Set when the run was asked to pause: the phase that became its last.
    pub(super) paused_after: Option<Phase>,
    /// Dollars spent by all attempts of this sandbox, before a restart too.
    pub(super) cost_usd: f64,
    pub(super) started: Instant,
    /// Why the run ends, once that is known.
    pub(super) because: String,
    /// How it really ended, when the control API refused an output after the machine was done.
    pub(super) overruled: Option<Outcome>,
}

impl Run<'_> {
    /// Runs the phases until the machine says that the run is over.
    pub(super) async fn drive(&mut self) -> Ended {
        let (mut state, effects) = self.plan.open_at(self.taken_up.unwrap_or(1));
        let mut due = self.perform_all(effects).await;
        while !state.is_terminal() {
            let event = match due.pop_front() {
                Some(event) => event,
                None => {
                    let wake = self.wakes.next(self.deadline()).await;
                    match self.consider(wake).await {
                        Ok(Some(event)) => event,
                        Ok(None) => continue,
                        Err(error) => self.over(Outcome::WorkerError, error.to_string()),
                    }
                }
            };
            let moved = apply(&self.plan, state, event).or_else(|illegal| {
                // A defect of ours must end the run with a word, not go on in a wrong state.
                let event = self.over(Outcome::WorkerError, illegal.to_string());
                apply(&self.plan, state, event)
            });
            match moved {
                Ok((next, effects)) => {
                    state = next;
                    due.extend(self.perform_all(effects).await);
                }
                Err(illegal) => return Ended::new(Outcome::WorkerError, illegal.to_string()),
            }
        }
        match state {
            RunState::Done { outcome } => Ended::new(outcome, self.because.clone()),
            RunState::Ready { .. } | RunState::Running { .. } => {
                Ended::new(Outcome::WorkerError, "the loop was left before the run was over")
            }
        }
    }

    async fn perform_all(&mut self, effects: Vec<Effect>) -> VecDeque<RunEvent> {
        let mut due = VecDeque::new();
        let end = effects.iter().find_map(|effect| match effect {
            Effect::Finish { outcome } => Some(*outcome),
            _ => None,
        });
        for effect in effects {
            match self.perform(effect, end).await {
                Ok(events) => due.extend(events),
                Err(error) => due.push_back(self.over(Outcome::WorkerError, error.to_string())),
            }
        }
        due
    }

    /// `end`: how the run ends, if this is a part of its end.
    async fn perform(
        &mut self,
        effect: Effect,
        end: Option<Outcome>,
    ) -> Result<Vec<RunEvent>, SpoolError> {
        match effect {
            Effect::Begin { phase, attempt, opening } => self.begin(phase, attempt, opening).await,
            Effect::StopAgent => self.stop_agent(end).await.map(|()| vec![]),
            Effect::FailPhase { phase, attempts } => {
                self.fail_phase(phase, attempts).await.map(|()| vec![])
            }
            Effect::Finish { outcome } => {
                self.pulse.send_modify(|pulse| pulse.state = WorkerState::Ending);
                self.finish(outcome).await.map(|()| vec![])
            }
        }
    }

    /// What a wake means for the machine; `None`: nothing.
    async fn consider(&mut self, wake: Wake) -> Result<Option<RunEvent>, SpoolError> {
        Ok(match wake {
            Wake::Signal => {
                Some(self.over(Outcome::Cancelled, "The worker was asked to end by a signal."))
            }
            Wake::Stop(stop) => {
                let why = format!("The run was stopped: {}", stop.reason);
                Some(self.over(Outcome::Cancelled, why))
            }
            Wake::Pause => self.pause().await?,
            Wake::Interrupted(interrupted) => self.interrupted(interrupted).await?,
            Wake::Fenced | Wake::Delivery(DeliverProblem::Fenced) => {
                Some(self.over(Outcome::Fenced, "A newer generation of this sandbox took over."))
            }
            Wake::Ended | Wake::Delivery(DeliverProblem::SandboxEnded) => {
                Some(self.over(Outcome::Fenced, "The control API has ended this sandbox."))
            }
            Wake::Delivery(DeliverProblem::EventRefused { seq, kind, reason, fatal: false }) => {
                // It is kept aside, and told under its number.
                tracing::error!(seq, kind, reason, "the control API refused an event; going on");
                None
            }
            Wake::Delivery(DeliverProblem::EventRefused { seq, kind, reason, fatal: true }) => {
                let why = format!("The control API refused event {seq} ({kind}): {reason}");
                Some(self.over(Outcome::WorkerError, why))
            }
            Wake::Delivery(DeliverProblem::Refused { reason }) => {
                // The run goes on: what it does is kept in the spool until it is taken.
                tracing::error!(reason, "the control API does not take events");
                None
            }
            Wake::InboxBroken(why) => {
                let why = format!("Messages cannot be written to STATE_DIR: {why}");
                Some(self.over(Outcome::WorkerError, why))
            }
            Wake::Model(fact) => self.model_fact(fact).await?,
            Wake::Deadline => self.time_is_up().await?,
            Wake::Computed(computed) => self.computed(*computed).await?,
            Wake::Messages(messages) => {
                self.mail_came(messages).await?;
                None
            }
            Wake::AgentFact(fact) => self.fact(fact).await?,
            Wake::AgentSilent => self.agent_gone("Nothing more came from the agent.").await?,
            Wake::Files(seen) => {
                self.saw_files(seen).await?;
                None
            }
        })
    }

    /// The event that ends the run, with the cause kept for the report.
    pub(super) fn over(&mut self, outcome: Outcome, because: impl Into<String>) -> RunEvent {
        self.because = because.into();
        RunEvent::Ended { outcome }
    }

    pub(super) fn phase(&self) -> Option<Phase> {
        self.attempt.as_ref().map(|attempt| attempt.phase)
    }

    /// Writes a fact and waits until it is durable.
    pub(super) async fn record(&self, event: Event) -> Result<u64, SpoolError> {
        self.record_of(self.phase(), event).await
    }

    /// The same, of a phase that need not be the one at work.
    pub(super) async fn record_of(
        &self,
        phase: Option<Phase>,
        event: Event,
    ) -> Result<u64, SpoolError> {
        self.progressed(&event);
        self.spool.record(now(), phase, event).await
    }

    /// The same, of what a message brought about: it belongs to the message's trace.
    pub(super) async fn record_in(
        &self,
        trace_id: Option<TraceId>,
        event: Event,
    ) -> Result<u64, SpoolError> {
        self.progressed(&event);
        self.spool.record_in(trace_id, now(), self.phase(), event).await
    }

    /// Hands a fact over without waiting for the disk: the agent's chatter. Order is kept.
    pub(super) async fn note(&self, event: Event) -> Result<(), SpoolError> {
        self.note_in(None, event).await
    }

    /// The same, of what a message brought about.
    pub(super) async fn note_in(
        &self,
        trace_id: Option<TraceId>,
        event: Event,
    ) -> Result<(), SpoolError> {
        self.progressed(&event);
        drop(self.spool.submit_in(trace_id, now(), self.phase(), event).await?);
        Ok(())
    }

    fn progressed(&self, event: &Event) {
        if event.marks().progress {
            self.pulse.send_modify(|pulse| pulse.progress_at = Some(Instant::now()));
        }
    }

    /// One line for people.
    pub(super) async fn say(&self, message: impl Into<String>) -> Result<(), SpoolError> {
        self.note(Event::Progress(Progress { message: message.into() })).await
    }
}

/// The shell's clock.
pub(super) fn now() -> Timestamp {
    std::time::SystemTime::now().into()
}
