//! The OpenAPI document, made from the table of routes: paths and access from the table, parameters
//! and bodies from the handlers' own types ([`describe`]), sentences from [`words`].
//!
//! What holds: every route of the table is in it and nothing else; the committed `docs/openapi.json`
//! is what the code says; and no test of this crate gets an answer with a status that it does not
//! list (`declared`).
//!
//! Deliberately absent: a second derivation beside schemars', from which the committed schemas come.

pub(crate) mod describe;
pub(crate) mod page;
mod problems;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};
use specwright_shared::wire::problem::{MEDIA_TYPE, Problem, ProblemType};

use self::describe::Shape;
use self::words::{Answer, Words};
use crate::auth::Access;
use crate::routes::{self, Route};

/// Where schemas are found.
const SCHEMAS: &str = "/components/schemas";

const ABOUT: &str = "From an idea to a verified spec, tickets and pull requests, by coding agents that \
    can be watched, steered and stopped.\n\nErrors are `application/problem+json`; `x-problem-types` \
    lists their types with cause and remedy. An unknown path is answered with `not-found`, a known one \
    with another method with `method-not-allowed`. Lists come in pages: `next` of one is `after` of the \
    one behind it. Times are RFC 3339 in UTC. Each answer has an `x-request-id` and a \
    `traceparent` (W3C trace context; one that is sent is taken up), and behind a token `RateLimit` \
    headers.";

/// The document.
pub(crate) fn document() -> Value {
    // As what is read: clients may leave out what has a default, and answers are no less than that.
    let settings = SchemaSettings::draft2020_12().with(|all| {
        all.definitions_path = SCHEMAS.into();
        all.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>().to_value();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in routes::table() {
        let (method, operation) = operation(&mut generator, &route, &problem);
        paths.entry(route.path).or_default().insert(method, operation);
    }
    let mut schemas = generator.take_definitions(true);
    for schema in schemas.values_mut() {
        tidy(schema);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Specwright control API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "A person's or a program's token (`specwright token create`).",
                },
                "sandbox": {
                    "type": "http", "scheme": "bearer",
                    "description": "The token of one sandbox, which opens that sandbox's worker routes.",
                },
            },
        },
        "x-problem-types": problems::list(),
    })
}

fn words_of(route: &Route) -> Option<&'static Words> {
    let name = format!("{} {}", route.method, route.path);
    words::ALL.iter().find(|words| words.route == name)
}

