//! Events: facts that a sandbox or the control API recorded.
//!
//! The types are a closed enum with one payload each. Three marks stand beside each type: whether it
//! is *progress* (the agent or the worker got further), whether it is *droppable* (may be given up
//! when the disk is nearly full), and whether it is *terminal* (the last of its job).
//!
//! A newer peer's unknown type is data, not an error; a known type with a wrong body is an error.
//! So a reader looks at the tag first ([`RawEvent::decode`]).

mod agent;
mod guardian;
mod model;
mod sandbox;
mod spec;
mod work;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use agent::{
    AgentCompleted, AgentError, AgentExited, AgentInterrupted, AgentMessage, AgentResumed,
    AgentRetrying, AgentStarted, FileChange, FileEdited, LoopDetected, MessageInjected, ResumeRung,
    SubagentCompleted, SubagentInvoked, ToolResult, ToolUse, Unshown,
};
pub use guardian::{Intervened, OutcomeSeen};
pub use model::{BudgetWarning, ModelCall, ModelParked, ModelResumed, ModelStalled};
pub use sandbox::{Restarted, SandboxJudged};
pub use spec::{
    ArtifactCreated, EventRefused, EventsDropped, ExecutionCompleted, ExecutionFailed,
    ExecutionStarted, PhaseCompleted, PhaseFailed, PhaseRetry, PhaseStarted, Progress, RetryReason,
    SyncCompleted, SyncStarted, TicketsCreated,
};
pub use work::{WorkKept, WorkSaved};

use crate::id::EventId;
use crate::phase::Phase;
use crate::time::Timestamp;
use crate::trace::TraceId;

/// An event as it travels and is stored: the body is not looked into.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RawEvent {
    /// Its number in its sandbox, from 1, without a gap.
    pub seq: u64,
    /// Its id.
    pub id: EventId,
    /// Its type, e.g. `spec.phase_completed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was recorded.
    pub at: Timestamp,
    /// The phase that was at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The trace that it belongs to: of the request that it answers, else of its run. A worker leaves
    /// the run's own out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// The body; its shape depends on the type.
    #[serde(default)]
    pub data: Value,
}

/// An event as the control API gives it out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    /// Its place among its spec's events, from 1, in commit order.
    pub position: u64,
    /// Its spec; absent: an older control API gave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_id: Option<crate::id::SpecId>,
    /// The sandbox that recorded it; absent: the control API did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<crate::id::SandboxId>,
    /// The event. Those of the control API have `seq` 0.
    #[serde(flatten)]
    pub event: RawEvent,
}

/// What decoding gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// A type that we know.
    Known(Box<Event>),
    /// A type that a newer peer knows.
    Unknown,
}

/// A known type with a body that does not fit.
#[derive(Debug, thiserror::Error)]
#[error("an event of type `{kind}` has a body that does not fit: {why}")]
pub struct DecodeError {
    /// The type.
    pub kind: String,
    /// What does not fit.
    pub why: String,
}

impl RawEvent {
    /// Looks at the type, and at the body only if the type is known.
    ///
    /// # Errors
    /// [`DecodeError`] for a known type with a wrong body.
    pub fn decode(&self) -> Result<Decoded, DecodeError> {
        let Some(event) = Event::of(&self.kind, &self.data) else { return Ok(Decoded::Unknown) };
        event
            .map(|event| Decoded::Known(Box::new(event)))
            .map_err(|error| DecodeError { kind: self.kind.clone(), why: error.to_string() })
    }
}

/// The marks that stand beside a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// The agent or the worker got further.
    pub progress: bool,
    /// May be given up when the disk is nearly full.
    pub droppable: bool,
    /// The last of its job.
    pub terminal: bool,
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident($body:ty) = $kind:literal [$($mark:ident),*];)*) => {
        /// A fact. One variant per type; the order is that of a run.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "type", content = "data")]
        pub enum Event {
            $($(#[$doc])* #[serde(rename = $kind)] $name($body),)*
        }

        impl Event {
            /// The names of all types.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            /// The type's name.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $(Self::$name(_) => $kind,)* }
            }

            /// The marks of this event's type.
            #[must_use]
            pub fn marks(&self) -> Marks {
                Marks::of(self.kind())
            }

            /// The event of a type with a body, read where it lies; `None`: no type of ours.
            fn of(kind: &str, data: &Value) -> Option<serde_json::Result<Self>> {
                match kind {
                    $($kind => Some(<$body>::deserialize(data).map(Self::$name)),)*
                    _ => None,
                }
            }

            /// The body as JSON.
            #[must_use]
            pub fn data(&self) -> Value {
                let data = match self { $(Self::$name(body) => serde_json::to_value(body),)* };
                // Bodies have string keys and finite numbers only: they cannot fail to encode.
                data.unwrap_or_default()
            }
        }

        impl Marks {
            /// The marks of a type by its name. A type that nobody here knows counts as progress
            /// (a newer worker is at work) and is never dropped.
            #[must_use]
            pub fn of(kind: &str) -> Self {
                match kind {
                    $($kind => Self { $($mark: true,)* ..Self::default() },)*
                    _ => Self { progress: true, ..Self::default() },
                }
            }
        }
    };
}

