//! `sync`: what follows from the other documents. Computed by [`crate::coverage::synchronise`] in the
//! worker, and again in the control API before tickets are made; never written by a model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{RequirementId, Slug, SpecTaskKey, TicketKey};
use crate::text::Line;

/// Output of the phase `sync`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    /// The feature's name.
    pub feature_name: Slug,
    /// For each requirement, who meets it; in the requirements' order.
    pub coverage_matrix: Vec<CoverageRow>,
    /// Counts.
    pub totals: Totals,
    /// Tickets in an order that respects dependencies.
    pub ticket_order: Vec<TicketKey>,
    /// Spec tasks in an order that respects dependencies.
    pub task_order: Vec<SpecTaskKey>,
    /// The chain of tasks that takes longest.
    pub critical_path: CriticalPath,
}

/// A requirement and who meets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoverageRow {
    /// The requirement.
    pub requirement: RequirementId,
    /// Its title.
    pub title: Line,
    /// Tasks that meet it.
    pub tasks: Vec<SpecTaskKey>,
    /// The tickets of those tasks.
    pub tickets: Vec<TicketKey>,
}

impl CoverageRow {
    /// Whether at least one task meets it.
    #[must_use]
    pub fn is_covered(&self) -> bool {
        !self.tasks.is_empty()
    }
}

/// Counts over the whole spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Requirements.
    pub requirements: usize,
    /// Requirements that a task meets.
    pub covered: usize,
    /// Tickets.
    pub tickets: usize,
    /// Spec tasks.
    pub tasks: usize,
    /// Hours of all spec tasks.
    pub estimated_hours: f64,
    /// Different files to be made.
    pub files_to_create: usize,
    /// Different files to be changed.
    pub files_to_modify: usize,
}

/// The chain of tasks that takes longest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CriticalPath {
    /// Its tasks, first to last.
    pub tasks: Vec<SpecTaskKey>,
    /// Its hours.
    pub hours: f64,
}
