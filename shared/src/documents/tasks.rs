//! `tasks`: planned tickets, and the spec tasks in them.
//!
//! A spec task names its ticket and what it waits for; the reverse lists (a ticket's tasks, what a
//! task blocks) are computed, so that the two can never disagree.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Priority, Prose};
use crate::id::{RequirementId, Slug, SpecTaskKey, TicketKey};
use crate::list::List;
use crate::path::RepoPath;
use crate::text::{Line, Text};

/// Output of the phase `tasks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tasks {
    /// The feature's name, as in `requirements`.
    pub feature_name: Slug,
    /// The cards for the board.
    pub tickets: List<PlannedTicket, 1, 100>,
    /// The work in them.
    pub tasks: List<SpecTask, 1, 300>,
}

/// A ticket as planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedTicket {
    /// Its key in this spec.
    pub id: TicketKey,
    /// Its title.
    pub title: Line,
    /// Context, goals and non-goals, in Markdown.
    pub description: Prose,
    /// How urgent it is.
    pub priority: Priority,
    /// How big it is.
    pub estimate: Size,
    /// Requirements that it serves.
    pub requirements: List<RequirementId, 1, 100>,
    /// How one sees that it is done.
    pub acceptance_criteria: List<Text<500>, 1, 30>,
    /// Tickets that must be done before it.
    #[serde(default)]
    pub depends_on: List<TicketKey, 0, 50>,
}

/// How big a ticket is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Size {
    /// Up to half a day.
    S,
    /// Up to two days.
    M,
    /// Up to a week.
    L,
    /// More; consider splitting it.
    XL,
}

impl Size {
    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::M => "M",
            Self::L => "L",
            Self::XL => "XL",
        }
    }
}

/// A planned piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpecTask {
    /// Its key in this spec.
    pub id: SpecTaskKey,
    /// The ticket that it belongs to.
    pub parent_ticket: TicketKey,
    /// Its title.
    pub title: Line,
    /// What to do, in Markdown.
    pub description: Prose,
    /// What kind of work it is.
    #[serde(rename = "type")]
    pub kind: TaskKind,
    /// How urgent it is.
    pub priority: Priority,
    /// Hours of work; more than 0, at most 40. One to four is a good size.
    #[schemars(range(min = 0.1, max = 40.0))]
    pub estimated_hours: f64,
    /// Files that it makes.
    #[serde(default)]
    pub files_to_create: List<RepoPath, 0, 50>,
    /// Files that it changes.
    #[serde(default)]
    pub files_to_modify: List<RepoPath, 0, 50>,
    /// How one sees that it is done.
    pub acceptance_criteria: List<Text<500>, 1, 30>,
    /// Tasks that must be done before it.
    #[serde(default)]
    pub depends_on: List<SpecTaskKey, 0, 50>,
    /// Requirements that it meets.
    pub requirements: List<RequirementId, 1, 100>,
}

/// What kind of work a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// New behaviour.
    Implementation,
    /// Same behaviour, better shape.
    Refactor,
    /// Tests.
    Test,
    /// Words for people.
    Documentation,
    /// Settings, pipelines, deployment.
    Configuration,
    /// Finding out.
    Research,
}

impl TaskKind {
    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Implementation => "implementation",
            Self::Refactor => "refactor",
            Self::Test => "test",
            Self::Documentation => "documentation",
            Self::Configuration => "configuration",
            Self::Research => "research",
        }
    }
}