events! {
    /// A run begins.
    ExecutionStarted(ExecutionStarted) = "spec.execution_started" [progress];
    /// A phase begins with its first attempt.
    PhaseStarted(PhaseStarted) = "spec.phase_started" [progress];
    /// An agent process is up and was checked.
    AgentStarted(AgentStarted) = "agent.started" [progress];
    /// A worker that was started again took its agent's work up.
    AgentResumed(AgentResumed) = "agent.resumed" [progress];
    /// The agent said something.
    AgentMessage(AgentMessage) = "agent.message" [progress, droppable];
    /// The agent thought something.
    AgentThinking(AgentMessage) = "agent.thinking" [progress, droppable];
    /// The agent calls a tool.
    ToolUse(ToolUse) = "agent.tool_use" [progress, droppable];
    /// A tool answered.
    ToolResult(ToolResult) = "agent.tool_result" [progress, droppable];
    /// A file changed where the agent may write.
    FileEdited(FileEdited) = "agent.file_edited" [progress];
    /// The agent goes round in a circle.
    LoopDetected(LoopDetected) = "agent.loop_detected" [];
    /// The agent started a sub-agent.
    SubagentInvoked(SubagentInvoked) = "agent.subagent_invoked" [progress];
    /// A sub-agent is done.
    SubagentCompleted(SubagentCompleted) = "agent.subagent_completed" [progress];
    /// A message came further on its way into the agent.
    MessageInjected(MessageInjected) = "agent.message_injected" [];
    /// The agent's turn was interrupted.
    AgentInterrupted(AgentInterrupted) = "agent.interrupted" [];
    /// The agent waits for its model after a refusal.
    AgentRetrying(AgentRetrying) = "agent.retrying" [];
    /// A call of the model is over.
    ModelCall(ModelCall) = "agent.model_call" [];
    /// The model's service takes no calls for now.
    ModelParked(ModelParked) = "agent.model_parked" [];
    /// The model's service takes calls again.
    ModelResumed(ModelResumed) = "agent.model_resumed" [];
    /// A call of the model is open and nothing comes.
    ModelStalled(ModelStalled) = "agent.model_stalled" [];
    /// Most of the budget is spent.
    BudgetWarning(BudgetWarning) = "agent.budget_warning" [];
    /// The agent, or a line of it, is not as it should be.
    AgentError(AgentError) = "agent.error" [];
    /// A turn of the agent is over; not the end of anything else.
    AgentCompleted(AgentCompleted) = "agent.completed" [progress];
    /// The agent's process is gone, with all that it had started.
    AgentExited(AgentExited) = "agent.exited" [];
    /// Something worth a line.
    Progress(Progress) = "spec.progress" [progress, droppable];
    /// An attempt was not accepted; another follows.
    PhaseRetry(PhaseRetry) = "spec.phase_retry" [progress];
    /// An attempt was accepted.
    PhaseCompleted(PhaseCompleted) = "spec.phase_completed" [progress];
    /// A phase used up its attempts.
    PhaseFailed(PhaseFailed) = "spec.phase_failed" [];
    /// A document was rendered.
    ArtifactCreated(ArtifactCreated) = "spec.artifact_created" [progress];
    /// The computation of `sync` begins.
    SyncStarted(SyncStarted) = "spec.sync_started" [progress];
    /// The computation of `sync` is done.
    SyncCompleted(SyncCompleted) = "spec.sync_completed" [progress];
    /// The control API made the tickets and tasks.
    TicketsCreated(TicketsCreated) = "spec.tickets_created" [];
    /// The control API refused an event; this stands in its place, under its number.
    EventRefused(EventRefused) = "worker.event_refused" [];
    /// The worker gave up droppable facts because the disk was nearly full.
    EventsDropped(EventsDropped) = "worker.events_dropped" [];
    /// A sandbox ended before its run was through, and another one goes on.
    Restarted(Restarted) = "spec.restarted" [];
    /// The verdict about a sandbox became alarming, or calm again, or something is done about it.
    SandboxJudged(SandboxJudged) = "sandbox.judged" [];
    /// A guardian did something to a run.
    Intervened(Intervened) = "guardian.intervened" [];
    /// What came of it.
    OutcomeSeen(OutcomeSeen) = "guardian.outcome" [];
    /// What became of the work in progress, before a planned end.
    WorkSaved(WorkSaved) = "worker.work_saved" [];
    /// The run did all that it was asked to do.
    ExecutionCompleted(ExecutionCompleted) = "spec.execution_completed" [progress, terminal];
    /// The run ended otherwise.
    ExecutionFailed(ExecutionFailed) = "spec.execution_failed" [terminal];
}

#[cfg(test)]
mod tests;
