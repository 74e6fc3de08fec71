//! `requirements.md`

use super::markdown::{cell, inline, list, prose, section, table};
use crate::documents::Requirements;
use crate::documents::requirements::Requirement;

pub(super) fn body(document: &Requirements) -> String {
    let overview = table(
        &["Requirement", "Title", "Priority"],
        document.requirements.iter().map(|one| {
            vec![one.id.to_string(), cell(&one.title), one.priority.as_str().to_owned()]
        }),
    );
    [
        format!("Feature: `{}`\n\n", document.feature_name),
        section(2, "Overview", &overview),
        "## Requirements\n\n".to_owned(),
        document.requirements.iter().map(requirement).collect(),
        section(2, "Assumptions", &list(document.assumptions.iter().map(|one| &**one))),
        section(2, "Out of scope", &list(document.out_of_scope.iter().map(|one| &**one))),
        section(2, "Open questions", &list(document.open_questions.iter().map(|one| &**one))),
    ]
    .concat()
}

fn requirement(one: &Requirement) -> String {
    let criteria = one.acceptance_criteria.iter();
    let criteria: String =
        criteria.map(|criterion| format!("- [ ] {}\n", inline(criterion))).collect();
    let builds_on = one.dependencies.iter().map(ToString::to_string).collect::<Vec<_>>();
    let builds_on = if builds_on.is_empty() {
        String::new()
    } else {
        format!("Builds on {}.\n\n", builds_on.join(", "))
    };
    let notes = one.notes.as_deref().map(prose).unwrap_or_default();
    let notes = if notes.is_empty() { notes } else { format!("{notes}\n") };
    format!(
        "### {}: {}\n\n{}\n\n{builds_on}**Acceptance criteria**\n\n{criteria}\n{notes}",
        one.id,
        inline(&one.title),
        inline(&one.text),
    )
}
