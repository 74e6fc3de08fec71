//! Whether a sandbox gets on, judged from facts.
//!
//! What holds: a verdict follows from the observation, the moment and the limits alone, and carries
//! the evidence that it rests on. A heartbeat is life, not progress. An open tool call within its
//! limit is progress, however silent; so are bytes from the model, lines from the agent, processor
//! time of its process tree, and events. Ages are the worker's own (monotonic clock); only silence
//! between two heartbeats is measured by the control API, with its own clock and from the moment
//! that it was there to hear them. A time that the worker was paused counts for nobody.
//!
//! Deliberately absent: what is done about a verdict. That is decided in [`policy`].

mod loops;
pub mod policy;
mod settings;
mod signals;
mod verdict;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::time::Timestamp;

pub use loops::{
    BUDGET_SHARE_PERCENT, ERRORS_MAX, LoopKind, LoopSeen, Loops, REPEATS_MAX, TOKENS_MAX,
};
pub use settings::{Settings, SettingsError};
pub use signals::{
    AgentSignals, ClockJump, OPEN_TOOLS_MAX, OpenTool, Operation, Signals, WorkerState,
};
pub use verdict::{Evidence, Verdict, VerdictKind};

/// What is known of a sandbox when it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended, if it did.
    pub ended_at: Option<Timestamp>,
    /// When the last heartbeat came, if one came.
    pub heartbeat_at: Option<Timestamp>,
    /// Since when somebody has been there to hear heartbeats.
    pub listening_since: Timestamp,
    /// What the last heartbeat said; absent: an older worker, or no heartbeat yet.
    pub signals: Option<&'a Signals>,
}

/// After how long what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the request to the first heartbeat.
    pub start: Duration,
    /// Between heartbeats, until the worker counts as silent.
    pub silent: Duration,
    /// Between heartbeats, until it counts as lost.
    pub lost: Duration,
    /// Nothing to do.
    pub idle: Duration,
    /// Something to do and no progress signal at all.
    pub stuck: Duration,
    /// From one phase to the next.
    pub between_phases: Duration,
    /// The whole life.
    pub life: Duration,
    /// How recent a sign of progress is to be called work.
    pub fresh: Duration,
    /// How far over its own limit an operation may be: the worker ends it itself before.
    pub overrun: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            start: minutes(3),
            silent: minutes(2),
            lost: minutes(10),
            idle: minutes(10),
            stuck: minutes(15),
            between_phases: minutes(5),
            life: minutes(6 * 60),
            fresh: minutes(1),
            overrun: minutes(1),
        }
    }
}

/// What a sandbox is at.
#[must_use]
pub fn judge(seen: &Observation<'_>, now: Timestamp, limits: &Limits) -> Verdict {
    if let Some(ended_at) = seen.ended_at {
        let age = now.since(ended_at);
        return Verdict::new(VerdictKind::Finished, "the run is over").because("ended", age, None);
    }
    let life = now.since(seen.created_at);
    let Some(heartbeat_at) = seen.heartbeat_at else {
        let waited = now.since(seen.created_at.max(seen.listening_since));
        let (kind, reason) = if waited < limits.start {
            (VerdictKind::Starting, "the worker has not been heard yet")
        } else {
            (VerdictKind::Lost, "the worker was never heard in the time that a start takes")
        };
        return Verdict::new(kind, reason).because("waited", waited, Some(limits.start));
    };
    let unheard = now.since(heartbeat_at.max(seen.listening_since));
    if unheard >= limits.lost {
        return Verdict::new(VerdictKind::Lost, "the worker is no longer heard").because(
            "heartbeat",
            unheard,
            Some(limits.lost),
        );
    }
    if unheard >= limits.silent {
        return Verdict::new(VerdictKind::Silent, "no heartbeat has come for a while").because(
            "heartbeat",
            unheard,
            Some(limits.silent),
        );
    }
    // Whatever it waits for, and whatever is done about its being stuck: nothing lives for ever.
    if life >= limits.life {
        return Verdict::new(VerdictKind::Stuck, "it lives longer than any run should").because(
            "life",
            life,
            Some(limits.life),
        );
    }
    let verdict = match seen.signals {
        Some(signals) => of_signals(&Ages { signals, unheard }, limits),
        None => Verdict::new(VerdictKind::Working, "the worker lives and says no more than that"),
    };
    verdict.because("heartbeat", unheard, Some(limits.silent))
}