fn operation(generator: &mut SchemaGenerator, route: &Route, problem: &Value) -> (String, Value) {
    let mut shape = Shape::default();
    (route.describe)(generator, &mut shape);
    let Some(words) = words_of(route) else {
        // A test sees to it that this is never so.
        return (route.method.as_str().to_lowercase(), json!({ "responses": {} }));
    };
    if let Some(schema) = words.body {
        shape.body = Some(schema(generator));
    }
    let mut operation = json!({
        "summary": words.summary,
        "operationId": operation_id(route),
        "tags": [tag(route.path)],
        "security": security(route.access),
        "responses": responses(generator, route, words, &shape, problem),
    });
    let mut parameters = shape.parameters;
    for (name, required, description) in words.headers {
        parameters.push(json!({
            "name": name, "in": "header", "required": required, "description": description,
            "schema": { "type": "string" },
        }));
    }
    if !parameters.is_empty() {
        parameters.iter_mut().for_each(tidy);
        operation["parameters"] = parameters.into();
    }
    if shape.takes_bytes {
        let content = json!({ "application/gzip": { "schema": {} } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    if let Some(mut schema) = shape.body {
        let needed = says_something(&schema, generator);
        tidy(&mut schema);
        let mut json = json!({ "schema": schema });
        if let Some(example) = words.example.and_then(|text| serde_json::from_str(text).ok()) {
            json["example"] = example;
        }
        let mut body = json!({ "required": needed, "content": { "application/json": json } });
        if shape.may_be_packed {
            body["description"] = "May be packed: `Content-Encoding: gzip`.".into();
        }
        operation["requestBody"] = body;
    }
    (route.method.as_str().to_lowercase(), operation)
}

/// Whether a body has something that has no default; an absent one counts as `{}`.
fn says_something(schema: &Value, generator: &SchemaGenerator) -> bool {
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let whole = name.and_then(|name| generator.definitions().get(name)).unwrap_or(schema);
    whole["required"].as_array().is_some_and(|names| !names.is_empty())
}

/// A name for generated clients: `get_specs_by_id_events`.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1").trim_matches('/');
    let words: Vec<String> = std::iter::once(route.method.as_str().to_lowercase())
        .chain(path.split(['/', '.']).map(|part| match part.strip_prefix('{') {
            Some(name) => format!("by_{}", name.trim_end_matches('}')),
            None => part.to_owned(),
        }))
        .collect();
    words.join("_")
}

/// What it is about: the collection.
fn tag(path: &str) -> &str {
    path.strip_prefix("/api/v1/")
        .map_or("operation", |path| path.split('/').next().unwrap_or_default())
}

fn security(access: Access) -> Value {
    match access {
        Access::Public => json!([]),
        Access::OwnSandbox => json!([{ "sandbox": [] }]),
        Access::Deed(_) => json!([{ "token": [] }]),
    }
}

/// The problems that a route can be answered with: what follows from the table and the types, and its
/// own.
fn problems_of(
    route: &Route,
    words: &Words,
    shape: &Shape,
) -> BTreeMap<u16, BTreeSet<&'static str>> {
    use ProblemType as P;
    let mut all = words.problems.to_vec();
    if route.access != Access::Public {
        all.extend([P::Unauthorized, P::Forbidden, P::RateLimited, P::TimedOut, P::Unavailable]);
        all.push(P::Internal);
    } else if route.path == "/readyz" {
        all.extend([P::TimedOut, P::Unavailable, P::Internal]);
    }
    if route.path.contains('{') {
        all.extend([P::NotFound, P::InvalidRequest]);
    }
    let takes_body = shape.body.is_some() || shape.takes_bytes;
    if takes_body || !shape.parameters.is_empty() {
        all.push(P::InvalidRequest);
    }
    if takes_body {
        all.push(P::TooLarge);
    }
    let mut by_status: BTreeMap<u16, BTreeSet<&str>> = BTreeMap::new();
    for kind in all {
        by_status.entry(kind.status()).or_default().insert(kind.as_str());
    }
    by_status
}

fn responses(
    generator: &mut SchemaGenerator,
    route: &Route,
    words: &Words,
    shape: &Shape,
    problem: &Value,
) -> Value {
    let mut responses = Map::new();
    for &status in words.statuses {
        let mut answer = json!({ "description": meaning(status) });
        let (media, schema) = match words.answer {
            Answer::Typed => ("application/json", shape.answer.clone()),
            Answer::Json(schema) => ("application/json", Some(schema(generator))),
            Answer::Events => ("text/event-stream", Some(json!({ "type": "string" }))),
            Answer::Of(media) => (media, Some(json!({}))),
        };
        if let Some(mut schema) = schema.filter(|_| !matches!(status, 204 | 304)) {
            tidy(&mut schema);
            answer["content"] = json!({ media: { "schema": schema } });
        }
        responses.insert(status.to_string(), answer);
    }
    for (status, kinds) in problems_of(route, words, shape) {
        let kinds: Vec<String> = kinds.into_iter().map(|kind| format!("`{kind}`")).collect();
        let mut answer = json!({
            "description": kinds.join(", "),
            "content": { MEDIA_TYPE: { "schema": problem } },
        });
        if matches!(status, 429 | 503) {
            let seconds = json!({ "type": "integer", "minimum": 1 });
            answer["headers"] = json!({ "Retry-After": {
                "description": "After how many seconds the same may be asked again.",
                "schema": seconds,
            } });
        }
        responses.insert(status.to_string(), answer);
    }
    responses.into()
}

const fn meaning(status: u16) -> &'static str {
    match status {
        200 => "Done, or there already.",
        201 => "Made.",
        202 => "Asked for; it happens from here on.",
        204 => "Gone.",
        304 => "Nothing is new.",
        _ => "The answer.",
    }
}

/// Widths of integers are no formats that others know.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(all) => {
            let is_width = |format: &Value| {
                format.as_str().is_some_and(|name| name.starts_with("uint") || name == "int8")
            };
            if all.get("format").is_some_and(is_width) {
                all.remove("format");
            }
            all.values_mut().for_each(tidy);
        }
        Value::Array(all) => all.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Whether the document lists this status for this route.
#[cfg(test)]
pub(crate) fn declared(method: &http::Method, path: &str, status: u16) -> bool {
    static DOCUMENT: std::sync::LazyLock<Value> = std::sync::LazyLock::new(document);
    let method = method.as_str().to_lowercase();
    DOCUMENT["paths"][path][method]["responses"].get(status.to_string()).is_some()
}
