//! `design.md`

use super::markdown::{cell, code, inline, list, prose, section, table};
use super::mermaid;
use crate::documents::Design;
use crate::documents::design::{ApiEndpoint, Component, DataModel, ErrorCase};

pub(super) fn body(design: &Design) -> String {
    let migration = design.migration_plan.as_deref().map(prose).unwrap_or_default();
    let testing = [
        section(3, "One part", &list(design.testing_strategy.unit_tests.iter().map(|one| &**one))),
        section(
            3,
            "Parts together",
            &list(design.testing_strategy.integration_tests.iter().map(|one| &**one)),
        ),
    ]
    .concat();
    [
        format!("Feature: `{}`\n\n", design.feature_name),
        section(2, "Architecture", &prose(&design.architecture_overview)),
        section(2, "Diagram", &mermaid::architecture(design)),
        section(2, "Components", &design.components.iter().map(component).collect::<String>()),
        section(2, "Data models", &design.data_models.iter().map(data_model).collect::<String>()),
        section(2, "API", &api(&design.api_endpoints)),
        section(2, "Integration", &list(design.integration_points.iter().map(|one| &**one))),
        section(2, "What can go wrong", &errors(&design.error_handling)),
        section(2, "Tests", &testing),
        section(2, "Security", &list(design.security_considerations.iter().map(|one| &**one))),
        section(2, "Migration", &migration),
    ]
    .concat()
}

fn component(component: &Component) -> String {
    let path = component.file_path.as_deref().map(|path| format!(", {}", code(path)));
    let interfaces = table(
        &["Offers", "In", "Out"],
        component
            .interfaces
            .iter()
            .map(|one| vec![code(&one.method), cells(&one.inputs), cells(&one.outputs)]),
    );
    let uses = component.dependencies.iter().map(|name| inline(name)).collect::<Vec<_>>();
    let serves = component.requirements.iter().map(ToString::to_string).collect::<Vec<_>>();
    [
        format!("### {}\n\n", inline(&component.name)),
        format!("{}{}\n\n", inline(&component.kind), path.unwrap_or_default()),
        format!("{}\n", prose(&component.responsibility)),
        if interfaces.is_empty() { interfaces } else { interfaces + "\n" },
        sentence("Uses", &uses),
        sentence("Serves", &serves),
    ]
    .concat()
}

fn sentence(verb: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("{verb} {}.\n\n", names.join(", ")) }
}

fn cells(lines: &[crate::text::Line]) -> String {
    lines.iter().map(|line| code(line)).collect::<Vec<_>>().join(", ")
}

fn data_model(model: &DataModel) -> String {
    let fields = table(
        &["Field", "Type", "May be missing", "What it holds"],
        model.fields.iter().map(|field| {
            let missing = if field.nullable { "yes" } else { "no" };
            let description = field.description.as_deref().map(cell).unwrap_or_default();
            vec![code(&field.name), code(&field.kind), missing.to_owned(), description]
        }),
    );
    let table_name = model.table_name.as_deref().map(|name| format!("Table {}.\n\n", code(name)));
    [
        format!("### {}\n\n", inline(&model.name)),
        table_name.unwrap_or_default(),
        format!("{}\n{fields}\n", prose(&model.description)),
        section(4, "Indexes", &list(model.indexes.iter().map(|one| &**one))),
        section(4, "Relationships", &list(model.relationships.iter().map(|one| &**one))),
    ]
    .concat()
}

fn api(endpoints: &[ApiEndpoint]) -> String {
    let overview = table(
        &["Method", "Path", "What it does", "Caller must be known"],
        endpoints.iter().map(|endpoint| {
            let known = if endpoint.auth_required { "yes" } else { "no" };
            let path = code(&endpoint.path);
            let what = cell(&endpoint.description);
            vec![endpoint.method.as_str().to_owned(), path, what, known.to_owned()]
        }),
    );
    let details: String = endpoints.iter().map(endpoint).collect();
    if overview.is_empty() { overview } else { format!("{overview}\n{details}") }
}

fn endpoint(endpoint: &ApiEndpoint) -> String {
    let body = [
        section(4, "Request", &endpoint.request.as_deref().map(prose).unwrap_or_default()),
        section(4, "Answer", &endpoint.response.as_deref().map(prose).unwrap_or_default()),
        section(4, "Refusals", &errors(&endpoint.errors)),
    ]
    .concat();
    section(3, &format!("{} {}", endpoint.method.as_str(), code(&endpoint.path)), &body)
}

fn errors(cases: &[ErrorCase]) -> String {
    table(
        &["Situation", "What happens then"],
        cases.iter().map(|case| vec![cell(&case.situation), cell(&case.response)]),
    )
}