/// Signals with what has passed since they came.
struct Ages<'a> {
    signals: &'a Signals,
    unheard: Duration,
}

impl Ages<'_> {
    /// An age now: what passed since the heartbeat is added, what the worker slept through is not
    /// counted.
    fn now(&self, age_ms: u64) -> Duration {
        let paused = match self.signals.clock_jump {
            Some(jump) if jump.paused && jump.age_ms <= age_ms => jump.by_ms.unsigned_abs(),
            _ => 0,
        };
        Duration::from_millis(age_ms.saturating_sub(paused)) + self.unheard
    }

    /// The youngest sign that something moves, and its name.
    fn progress(&self) -> Option<(&'static str, Duration)> {
        let signals = self.signals;
        let agent = signals.agent.as_ref();
        [
            ("model_bytes", signals.model_bytes_age_ms),
            ("agent_line", signals.agent_line_age_ms),
            ("event", signals.event_age_ms),
            ("cpu", agent.and_then(|agent| agent.busy_age_ms)),
        ]
        .into_iter()
        .filter_map(|(name, age)| Some((name, self.now(age?))))
        .min_by_key(|(_, age)| *age)
    }
}

fn of_signals(ages: &Ages<'_>, limits: &Limits) -> Verdict {
    let signals = ages.signals;
    match signals.state {
        WorkerState::WaitingApproval => {
            return Verdict::new(VerdictKind::WaitingApproval, "a person is asked for a verdict");
        }
        WorkerState::WaitingUsageLimit => {
            return Verdict::new(
                VerdictKind::WaitingUsageLimit,
                "the model's API lets the agent wait",
            );
        }
        _ => {}
    }
    let progress = ages.progress();
    // The call that has most time left speaks for all: a parent's sub-agent works as well.
    let call = signals.open_tools.iter().max_by_key(|tool| {
        let age = ages.now(tool.age_ms);
        Duration::from_millis(tool.limit_ms).saturating_sub(age)
    });
    if let Some(call) = call {
        let (age, limit) = (ages.now(call.age_ms), Duration::from_millis(call.limit_ms));
        if age <= limit + limits.overrun {
            let reason = format!("the tool {} is at work", call.tool);
            return Verdict::new(VerdictKind::WaitingTool, reason)
                .because("tool", age, Some(limit))
                .also(progress);
        }
        let reason = format!("the tool {} is over its limit and was not ended", call.tool);
        return Verdict::new(VerdictKind::Stuck, reason)
            .because("tool", age, Some(limit))
            .also(progress);
    }
    // Without any sign, what is under way is as old as itself.
    let operation = signals.operation.as_ref().map(|operation| ages.now(operation.age_ms));
    let (name, age) = progress.or(operation.map(|age| ("operation", age))).unwrap_or_default();
    let (idle, stuck) = match signals.state {
        WorkerState::BetweenPhases => (limits.between_phases, limits.stuck),
        WorkerState::AgentIdle => (limits.idle, limits.stuck),
        _ => (limits.stuck, limits.stuck),
    };
    let verdict = |kind, reason: &str, limit| Verdict::new(kind, reason).because(name, age, limit);
    if age >= stuck {
        return verdict(VerdictKind::Stuck, "nothing has moved for too long", Some(stuck));
    }
    if age >= idle {
        return verdict(VerdictKind::Idle, "there is nothing under way", Some(idle));
    }
    match signals.state {
        WorkerState::ModelTurn if age >= limits.fresh || name != "cpu" => {
            verdict(VerdictKind::WaitingModel, "the model is at its turn", Some(stuck))
        }
        WorkerState::Preparing => {
            verdict(VerdictKind::Starting, "the worker prepares the place", Some(stuck))
        }
        _ => verdict(VerdictKind::Working, "it gets on", Some(stuck)),
    }
}
