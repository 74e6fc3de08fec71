//! The board: tickets and tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::documents::Priority;
use crate::id::{ProjectId, SpecId, TaskId, TicketId};
use crate::phase::TicketPhase;
use crate::time::Timestamp;

/// A ticket with its tasks, in an order that respects dependencies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TicketView {
    /// Which.
    pub id: TicketId,
    /// Its key in its spec, e.g. `TKT-001`.
    pub local_id: String,
    /// Its spec.
    pub spec_id: SpecId,
    /// Its project.
    pub project_id: ProjectId,
    /// Who owns it.
    pub owner: String,
    /// Its title.
    pub title: String,
    /// What it is about, in Markdown.
    pub description: String,
    /// How urgent it is.
    pub priority: Priority,
    /// How big it is: S, M, L, XL.
    pub estimate: String,
    /// Where it stands.
    pub phase: TicketPhase,
    /// Requirements that it serves.
    pub requirements: Vec<String>,
    /// How one sees that it is done.
    pub acceptance_criteria: Vec<String>,
    /// Tickets that must be done before it.
    pub depends_on: Vec<TicketId>,
    /// Its tasks.
    pub tasks: Vec<TaskView>,
    /// True when it was made by the rehearsal agent: no model was used.
    pub rehearsal: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskView {
    /// Which.
    pub id: TaskId,
    /// Its key in its spec, e.g. `TSK-001`.
    pub local_id: String,
    /// Its ticket.
    pub ticket_id: TicketId,
    /// Its title.
    pub title: String,
    /// What to do, in Markdown.
    pub description: String,
    /// What kind of work it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Hours of work.
    pub estimated_hours: f64,
    /// Where it stands; `pending` until it is executed.
    pub status: String,
    /// Tasks that must be done before it.
    pub depends_on: Vec<TaskId>,
    /// Requirements that it meets.
    pub requirements: Vec<String>,
    /// Files that it makes.
    pub files_to_create: Vec<String>,
    /// Files that it changes.
    pub files_to_modify: Vec<String>,
    /// How one sees that it is done.
    pub acceptance_criteria: Vec<String>,
}

/// `GET /board`: the columns in their order, or the one that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Board {
    /// One per [`TicketPhase`].
    pub columns: Vec<Column>,
}

/// A column of the board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// Which.
    pub phase: TicketPhase,
    /// Its tickets: newest spec first, each spec's in the order of its plan.
    pub tickets: Vec<TicketView>,
    /// Where it goes on, if there are more: the `after` of the next request, with this `phase`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
