//! The heartbeat: a task of its own that says that we live, and what we are at, with the signals that
//! a verdict rests on (`shared::liveness`).
//!
//! What holds: every age is measured with this process's monotonic clock at the moment of the beat,
//! and what the system does not say is absent, never guessed.

mod measure;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use specwright_shared::liveness::{OPEN_TOOLS_MAX, OpenTool, Operation, Signals, WorkerState};
use specwright_shared::phase::Phase;
use specwright_shared::text::Line;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::Heartbeat;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::inbox::Arrival;
use measure::{Clocks, TreeMeter, disk_free, millis};

/// The shortest period, whatever the control API says.
const PERIOD_MIN: Duration = Duration::from_millis(100);

/// What is being done, as the run says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulse {
    /// The phase at work.
    pub(crate) phase: Option<Phase>,
    /// The attempt at work.
    pub(crate) attempt: Option<u8>,
    /// What is being done, in a few words.
    pub(crate) operation: Option<String>,
    /// Whether there is an agent.
    pub(crate) agent_alive: bool,
    /// What the worker is at.
    pub(crate) state: WorkerState,
    /// Since when `operation` is being done.
    pub(crate) since: Option<Instant>,
    /// The agent's process.
    pub(crate) agent_pid: Option<u32>,
    /// Tool calls without an answer.
    pub(crate) open: Vec<OpenCall>,
    /// When the agent's last line came.
    pub(crate) line_at: Option<Instant>,
    /// When the last byte came from the model; absent: nobody counts them.
    pub(crate) model_moved_at: Option<watch::Receiver<Option<Instant>>>,
    /// When the last event was written that is progress.
    pub(crate) progress_at: Option<Instant>,
}

/// A tool call without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenCall {
    /// The call's id.
    pub(crate) id: String,
    /// The tool.
    pub(crate) tool: String,
    /// When it began.
    pub(crate) since: Instant,
    /// How long it may take.
    pub(crate) limit: Duration,
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
    /// Where the disk is looked at.
    pub(crate) state_dir: PathBuf,
    /// Where a request to stop is told.
    pub(crate) arrivals: mpsc::Sender<Arrival>,
}

impl Health {
    /// Beats until it is stopped. A beat that fails is said in the log and not repeated: the next
    /// one says the same.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let period = self.period.max(PERIOD_MIN);
        let mut ticks = tokio::time::interval(period);
        let mut tree = TreeMeter::default();
        let mut clocks = Clocks::new(period, Instant::now(), SystemTime::now());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let signals = self.signals(&mut tree, &mut clocks);
            match stop.run_until_cancelled(self.beat(signals)).await {
                None => return,
                // What the control API took to answer is no pause of ours.
                Some(None) => clocks.rest(Instant::now()),
                Some(Some(arrival)) => {
                    if self.arrivals.send(arrival).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn signals(&self, tree: &mut TreeMeter, clocks: &mut Clocks) -> Signals {
        let now = Instant::now();
        let age = |at: Instant| millis(now.saturating_duration_since(at));
        let pulse = self.pulse.borrow().clone();
        let fitted = |text: &str| Line::fitted(text).map(|line| line.to_string());
        let open = pulse.open.iter().take(OPEN_TOOLS_MAX).filter_map(|call| {
            Some(OpenTool {
                tool: fitted(&call.tool)?,
                tool_use_id: fitted(&call.id)?,
                age_ms: age(call.since),
                limit_ms: millis(call.limit),
            })
        });
        let oldest = pulse.open.first();
        let operation = pulse.operation.as_deref().and_then(fitted).map(|name| Operation {
            name,
            age_ms: pulse.since.map_or(0, age),
            limit_ms: oldest.map(|call| millis(call.limit)),
        });
        Signals {
            state: pulse.state,
            operation,
            agent: pulse.agent_pid.and_then(|pid| tree.measure(pid, now)),
            open_tools: open.collect(),
            agent_line_age_ms: pulse.line_at.map(age),
            model_bytes_age_ms: pulse.model_moved_at.and_then(|at| *at.borrow()).map(age),
            event_age_ms: pulse.progress_at.map(age),
            disk_free_bytes: disk_free(&self.state_dir),
            clock_jump: clocks.look(now, SystemTime::now()),
        }
    }

    async fn beat(&self, signals: Signals) -> Option<Arrival> {
        let pulse = self.pulse.borrow().clone();
        let heartbeat = Heartbeat {
            generation: self.generation,
            phase: pulse.phase,
            attempt: pulse.attempt,
            operation: pulse.operation,
            agent_alive: pulse.agent_alive,
            signals: Some(signals),
            spool_depth: self.durable.borrow().saturating_sub(*self.acked.borrow()),
        };
        match self.api.heartbeat(&heartbeat).await {
            Ok(answer) => answer.stop.map(Arrival::Stop),
            Err(error) if error.problem() == Some(ProblemType::Fenced) => Some(Arrival::Fenced),
            Err(error) if error.problem() == Some(ProblemType::SandboxEnded) => {
                Some(Arrival::Ended)
            }
            Err(error) => {
                tracing::warn!(%error, "a heartbeat was not taken");
                None
            }
        }
    }
}
