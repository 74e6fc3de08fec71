//! Projects and specs, as people and programs see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ProjectId, SandboxId, SpecId};
use crate::outcome::Outcome;
use crate::phase::{Phase, PhaseStatus, SpecStatus};
use crate::text::{Line, Text};
use crate::time::Timestamp;

/// The idea in full: at most 262,144 characters. It goes to the worker in the answer to `hello`
/// and to the agent on stdin, never through an argument or the environment.
pub type Idea = Text<262_144>;

/// `POST /projects`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// Its name, unique for its owner; an existing one of that name is returned.
    pub name: Line,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectView {
    /// Which.
    pub id: ProjectId,
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// `POST /specs`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSpec {
    /// Where it belongs; absent: the project named after the repository (or `default`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// A short title; absent: the idea's first line, cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Line>,
    /// The idea in full.
    pub description: Idea,
    /// The repository: an absolute path on the machine of the sandboxes, or a URL to clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Text<4096>>,
}

/// How a run is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunOptions {
    /// `claude` (default), `rehearsal`, or the path of a program that speaks the same protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Text<4096>>,
    /// The model; absent: the agent's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Line>,
    /// The phase to start at; absent: the first one without an accepted output. Outputs of this
    /// phase and of all later ones are set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Phase>,
    /// The last phase to do; absent: `complete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Phase>,
    /// How often the run is started again by itself when its sandbox is lost, or is ended because it is
    /// stuck; absent: as often as the project's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u8>,
    /// Whether the built-in guardian watches this run; absent: as the project's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardian: Option<bool>,
}

/// `POST /specs/launch`: make a spec and execute it. `POST /specs/{id}/execute` takes
/// [`RunOptions`] alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// The spec.
    pub spec: NewSpec,
    /// The run.
    #[serde(default)]
    pub run: RunOptions,
}

/// The answer to launch and execute (202).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Launched {
    /// The spec as it stands now.
    pub spec: SpecView,
    /// The sandbox that was asked for.
    pub sandbox_id: SandboxId,
}

/// `POST /specs/{id}/cancel`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Line>,
    /// End the sandbox at once instead of asking the worker to stop.
    #[serde(default)]
    pub force: bool,
}

/// A spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpecView {
    /// Which.
    pub id: SpecId,
    /// Where it belongs.
    pub project_id: ProjectId,
    /// Who owns it.
    pub owner: String,
    /// Its title.
    pub title: String,
    /// The idea in full.
    pub description: String,
    /// The repository, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Where it stands.
    pub status: SpecStatus,
    /// More about `failed` (and about `draft` after a run that was asked to stop early).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Outcome>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The phase at work, or the next one to do.
    pub current_phase: Phase,
    /// The agent of the newest run; a rehearsal is labelled as such everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The sandbox at work on it, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_id: Option<SandboxId>,
    /// What its runs have cost, in US dollars, as far as the agent said.
    pub cost_usd: f64,
    /// How many events it has.
    pub events: u64,
    /// Requirements and how many of them tasks meet; set once `sync` was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Requirements, and how many of them tasks meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// How many there are.
    pub requirements: usize,
    /// How many a task meets.
    pub covered: usize,
}

/// A phase of a spec: `GET /specs/{id}/phases`, `…/phases/{phase}` (with `output`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseView {
    /// Which.
    pub phase: Phase,
    /// Where it stands.
    pub status: PhaseStatus,
    /// Attempts of the newest run of it.
    pub attempts: u8,
    /// The accepted output's score, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What it cost, in US dollars.
    pub cost_usd: f64,
    /// The accepted output's digest (SHA-256 of its JSON, hexadecimal).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What the gate said last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<crate::finding::Finding>,
    /// The accepted output; only where one phase is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<serde_json::Value>,
}

/// A rendered document: `GET /specs/{id}/documents` (without `content`), `…/documents/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentView {
    /// Its file name, e.g. `requirements.md`.
    pub name: String,
    /// The phase that it shows.
    pub phase: Phase,
    /// Where the worker put it, on the worker's machine; empty when it is in no file there.
    pub path: String,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// The text; only where one document is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}
