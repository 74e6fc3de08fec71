//! `sync.md`

use super::markdown::{cell, section, table};
use super::mermaid;
use crate::documents::Sync;

pub(super) fn body(sync: &Sync) -> String {
    let totals = &sync.totals;
    let matrix = table(
        &["Requirement", "Title", "Tasks", "Tickets"],
        sync.coverage_matrix.iter().map(|row| {
            vec![
                row.requirement.to_string(),
                cell(&row.title),
                names(&row.tasks, ", "),
                names(&row.tickets, ", "),
            ]
        }),
    );
    let counts = table(
        &["What", "How many"],
        [
            ("Requirements", totals.requirements.to_string()),
            ("Requirements covered", totals.covered.to_string()),
            ("Tickets", totals.tickets.to_string()),
            ("Tasks", totals.tasks.to_string()),
            ("Estimated hours", totals.estimated_hours.to_string()),
            ("Files to create", totals.files_to_create.to_string()),
            ("Files to change", totals.files_to_modify.to_string()),
        ]
        .map(|(what, count)| vec![what.to_owned(), count]),
    );
    let path = &sync.critical_path;
    let critical = format!("{}\n\n{} hours.\n", names(&path.tasks, " → "), path.hours);
    [
        format!("Feature: `{}`\n\n", sync.feature_name),
        format!("{} of {} requirements are covered.\n\n", totals.covered, totals.requirements),
        section(2, "Counts", &counts),
        section(2, "Coverage", &matrix),
        section(2, "Coverage as a picture", &mermaid::coverage(sync)),
        section(2, "Order of tickets", &names(&sync.ticket_order, " → ")),
        section(2, "Order of tasks", &names(&sync.task_order, " → ")),
        section(2, "Critical path", &critical),
    ]
    .concat()
}

fn names<K: ToString>(keys: &[K], between: &str) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}
