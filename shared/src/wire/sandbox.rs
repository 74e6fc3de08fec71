//! Between a sandbox's worker and the control API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::documents::Accepted;
use crate::id::{SandboxId, SpecId};
use crate::liveness::{Signals, Verdict};
use crate::outcome::Outcome;
use crate::phase::{Phase, SandboxState};
use crate::time::Timestamp;
use crate::trace::TraceId;
use crate::wire::credential::Entrusted;
use crate::wire::event::RawEvent;
use crate::wire::message::Stop;
use crate::wire::watch::{Hold, Judged};

/// `POST /sandboxes/{id}/hello`: the worker is up and asks for its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// [`crate::wire::PROTOCOL`] of the worker.
    pub protocol: u32,
    /// The worker's version.
    pub worker_version: String,
    /// New at each start of the worker process: the same boot asking twice (an answer was lost)
    /// gets the same generation.
    pub boot_id: Uuid,
}

/// The answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// Fencing: everything that the worker sends carries it; an older one is refused.
    pub generation: u64,
    /// The highest event number that is stored already (0: none).
    pub acked: u64,
    /// How often to send a heartbeat, in milliseconds.
    pub heartbeat_ms: u64,
    /// What to do.
    pub job: Job,
    /// Keys of the spec's project and owner; they win over those in the worker's environment.
    #[serde(default, skip_serializing_if = "Entrusted::is_empty")]
    pub credentials: Entrusted,
}

/// What a sandbox is there for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Job {
    /// Plan a spec.
    Spec(Box<SpecJob>),
    /// The run is over, or its place was lost: send what is durable in the spool, start nothing, exit.
    Deliver,
}

/// Planning of one spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpecJob {
    /// Which.
    pub spec_id: SpecId,
    /// Its title.
    pub title: String,
    /// The idea in full.
    pub description: String,
    /// A path or URL to clone; absent: the workspace is there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The phase to start at.
    pub start: Phase,
    /// The last phase to do.
    pub until: Phase,
    /// Outputs of the phases before `start`.
    pub accepted: Accepted,
}

/// `POST /sandboxes/{id}/events`: facts, in order, without a gap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Batch {
    /// From [`Welcome`].
    pub generation: u64,
    /// At most [`BATCH_MAX_EVENTS`], numbers rising by one.
    pub events: Vec<RawEvent>,
}

/// The most events in one batch: both stores reach their full rate at 50 to 100.
pub const BATCH_MAX_EVENTS: usize = 100;

/// The most bytes of one batch's body.
pub const BATCH_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes of a transcript's body (`PUT /sandboxes/{id}/transcript`, gzip): a long conversation
/// has a tenth of that.
pub const TRANSCRIPT_MAX_BYTES: usize = 8 * 1024 * 1024;

/// The answer to a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TranscriptSaved {
    /// How many bytes were stored.
    pub bytes: u64,
}

/// The answer to [`Batch`]: all up to this number is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ack {
    /// The highest event number that is stored.
    pub acked: u64,
    /// Whether the sandbox has ended: what comes now is kept as a fact and has no effect. Its worker
    /// stops its agent, sends the rest and exits.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ended: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// `POST /sandboxes/{id}/heartbeat`: the worker lives. Not an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Heartbeat {
    /// From [`Welcome`].
    pub generation: u64,
    /// The phase at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The attempt at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u8>,
    /// What is being done, e.g. `tool Grep`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Whether an agent process is alive.
    pub agent_alive: bool,
    /// Events that are durable here and not yet acknowledged.
    pub spool_depth: u64,
    /// The facts that a verdict rests on; absent: an older worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signals: Option<Signals>,
}

/// The answer to [`Heartbeat`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatAck {
    /// Set when the run is to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
}

/// A sandbox, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SandboxView {
    /// Which.
    pub id: SandboxId,
    /// The spec that it plans.
    pub spec_id: SpecId,
    /// Where it stands.
    pub state: SandboxState,
    /// Who made the place, e.g. `local`.
    pub provider: String,
    /// The newest generation (0: no hello yet).
    pub generation: u64,
    /// The agent that it drives: `claude`, `rehearsal`, or a path.
    pub agent: String,
    /// The last heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// When that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_at: Option<Timestamp>,
    /// What it is at, judged when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Who holds it from being ended, if someone does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What it was at before, and what was done about that, newest first; absent in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Judged>,
    /// The highest event number that is stored.
    pub acked: u64,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The trace of its run: of the request that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}
