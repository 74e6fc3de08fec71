//! Bodies of `spec.*` events.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::finding::Finding;
use crate::outcome::Outcome;
use crate::phase::Phase;

/// `spec.execution_started`: the run as it will be done, settings included, secrets never.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExecutionStarted {
    /// The spec's title.
    pub title: String,
    /// The phases that will be done, in order.
    pub phases: Vec<Phase>,
    /// `claude`, `rehearsal`, or a path.
    pub agent: String,
    /// The model, if one was asked for.
    pub model: Option<String>,
    /// The worker's version.
    pub worker_version: String,
    /// The commit that the workspace stands on; absent in a repository without commits.
    pub commit: Option<String>,
    /// Attempts per phase.
    pub max_attempts: u8,
    /// Seconds per attempt.
    pub phase_timeout_secs: u64,
    /// The job's budget in US dollars, if there is one.
    pub max_budget_usd: Option<f64>,
    /// True: no model is used.
    pub rehearsal: bool,
}

/// `spec.phase_started`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseStarted {
    /// The attempts that it has.
    pub max_attempts: u8,
}

/// `spec.progress`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// One line.
    pub message: String,
}

/// Why an attempt was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryReason {
    /// The output did not pass its gate; the findings say why.
    GateRejected,
    /// There was no output, or the agent broke.
    AgentBroke,
    /// The work tree was changed in a planning phase; it was put back.
    WorkTreeChanged,
    /// The attempt took too long.
    TimedOut,
}

/// `spec.phase_retry`: this attempt failed, another follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseRetry {
    /// The attempt that failed.
    pub attempt: u8,
    /// The attempts that the phase has.
    pub max_attempts: u8,
    /// Why.
    pub reason: RetryReason,
    /// The same in words.
    pub message: String,
    /// The output's score, if there was one.
    pub score: Option<f64>,
    /// What the gate said.
    pub findings: Vec<Finding>,
}

/// `spec.phase_completed`: this attempt was accepted, and this is its output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseCompleted {
    /// The attempt that was accepted.
    pub attempt: u8,
    /// The output's score, 0 to 1.
    pub score: f64,
    /// Milliseconds from the phase's first attempt to here.
    pub duration_ms: u64,
    /// What the phase cost in US dollars, as far as the agent said.
    pub cost_usd: f64,
    /// The whole output (absent for `complete`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// SHA-256 of the output's JSON, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Warnings that the gate had.
    pub findings: Vec<Finding>,
}

/// `spec.phase_failed`: the phase used up its attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseFailed {
    /// How many attempts it had.
    pub attempts: u8,
    /// Why the last one failed.
    pub reason: RetryReason,
    /// The same in words.
    pub message: String,
    /// Milliseconds from the phase's first attempt to here.
    pub duration_ms: u64,
    /// What the phase cost in US dollars, as far as the agent said.
    pub cost_usd: f64,
    /// What the gate said last.
    pub findings: Vec<Finding>,
}

/// `spec.artifact_created`: a document was rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactCreated {
    /// Its file name, e.g. `requirements.md`.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Where it was written, on the worker's machine; empty when it is in no file there.
    pub path: String,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its content.
    pub content: String,
}

/// `spec.sync_started`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncStarted {}

/// `spec.sync_completed`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncCompleted {
    /// Requirements.
    pub requirements: usize,
    /// Requirements that a task meets.
    pub covered: usize,
    /// Tickets.
    pub tickets: usize,
    /// Spec tasks.
    pub tasks: usize,
}

/// `spec.tickets_created`: recorded by the control API in the transaction that made them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TicketsCreated {
    /// Tickets made now.
    pub tickets_created: usize,
    /// Tickets that were there already and were brought up to date.
    pub tickets_updated: usize,
    /// Tasks made now.
    pub tasks_created: usize,
    /// Tasks that were there already and were brought up to date.
    pub tasks_updated: usize,
}

/// `worker.event_refused`: the control API did not take an event; the sequence goes on without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventRefused {
    /// The type of the event that was refused.
    pub refused: String,
    /// What the control API said.
    pub reason: String,
}

/// `worker.events_dropped`: facts of droppable types that were given up because the disk was nearly
/// full. Counted since the last of these events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsDropped {
    /// How many, by type.
    pub dropped: BTreeMap<String, u64>,
}

/// `spec.execution_completed`: the terminal report of a run that succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExecutionCompleted {
    /// The phases that were done in this run.
    pub phases_completed: Vec<Phase>,
    /// Set when the run was asked to pause and ended after this phase, short of its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_after: Option<Phase>,
    /// What the run cost in US dollars, as far as the agent said.
    pub cost_usd: f64,
    /// Milliseconds from the run's start to here.
    pub duration_ms: u64,
}

/// `spec.execution_failed`: the terminal report of any other run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExecutionFailed {
    /// How it ended; never `succeeded`.
    pub outcome: Outcome,
    /// The phase that was at work.
    pub failed_phase: Option<Phase>,
    /// The cause in words, with the evidence.
    pub message: String,
    /// What the run cost in US dollars, as far as the agent said.
    pub cost_usd: f64,
    /// Milliseconds from the run's start to here.
    pub duration_ms: u64,
}
