//! The gate of `design`: names are unique, references resolve, every requirement has a component.

use std::collections::BTreeSet;

use super::findings::{Findings, needed, reference, same_feature, unique};
use crate::documents::{Accepted, Design, Requirements};
use crate::phase::Phase;

pub(super) fn check(design: &Design, earlier: &Accepted, findings: &mut Findings) {
    let requirements = earlier.requirements.as_deref();
    if let Some(requirements) = needed(requirements, Phase::Requirements, findings) {
        references(design, requirements, findings);
        unserved(design, requirements, findings);
    }
    let models = design.data_models.iter().map(|model| &*model.name);
    unique("data_models", "name", "name_repeated", models, findings);
    endpoints(design, findings);
}

/// Names and what refers to them.
pub(super) fn references(design: &Design, requirements: &Requirements, findings: &mut Findings) {
    same_feature(&design.feature_name, &requirements.feature_name, Phase::Requirements, findings);
    let names = design.components.iter().map(|component| &*component.name);
    unique("components", "name", "name_repeated", names, findings);
    let known = requirements.requirements.iter().map(|one| one.id.as_str()).collect();
    for (index, component) in design.components.iter().enumerate() {
        for (place, id) in component.requirements.iter().enumerate() {
            let at = format!("components[{index}].requirements[{place}]");
            reference(at, id.as_str(), None, &known, "requirement", findings);
        }
        for (place, dependency) in component.dependencies.iter().enumerate() {
            // A name that is no component is something outside (a library, a service).
            if **dependency == *component.name {
                findings.error(
                    "self_dependency",
                    format!("components[{index}].dependencies[{place}]"),
                    format!("`{dependency}` depends on itself."),
                    "Drop this entry.",
                );
            }
        }
    }
}

fn unserved(design: &Design, requirements: &Requirements, findings: &mut Findings) {
    let served: BTreeSet<&str> = design
        .components
        .iter()
        .flat_map(|component| component.requirements.iter().map(|id| id.as_str()))
        .collect();
    for requirement in &requirements.requirements {
        if !served.contains(requirement.id.as_str()) {
            findings.warning(
                "requirement_not_designed",
                "components",
                format!("No component serves {} ({}).", requirement.id, requirement.title),
                format!("Name {} in the component that meets it, or add one.", requirement.id),
            );
        }
    }
}

fn endpoints(design: &Design, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (index, endpoint) in design.api_endpoints.iter().enumerate() {
        let at = format!("api_endpoints[{index}].path");
        if !endpoint.path.starts_with('/') {
            findings.error(
                "path_not_absolute",
                at.clone(),
                format!("The path `{}` does not start with `/`.", endpoint.path),
                "Write the path only, starting with `/`, without host or method.",
            );
        }
        if !seen.insert((endpoint.method.as_str(), &*endpoint.path)) {
            findings.error(
                "endpoint_repeated",
                at,
                format!("{} {} is described twice.", endpoint.method.as_str(), endpoint.path),
                "Join the two entries.",
            );
        }
    }
}
