//! The heartbeat: a task of its own that says that we live, and what we are at.

use std::time::Duration;

use specwright_shared::phase::Phase;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::Heartbeat;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::inbox::Arrival;

/// The shortest period, whatever the control API says.
const PERIOD_MIN: Duration = Duration::from_millis(100);

/// What is being done, as the run says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pulse {
    /// The phase at work.
    pub(crate) phase: Option<Phase>,
    /// The attempt at work.
    pub(crate) attempt: Option<u8>,
    /// What is being done, in a few words.
    pub(crate) operation: Option<String>,
    /// Whether there is an agent.
    pub(crate) agent_alive: bool,
}

/// What the heartbeat needs.
pub(crate) struct Health {
    /// The control API.
    pub(crate) api: Api,
    /// Our generation.
    pub(crate) generation: u64,
    /// How often.
    pub(crate) period: Duration,
    /// What is being done.
    pub(crate) pulse: watch::Receiver<Pulse>,
    /// How far the spool is durable.
    pub(crate) durable: watch::Receiver<u64>,
    /// How far the control API has it.
    pub(crate) acked: watch::Receiver<u64>,
    /// Where a request to stop is told.
    pub(crate) arrivals: mpsc::Sender<Arrival>,
}

impl Health {
    /// Beats until it is stopped. A beat that fails is said in the log and not repeated: the next
    /// one says the same.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.period.max(PERIOD_MIN));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match stop.run_until_cancelled(self.beat()).await {
                None => return,
                Some(None) => {}
                Some(Some(arrival)) => {
                    if self.arrivals.send(arrival).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn beat(&self) -> Option<Arrival> {
        let pulse = self.pulse.borrow().clone();
        let heartbeat = Heartbeat {
            generation: self.generation,
            phase: pulse.phase,
            attempt: pulse.attempt,
            operation: pulse.operation,
            agent_alive: pulse.agent_alive,
            spool_depth: self.durable.borrow().saturating_sub(*self.acked.borrow()),
        };
        match self.api.heartbeat(&heartbeat).await {
            Ok(answer) => answer.stop.map(Arrival::Stop),
            Err(error) if error.problem() == Some(ProblemType::Fenced) => Some(Arrival::Fenced),
            Err(error) => {
                tracing::warn!(%error, "a heartbeat was not taken");
                None
            }
        }
    }
}
