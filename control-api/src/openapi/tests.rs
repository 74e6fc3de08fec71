use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// Compares with what is committed, or writes it.
fn is_fresh(name: &str, made: &str) {
    let path = committed(name);
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == made, "docs/{name} is not what the code says; run with UPDATE_OPENAPI=1");
}

#[test]
fn the_committed_document_is_what_the_code_says() {
    is_fresh("openapi.json", &(serde_json::to_string_pretty(&document()).unwrap() + "\n"));
}

#[test]
fn the_committed_list_of_problems_is_what_the_code_says() {
    is_fresh("problems.md", &problems::page());
}

#[test]
fn every_route_of_the_table_is_in_the_document_and_nothing_else() {
    let table: BTreeSet<String> =
        routes::table().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let document = document();
    let found: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    assert_eq!(found, table);
    let words: BTreeSet<String> = words::ALL.iter().map(|one| one.route.to_owned()).collect();
    assert_eq!(words, table, "each route has words, and no words are about nothing");
    assert_eq!(words.len(), words::ALL.len(), "no route has words twice");
}

#[test]
fn all_references_lead_somewhere_and_all_parameters_of_a_path_are_described() {
    let document = document();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(references.len() > 20, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        let named: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        for (method, operation) in methods.as_object().unwrap() {
            let described = operation["parameters"].as_array().into_iter().flatten();
            let described: BTreeSet<&str> = described
                .filter(|one| one["in"] == "path")
                .map(|one| one["name"].as_str().unwrap())
                .collect();
            assert_eq!(described, named, "{method} {path}");
        }
    }
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => {
            if let Some(reference) = all.get("$ref").and_then(Value::as_str) {
                references.insert(reference.to_owned());
            }
            all.values().for_each(|value| collect(value, references));
        }
        Value::Array(all) => all.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[test]
fn examples_are_what_their_routes_take() {
    let document = document();
    let mut examples = 0;
    for words in words::ALL {
        let Some(example) = words.example else { continue };
        examples += 1;
        let example: Value = serde_json::from_str(example).unwrap();
        let (method, path) = words.route.split_once(' ').unwrap();
        let body = &document["paths"][path][method.to_lowercase()]["requestBody"]["content"];
        let body = &body["application/json"];
        assert_eq!(body["example"], example, "{}", words.route);
        let mut schema = body["schema"].clone();
        schema["components"] = document["components"].clone();
        let errors = jsonschema::validator_for(&schema).unwrap();
        assert!(errors.is_valid(&example), "{}: {example}", words.route);
    }
    assert!(examples > 8);
}

#[test]
fn a_body_may_be_left_out_exactly_where_an_empty_one_says_enough() {
    let document = document();
    let (mut needed, mut spare) = (0, 0);
    for words in words::ALL {
        let (method, path) = words.route.split_once(' ').unwrap();
        let body = &document["paths"][path][method.to_lowercase()]["requestBody"];
        let mut schema = body["content"]["application/json"]["schema"].clone();
        if !schema.is_object() {
            continue;
        }
        schema["components"] = document["components"].clone();
        let is_enough = jsonschema::validator_for(&schema).unwrap().is_valid(&json!({}));
        assert_eq!(body["required"], !is_enough, "{}", words.route);
        *if is_enough { &mut spare } else { &mut needed } += 1;
    }
    assert!(needed > 0 && spare > 0);
}

#[test]
fn the_page_shows_every_operation_and_loads_nothing() {
    let document = document();
    let page = page::render(&document);
    for words in words::ALL {
        let (_, path) = words.route.split_once(' ').unwrap();
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    for kind in ProblemType::ALL {
        assert!(page.contains(&format!("problem-{}", kind.as_str())));
    }
    for outside in ["<script", "src=", "http://", "https://", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let hostile = page::render(&json!({ "info": { "title": "<script>\"&" } }));
    assert!(hostile.contains("&lt;script&gt;&quot;&amp;"));
}
