//! The gate of `tasks`: everything is covered, everything resolves, and the work can be ordered.

mod order;

use std::collections::{BTreeMap, BTreeSet};

use super::HasFile;
use super::findings::{
    Findings, acyclic, distinct_criteria, distinct_titles, is_missing, needed, reference,
    same_feature, unique_ids,
};
use crate::documents::{Accepted, Requirements, Tasks};
use crate::path::RepoPath;
use crate::phase::Phase;

/// The most hours of one task: a working week. More cannot be planned, only hoped.
const HOURS_MAX: f64 = 40.0;

/// The hours above which a task is better split: a working day.
const HOURS_LARGE: f64 = 8.0;

pub(super) fn check(
    tasks: &Tasks,
    earlier: &Accepted,
    has_file: HasFile<'_>,
    findings: &mut Findings,
) {
    let requirements = earlier.requirements.as_deref();
    if let Some(requirements) = needed(requirements, Phase::Requirements, findings) {
        references(tasks, requirements, findings);
    }
    distinct_titles("tickets", tasks.tickets.iter().map(|ticket| &*ticket.title), findings);
    distinct_titles("tasks", tasks.tasks.iter().map(|task| &*task.title), findings);
    for (index, ticket) in tasks.tickets.iter().enumerate() {
        let criteria = ticket.acceptance_criteria.iter().map(|criterion| &**criterion);
        distinct_criteria(&format!("tickets[{index}]"), criteria, findings);
    }
    for (index, task) in tasks.tasks.iter().enumerate() {
        let criteria = task.acceptance_criteria.iter().map(|criterion| &**criterion);
        distinct_criteria(&format!("tasks[{index}]"), criteria, findings);
        if task.estimated_hours > HOURS_LARGE && task.estimated_hours <= HOURS_MAX {
            findings.warning(
                "task_large",
                format!("tasks[{index}].estimated_hours"),
                format!("{} hours are more than a day's work.", task.estimated_hours),
                "Split the task; one to four hours is a good size.",
            );
        }
    }
    outside_ticket(tasks, findings);
    modified_files(tasks, has_file, findings);
}

/// Ids, references, hours, coverage and order: what `sync` computes with.
pub(super) fn references(tasks: &Tasks, requirements: &Requirements, findings: &mut Findings) {
    same_feature(&tasks.feature_name, &requirements.feature_name, Phase::Requirements, findings);
    let required: BTreeSet<&str> =
        requirements.requirements.iter().map(|one| one.id.as_str()).collect();
    let ticket_ids: Vec<&str> = tasks.tickets.iter().map(|ticket| ticket.id.as_str()).collect();
    let known_tickets = unique_ids("tickets", ticket_ids.iter().copied(), findings);
    let mut ticket_edges = Vec::new();
    for (index, ticket) in tasks.tickets.iter().enumerate() {
        let (at, own) = (format!("tickets[{index}]"), ticket.id.as_str());
        for (place, id) in ticket.requirements.iter().enumerate() {
            let at = format!("{at}.requirements[{place}]");
            reference(at, id.as_str(), None, &required, "requirement", findings);
        }
        for (place, target) in ticket.depends_on.iter().enumerate() {
            let at = format!("{at}.depends_on[{place}]");
            reference(at, target.as_str(), Some(own), &known_tickets, "ticket", findings);
            ticket_edges.push((own, target.as_str()));
        }
    }
    let task_ids: Vec<&str> = tasks.tasks.iter().map(|task| task.id.as_str()).collect();
    let known_tasks = unique_ids("tasks", task_ids.iter().copied(), findings);
    let mut task_edges = Vec::new();
    for (index, task) in tasks.tasks.iter().enumerate() {
        let (at, own) = (format!("tasks[{index}]"), task.id.as_str());
        let at_parent = format!("{at}.parent_ticket");
        reference(at_parent, task.parent_ticket.as_str(), None, &known_tickets, "ticket", findings);
        for (place, id) in task.requirements.iter().enumerate() {
            let at = format!("{at}.requirements[{place}]");
            reference(at, id.as_str(), None, &required, "requirement", findings);
        }
        for (place, target) in task.depends_on.iter().enumerate() {
            let at = format!("{at}.depends_on[{place}]");
            reference(at, target.as_str(), Some(own), &known_tasks, "task", findings);
            task_edges.push((own, target.as_str()));
        }
        hours(&at, task.estimated_hours, findings);
    }
    acyclic("tickets", &ticket_ids, &ticket_edges, findings);
    acyclic("tasks", &task_ids, &task_edges, findings);
    coverage(tasks, requirements, findings);
    // Only a plan whose parts are sound by themselves can be asked whether they fit together.
    if !findings.has_errors() {
        order::fits(tasks, findings);
    }
}

