//! The gate of `explore`: what is named exists, and discovery covers its five areas.
//!
//! Deliberately absent: `structure`. It names directories, of which a repository, as git sees it, has
//! none.

use std::collections::BTreeMap;

use super::HasFile;
use super::findings::{Findings, is_missing};
use crate::documents::Explore;
use crate::documents::explore::DiscoveryArea;

pub(super) fn check(explore: &Explore, has_file: HasFile<'_>, findings: &mut Findings) {
    paths(explore, has_file, findings);
    discovery(explore, findings);
}

fn paths(explore: &Explore, has_file: HasFile<'_>, findings: &mut Findings) {
    const FIX: &str = "Name only files that you have seen, relative to the repository's root; \
                       correct the path or drop the entry.";
    let message = |path: &str| format!("`{path}` is not in the repository.");
    for (index, file) in explore.key_files.iter().enumerate() {
        if is_missing(&file.path, has_file) {
            let at = format!("key_files[{index}].path");
            findings.error("path_missing", at, message(&file.path), FIX);
        }
    }
    for (index, path) in explore.entry_points.iter().enumerate() {
        if is_missing(path, has_file) {
            findings.error("path_missing", format!("entry_points[{index}]"), message(path), FIX);
        }
    }
    let patterns =
        explore.relevant_patterns.iter().enumerate().flat_map(|(index, pattern)| {
            pattern.files.iter().enumerate().map(move |(file, path)| {
                (format!("relevant_patterns[{index}].files[{file}]"), path)
            })
        });
    let models = explore.existing_models.iter().enumerate();
    let models =
        models.map(|(index, model)| (format!("existing_models[{index}].file"), &model.file));
    let related = explore.related_to_feature.iter().enumerate();
    let related = related
        .map(|(index, related)| (format!("related_to_feature[{index}].file"), &related.file));
    for (at, path) in patterns.chain(models).chain(related) {
        if is_missing(path, has_file) {
            findings.warning("path_missing", at, message(path), FIX);
        }
    }
}

fn discovery(explore: &Explore, findings: &mut Findings) {
    let mut seen = BTreeMap::new();
    for (index, questions) in explore.discovery_questions.iter().enumerate() {
        let area = questions.category;
        if let Some(first) = seen.insert(area, index) {
            findings.error(
                "category_repeated",
                format!("discovery_questions[{index}].category"),
                format!("`{}` stands in discovery_questions[{first}] too.", area.as_str()),
                "Put all questions of an area into one entry.",
            );
        }
    }
    let missing: Vec<&str> = DiscoveryArea::ALL
        .iter()
        .filter(|area| !seen.contains_key(area))
        .map(|area| area.as_str())
        .collect();
    if !missing.is_empty() {
        findings.warning(
            "discovery_incomplete",
            "discovery_questions",
            format!("No questions are asked about {}.", missing.join(", ")),
            "Add an entry with at least one question for each of these areas.",
        );
    }
}
