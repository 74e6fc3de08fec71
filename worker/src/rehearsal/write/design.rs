//! `design`: a new module for the feature, the existing files that call it, and its tests.

use specwright_shared::documents::design::{
    Component, DataModel, ErrorCase, Field, Interface, TestingStrategy,
};
use specwright_shared::documents::{Design, Explore, Requirements};
use specwright_shared::id::RequirementId;
use specwright_shared::list::List;

use super::{LABEL, Layout, Survey, WriteError, line, lines, text};
use crate::rehearsal::idea::cut;

/// Requirement ids that one component may list.
const IDS_MAX: usize = 100;
/// Existing files that become components.
const TOUCHED_MAX: usize = 4;

pub(super) fn write(
    requirements: &Requirements,
    explore: &Explore,
    survey: &Survey,
) -> Result<Design, WriteError> {
    let feature = requirements.feature_name.as_str();
    let layout = Layout::of(requirements, explore, survey)?;
    let mut components = modules(requirements, &layout)?;
    let module = components.first().map(|component| component.name.clone());
    for file in explore.key_files.iter().take(TOUCHED_MAX) {
        let name = line(&*file.path)?;
        components.push(Component {
            name,
            kind: line("existing file")?,
            file_path: Some(file.path.clone()),
            responsibility: text(format!(
                "Keeps its part ({}) and calls the new module where the behaviour changes.",
                file.purpose
            ))?,
            interfaces: List::default(),
            dependencies: List::fitted(module.clone()),
            requirements: List::default(),
        });
    }
    // A file may be named twice, and long paths are cut to fit a name: names stay unique.
    let mut names = std::collections::BTreeSet::new();
    components.retain(|component| names.insert(component.name.to_string()));
    Ok(Design {
        feature_name: requirements.feature_name.clone(),
        architecture_overview: text(format!(
            "A module of its own holds what `{feature}` decides; the existing files named below call \
             it. That keeps the change small, and lets the decision be tested without the rest.\n\n\
             ({LABEL}: this is the usual shape of such a change, not a weighed one.)"
        ))?,
        architecture_diagram: None,
        components: List::new(components)?,
        data_models: List::fitted([settings(feature)?]),
        api_endpoints: List::default(),
        integration_points: List::fitted([text(format!(
            "The entry points found ({}) read the settings and hand them to the module.",
            explore.entry_points.len()
        ))?]),
        error_handling: List::fitted([
            ErrorCase {
                situation: text("An input is missing, malformed or beyond its bounds.")?,
                response: text("It is refused with a message that names it; nothing is stored.")?,
            },
            ErrorCase {
                situation: text("A setting has a wrong value.")?,
                response: text("The program does not start and says which setting is wrong.")?,
            },
        ]),
        testing_strategy: testing(requirements, explore, &layout)?,
        security_considerations: List::fitted([text(
            "Inputs are bounded in size before they are looked at.",
        )?]),
        migration_plan: None,
    })
}

/// The new module. With more requirements than one component may list, it is drawn in parts.
fn modules(requirements: &Requirements, layout: &Layout) -> Result<Vec<Component>, WriteError> {
    let feature = requirements.feature_name.as_str();
    let ids: Vec<RequirementId> =
        requirements.requirements.iter().map(|requirement| requirement.id.clone()).collect();
    ids.chunks(IDS_MAX)
        .enumerate()
        .map(|(part, ids)| {
            let name = match part {
                0 => format!("{feature} module"),
                _ => format!("{feature} module, part {}", part + 1),
            };
            Ok(Component {
                name: line(name)?,
                kind: line("module")?,
                file_path: layout.module.clone(),
                responsibility: text(format!(
                    "Decides everything about `{feature}`, and only that."
                ))?,
                interfaces: List::fitted([
                    Interface {
                        method: line("decide")?,
                        inputs: List::fitted(lines(["settings", "the request or event at hand"])?),
                        outputs: List::fitted(lines([
                            "what is to be done, or a refusal with its reason",
                        ])?),
                    },
                    Interface {
                        method: line("settings from configuration")?,
                        inputs: List::fitted(lines(["the configuration's values"])?),
                        outputs: List::fitted(lines([
                            "checked settings, or the value that is wrong",
                        ])?),
                    },
                ]),
                dependencies: List::default(),
                requirements: List::new(ids.to_vec())?,
            })
        })
        .collect()
}

fn settings(feature: &str) -> Result<DataModel, WriteError> {
    let field = |name: &str, kind: &str, description: &str, nullable: bool| {
        Ok::<_, WriteError>(Field {
            name: line(name)?,
            kind: line(kind)?,
            description: Some(text(description)?),
            nullable,
        })
    };
    Ok(DataModel {
        name: line(format!("{feature} settings"))?,
        table_name: None,
        description: text(format!("What can be configured about `{feature}`."))?,
        fields: List::new(vec![
            field("enabled", "boolean", "Whether the feature is on.", false)?,
            field("limits", "map of numbers", "The numbers that the idea names.", true)?,
        ])?,
        indexes: List::default(),
        relationships: List::default(),
    })
}

/// Tests that are listed; the rest follows from the criteria.
const TESTS_LISTED_MAX: usize = 40;

fn testing(
    requirements: &Requirements,
    explore: &Explore,
    layout: &Layout,
) -> Result<TestingStrategy, WriteError> {
    let place = layout.test.as_ref().map_or_else(String::new, |path| format!(" (in {path})"));
    let unit = requirements
        .requirements
        .iter()
        .take(TESTS_LISTED_MAX)
        .map(|requirement| format!("{}: {}", requirement.id, requirement.title));
    Ok(TestingStrategy {
        unit_tests: List::new(lines(unit)?)?,
        integration_tests: List::fitted(lines([
            format!("One test through the existing entry point with the feature on{place}"),
            "One with the feature off: everything is as before".to_owned(),
            format!("Existing tests: {}", cut(&explore.test_structure, 150)),
        ])?),
    })
}
