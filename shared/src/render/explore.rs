//! `explore.md`

use super::markdown::{cell, code, inline, list, prose, section, table};
use crate::documents::Explore;
use crate::documents::explore::{Conventions, FeatureSummary};

pub(super) fn body(explore: &Explore) -> String {
    let patterns = table(
        &["Pattern", "How it looks here", "Where"],
        explore.relevant_patterns.iter().map(|pattern| {
            let files = pattern.files.iter().map(|file| code(file)).collect::<Vec<_>>();
            vec![cell(&pattern.pattern), cell(&pattern.description), files.join(", ")]
        }),
    );
    let models = table(
        &["Model", "File", "Fields"],
        explore.existing_models.iter().map(|model| {
            let fields = model.fields.iter().map(|field| cell(field)).collect::<Vec<_>>();
            vec![cell(&model.name), code(&model.file), fields.join(", ")]
        }),
    );
    let related = table(
        &["What", "File", "Why"],
        explore
            .related_to_feature
            .iter()
            .map(|one| vec![cell(&one.name), code(&one.file), cell(&one.relevance)]),
    );
    let structure = explore.structure.iter().map(|place| (&*place.path, &*place.purpose));
    let key_files = explore.key_files.iter().map(|file| (&*file.path, &*file.purpose));
    let entry_points = explore.entry_points.iter();
    let entry_points = entry_points.map(|path| format!("- {}\n", code(path))).collect::<String>();
    let questions = explore
        .discovery_questions
        .iter()
        .map(|area| {
            let questions = list(area.questions.iter().map(|question| &**question));
            section(3, area.category.as_str(), &questions)
        })
        .collect::<String>();
    [
        feature(&explore.feature_summary),
        section(2, "The code base", &prose(&explore.codebase_summary)),
        section(3, "Kind of project", &inline(&explore.project_type)),
        section(3, "Tools in use", &list(explore.tech_stack.iter().map(|tool| &**tool))),
        section(2, "Structure", &places(structure)),
        section(2, "Key files", &places(key_files)),
        section(2, "Entry points", &entry_points),
        section(2, "Related code", &related),
        section(2, "Existing models", &models),
        section(2, "Patterns to follow", &patterns),
        conventions(&explore.conventions),
        section(2, "How tests are run", &prose(&explore.test_structure)),
        section(2, "Questions", &questions),
        section(2, "Notes", &explore.notes.as_deref().map(prose).unwrap_or_default()),
    ]
    .concat()
}

fn places<'a>(places: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    table(&["Path", "What it is for"], places.map(|(path, what)| vec![code(path), cell(what)]))
}

fn feature(summary: &FeatureSummary) -> String {
    [
        format!("## The feature: {}\n\n", code(summary.name.as_str())),
        format!("{}\n\n", inline(&summary.one_liner)),
        section(3, "Problem", &prose(&summary.problem_statement)),
        section(3, "In scope", &list(summary.scope_in.iter().map(|one| &**one))),
        section(3, "Out of scope", &list(summary.scope_out.iter().map(|one| &**one))),
        section(3, "Constraints", &list(summary.technical_constraints.iter().map(|one| &**one))),
        section(3, "Risks", &list(summary.risks_identified.iter().map(|one| &**one))),
        section(3, "Signs of success", &list(summary.success_metrics.iter().map(|one| &**one))),
    ]
    .concat()
}

fn conventions(conventions: &Conventions) -> String {
    [
        "## Conventions\n\n".to_owned(),
        section(3, "Naming", &prose(&conventions.naming)),
        section(3, "Testing", &prose(&conventions.testing)),
        section(3, "Habits", &list(conventions.patterns.iter().map(|one| &**one))),
    ]
    .concat()
}