fn hours(at: &str, hours: f64, findings: &mut Findings) {
    if !hours.is_finite() || hours <= 0.0 || hours > HOURS_MAX {
        findings.error(
            "hours_out_of_range",
            format!("{at}.estimated_hours"),
            format!("{hours} is not more than 0 and at most {HOURS_MAX} hours."),
            "Estimate the hours of this task alone; split it if it takes more than a day.",
        );
    }
}

fn coverage(tasks: &Tasks, requirements: &Requirements, findings: &mut Findings) {
    let by_task: BTreeSet<&str> = tasks
        .tasks
        .iter()
        .flat_map(|task| task.requirements.iter().map(|id| id.as_str()))
        .collect();
    let by_ticket: BTreeSet<&str> = tasks
        .tickets
        .iter()
        .flat_map(|ticket| ticket.requirements.iter().map(|id| id.as_str()))
        .collect();
    for requirement in &requirements.requirements {
        let (id, title) = (requirement.id.as_str(), &requirement.title);
        for (covered, what, list) in
            [(&by_task, "task", "tasks"), (&by_ticket, "ticket", "tickets")]
        {
            if !covered.contains(id) {
                findings.error(
                    "requirement_not_covered",
                    list,
                    format!("No {what} meets {id} ({title})."),
                    format!(
                        "Name {id} in the `requirements` of the {what} that meets it, or add one."
                    ),
                );
            }
        }
    }
    let parents: BTreeSet<&str> =
        tasks.tasks.iter().map(|task| task.parent_ticket.as_str()).collect();
    for (index, ticket) in tasks.tickets.iter().enumerate() {
        if !parents.contains(ticket.id.as_str()) {
            findings.error(
                "ticket_without_task",
                format!("tickets[{index}]"),
                format!("{} has no task.", ticket.id),
                format!("Add a task with `parent_ticket` {}, or drop the ticket.", ticket.id),
            );
        }
    }
}

fn outside_ticket(tasks: &Tasks, findings: &mut Findings) {
    for (index, task) in tasks.tasks.iter().enumerate() {
        let Some(ticket) = tasks.tickets.iter().find(|ticket| ticket.id == task.parent_ticket)
        else {
            continue;
        };
        for (place, id) in task.requirements.iter().enumerate() {
            if !ticket.requirements.contains(id) {
                findings.warning(
                    "requirement_outside_ticket",
                    format!("tasks[{index}].requirements[{place}]"),
                    format!("{id} is not among the requirements of {}.", ticket.id),
                    format!("Add {id} to {}, or move the task.", ticket.id),
                );
            }
        }
    }
}

fn modified_files(tasks: &Tasks, has_file: HasFile<'_>, findings: &mut Findings) {
    let mut makers: BTreeMap<&RepoPath, BTreeSet<usize>> = BTreeMap::new();
    for (index, task) in tasks.tasks.iter().enumerate() {
        for path in &task.files_to_create {
            makers.entry(path).or_default().insert(index);
        }
    }
    for (index, task) in tasks.tasks.iter().enumerate() {
        for (place, path) in task.files_to_modify.iter().enumerate() {
            let made_by_another =
                makers.get(path).is_some_and(|makers| makers.iter().any(|maker| *maker != index));
            if is_missing(path, has_file) && !made_by_another {
                findings.error(
                    "path_missing",
                    format!("tasks[{index}].files_to_modify[{place}]"),
                    format!("`{path}` is not in the repository, and no other task creates it."),
                    "Move it to `files_to_create`, or name a file that exists.",
                );
            }
        }
    }
}
