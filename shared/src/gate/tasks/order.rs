//! Whether tickets and tasks can be done in one order: a ticket waits for another until all tasks of
//! that are done, so a task can contradict its ticket.

use std::collections::BTreeMap;

use super::super::findings::{Findings, circle};
use crate::coverage;
use crate::documents::Tasks;
use crate::graph;

/// Expects ids and references to be sound.
pub(super) fn fits(tasks: &Tasks, findings: &mut Findings) {
    let Err(graph::Cycle(cycle)) = coverage::steps_in_order(tasks) else { return };
    let parent: BTreeMap<&str, &str> =
        tasks.tasks.iter().map(|task| (task.id.as_str(), task.parent_ticket.as_str())).collect();
    let mut names: Vec<&str> = cycle.iter().map(|step| step.name()).collect();
    // A ticket's beginning and end may stand side by side.
    names.dedup();
    // The dependency between tasks of different tickets is the one that can be given up.
    let place = tasks.tasks.iter().enumerate().find_map(|(index, task)| {
        let (own, at) =
            (task.id.as_str(), names.iter().position(|name| *name == task.id.as_str())?);
        let next = names[(at + 1) % names.len()];
        let place = task.depends_on.iter().position(|target| target.as_str() == next)?;
        (parent.get(own) != parent.get(next)).then_some((index, place))
    });
    let at = place.map_or_else(
        || "tasks".to_owned(),
        |(index, place)| format!("tasks[{index}].depends_on[{place}]"),
    );
    findings.error(
        "ticket_order_contradicted",
        at,
        format!("Tickets and tasks wait for one another: {}.", circle(&names)),
        "A task must not wait for a task of a ticket that waits for its own ticket: move one of the \
         tasks to another ticket, or drop one of the dependencies.",
    );
}
