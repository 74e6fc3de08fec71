//! `sync`, computed: who meets which requirement, in which order the work can be done, and how long
//! its longest chain takes.
//!
//! Holds: the same documents give the same result, in every process; documents that contradict
//! themselves or one another give findings instead. A ticket that depends on another waits for all
//! tasks of that one, so the orders and the critical path follow tickets as well as tasks.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::documents::sync::{CoverageRow, CriticalPath, Totals};
use crate::documents::{Design, Requirements, Sync, Tasks};
use crate::finding::Finding;
use crate::gate;
use crate::graph::{self, Cycle};
use crate::id::{SpecTaskKey, TicketKey};

/// Brings requirements, design and tasks together.
///
/// # Errors
/// Everything that makes it impossible, as errors: ids that are used twice, references that do not
/// resolve, circles, requirements that nothing covers, names that differ.
pub fn synchronise(
    requirements: &Requirements,
    design: &Design,
    tasks: &Tasks,
) -> Result<Sync, Vec<Finding>> {
    let inconsistencies = gate::inconsistencies(requirements, design, tasks);
    if !inconsistencies.is_empty() {
        return Err(inconsistencies);
    }
    let (order, critical_path) =
        orders(tasks).map_err(|Cycle(steps)| vec![contradiction(&steps)])?;
    let matrix = matrix(requirements, tasks);
    Ok(Sync {
        feature_name: requirements.feature_name.clone(),
        totals: totals(&matrix, tasks),
        coverage_matrix: matrix,
        ticket_order: pick(&order, |step| match step {
            Step::Close(ticket) => {
                tasks.tickets.iter().map(|one| &one.id).find(|id| id.as_str() == ticket)
            }
            Step::Open(_) | Step::Do(_) => None,
        }),
        task_order: tasks_of(&order, tasks),
        critical_path: CriticalPath {
            tasks: tasks_of(&critical_path.nodes, tasks),
            hours: hundredths(critical_path.weight),
        },
    })
}

/// A point in the work: a ticket is opened when all that it waits for is closed, and closed when all
/// its tasks are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step<'a> {
    Open(&'a str),
    Do(&'a str),
    Close(&'a str),
}

impl<'a> Step<'a> {
    /// The key of the ticket or task.
    pub(crate) const fn name(self) -> &'a str {
        match self {
            Self::Open(key) | Self::Do(key) | Self::Close(key) => key,
        }
    }
}

/// All steps of a plan in an order that respects every dependency.
pub(crate) fn steps_in_order(tasks: &Tasks) -> Result<Vec<Step<'_>>, Cycle<Step<'_>>> {
    let (nodes, edges) = steps(tasks);
    graph::order(&nodes, &edges)
}

type Orders<'a> = (Vec<Step<'a>>, graph::Chain<Step<'a>>);

fn orders(tasks: &Tasks) -> Result<Orders<'_>, Cycle<Step<'_>>> {
    let (nodes, edges) = steps(tasks);
    let hours: BTreeMap<&str, f64> =
        tasks.tasks.iter().map(|task| (task.id.as_str(), task.estimated_hours)).collect();
    let weight = |step: &Step<'_>| match step {
        Step::Do(task) => hours.get(task).copied().unwrap_or_default(),
        Step::Open(_) | Step::Close(_) => 0.0,
    };
    Ok((graph::order(&nodes, &edges)?, graph::longest_path(&nodes, &edges, weight)?))
}

type Steps<'a> = (Vec<Step<'a>>, Vec<(Step<'a>, Step<'a>)>);

/// Expects a task in every ticket, as the gate does. Ticket by ticket, so that among ready tasks those of an earlier ticket come first.
fn steps(tasks: &Tasks) -> Steps<'_> {
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    let mut by_ticket: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for task in &tasks.tasks {
        by_ticket.entry(task.parent_ticket.as_str()).or_default().push(task.id.as_str());
    }
    for ticket in &tasks.tickets {
        let own = ticket.id.as_str();
        nodes.push(Step::Open(own));
        for &task in by_ticket.get(own).into_iter().flatten() {
            nodes.push(Step::Do(task));
            edges.extend([(Step::Do(task), Step::Open(own)), (Step::Close(own), Step::Do(task))]);
        }
        nodes.push(Step::Close(own));
        edges.extend(
            ticket.depends_on.iter().map(|other| (Step::Open(own), Step::Close(other.as_str()))),
        );
    }
    for task in &tasks.tasks {
        edges.extend(
            task.depends_on
                .iter()
                .map(|other| (Step::Do(task.id.as_str()), Step::Do(other.as_str()))),
        );
    }
    (nodes, edges)
}

/// `inconsistencies` has seen every circle already; should it have missed one, it is said here.
fn contradiction(steps: &[Step<'_>]) -> Finding {
    let names: Vec<&str> = steps.iter().map(|step| step.name()).collect();
    Finding::error(
        "ticket_order_contradicted",
        "tasks.tasks",
        format!("Tickets and tasks wait for one another: {}.", names.join(" → ")),
        "Drop one of these dependencies.",
    )
}

fn matrix(requirements: &Requirements, tasks: &Tasks) -> Vec<CoverageRow> {
    requirements
        .requirements
        .iter()
        .map(|requirement| {
            let meeting =
                || tasks.tasks.iter().filter(|task| task.requirements.contains(&requirement.id));
            let parents: BTreeSet<&TicketKey> = meeting().map(|task| &task.parent_ticket).collect();
            CoverageRow {
                requirement: requirement.id.clone(),
                title: requirement.title.clone(),
                tasks: meeting().map(|task| task.id.clone()).collect(),
                tickets: tasks
                    .tickets
                    .iter()
                    .map(|ticket| &ticket.id)
                    .filter(|ticket| parents.contains(ticket))
                    .cloned()
                    .collect(),
            }
        })
        .collect()
}

fn totals(matrix: &[CoverageRow], tasks: &Tasks) -> Totals {
    let files = |list: fn(&crate::documents::tasks::SpecTask) -> &[crate::path::RepoPath]| {
        tasks.tasks.iter().flat_map(list).collect::<BTreeSet<_>>().len()
    };
    Totals {
        requirements: matrix.len(),
        covered: matrix.iter().filter(|row| row.is_covered()).count(),
        tickets: tasks.tickets.len(),
        tasks: tasks.tasks.len(),
        estimated_hours: hundredths(tasks.tasks.iter().map(|task| task.estimated_hours).sum()),
        files_to_create: files(|task| &task.files_to_create),
        files_to_modify: files(|task| &task.files_to_modify),
    }
}

fn tasks_of(steps: &[Step<'_>], tasks: &Tasks) -> Vec<SpecTaskKey> {
    pick(steps, |step| match step {
        Step::Do(task) => tasks.tasks.iter().map(|one| &one.id).find(|id| id.as_str() == task),
        Step::Open(_) | Step::Close(_) => None,
    })
}

fn pick<'a, K: Clone + 'a>(steps: &[Step<'_>], key: impl Fn(Step<'_>) -> Option<&'a K>) -> Vec<K> {
    steps.iter().filter_map(|step| key(*step)).cloned().collect()
}

/// Whole hundredths: sums of fractions must read the same after a trip through JSON.
fn hundredths(hours: f64) -> f64 {
    (hours * 100.0).round() / 100.0
}
