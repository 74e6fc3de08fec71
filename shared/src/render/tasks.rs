//! `tasks.md`

use super::markdown::{cell, code, inline, prose, section, table};
use super::mermaid;
use crate::documents::Tasks;
use crate::documents::tasks::{PlannedTicket, SpecTask};

pub(super) fn body(tasks: &Tasks) -> String {
    let overview = table(
        &["Ticket", "Title", "Priority", "Size", "Depends on", "Tasks"],
        tasks.tickets.iter().map(|ticket| {
            let count = tasks.tasks.iter().filter(|task| task.parent_ticket == ticket.id).count();
            vec![
                ticket.id.to_string(),
                cell(&ticket.title),
                ticket.priority.as_str().to_owned(),
                ticket.estimate.as_str().to_owned(),
                names(&ticket.depends_on),
                count.to_string(),
            ]
        }),
    );
    [
        format!("Feature: `{}`\n\n", tasks.feature_name),
        section(2, "Tickets", &overview),
        section(2, "Order of tasks", &mermaid::dependencies(tasks)),
        tasks.tickets.iter().map(|ticket| describe(ticket, tasks)).collect(),
    ]
    .concat()
}

fn describe(ticket: &PlannedTicket, tasks: &Tasks) -> String {
    let own = tasks.tasks.iter().filter(|task| task.parent_ticket == ticket.id);
    [
        format!("## {}: {}\n\n", ticket.id, inline(&ticket.title)),
        format!("{}\n", prose(&ticket.description)),
        format!("Requirements: {}\n\n", names(&ticket.requirements)),
        section(3, "Done when", &criteria(&ticket.acceptance_criteria)),
        own.map(task).collect(),
    ]
    .concat()
}

fn task(task: &SpecTask) -> String {
    let facts = table(
        &["Type", "Priority", "Hours", "Depends on", "Requirements"],
        [vec![
            task.kind.as_str().to_owned(),
            task.priority.as_str().to_owned(),
            task.estimated_hours.to_string(),
            names(&task.depends_on),
            names(&task.requirements),
        ]],
    );
    [
        format!("### {}: {}\n\n", task.id, inline(&task.title)),
        format!("{facts}\n{}\n", prose(&task.description)),
        files("Creates", &task.files_to_create),
        files("Changes", &task.files_to_modify),
        section(4, "Done when", &criteria(&task.acceptance_criteria)),
    ]
    .concat()
}

fn criteria<const MAX: usize>(criteria: &[crate::text::Text<MAX>]) -> String {
    criteria.iter().map(|criterion| format!("- [ ] {}\n", inline(criterion))).collect()
}

fn files(verb: &str, paths: &[crate::path::RepoPath]) -> String {
    let paths = paths.iter().map(|path| code(path)).collect::<Vec<_>>();
    if paths.is_empty() { String::new() } else { format!("{verb} {}.\n\n", paths.join(", ")) }
}

fn names<K: ToString>(keys: &[K]) -> String {
    if keys.is_empty() {
        return "–".to_owned();
    }
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
