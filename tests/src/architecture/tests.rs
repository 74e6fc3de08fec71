use super::*;

fn source(path: &str, text: &str) -> Source {
    Source { path: path.into(), text: text.into() }
}

fn why(path: &str, text: &str) -> Vec<String> {
    violations(&[source(path, text)]).into_iter().map(|one| one.why).collect()
}

#[test]
fn the_sources_keep_the_rules() {
    let sources = sources();
    assert!(sources.len() > 50, "only {} files were found", sources.len());
    let found: Vec<String> = violations(&sources).iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_manifests_keep_the_rules() {
    let dependencies = dependencies();
    let expected = ("specwright-worker".to_owned(), "specwright-shared".to_owned());
    assert!(dependencies.contains(&expected), "{dependencies:?}");
    assert_eq!(wrong_dependencies(&dependencies), []);
}

#[test]
fn a_dependency_in_the_wrong_direction_is_found() {
    let upwards = [("specwright-shared".to_owned(), "specwright-worker".to_owned())];
    assert_eq!(wrong_dependencies(&upwards).len(), 1);
    let sideways = [("specwright-worker".to_owned(), "specwright-control-api".to_owned())];
    assert_eq!(wrong_dependencies(&sideways).len(), 1);
    let a_library = [("specwright-shared".to_owned(), "serde".to_owned())];
    assert!(wrong_dependencies(&a_library).is_empty());
}

#[test]
fn an_import_in_the_wrong_direction_is_found_with_its_line() {
    let text = "use serde::Serialize;\nuse specwright_control_api::store;\n";
    let found = violations(&[source("worker/src/deliver.rs", text)]);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "worker/src/deliver.rs:2: specwright-worker may not import specwright-control-api"
    );
    assert_eq!(why("control-api/src/ingest.rs", "specwright_worker::run();").len(), 1);
    assert_eq!(why("shared/src/gate.rs", "use specwright_worker as worker;").len(), 1);
    assert!(why("cli/src/main.rs", "use specwright_worker::run;").is_empty());
    assert!(why("worker/src/run.rs", "use specwright_shared::phase::Phase;").is_empty());
}

#[test]
fn sql_outside_of_the_store_is_found() {
    let select = "let rows = query(\"SELECT id FROM specs\");";
    assert_eq!(why("control-api/src/routes/specs/list.rs", select).len(), 1);
    assert_eq!(why("control-api/src/ingest.rs", "use sqlx::Row;").len(), 1);
    assert_eq!(why("control-api/src/ingest.rs", "\"UPDATE specs SET status = $1\"").len(), 1);
    assert!(why("control-api/src/store/spec.rs", select).is_empty());
    assert!(why("control-api/src/store.rs", "use sqlx::Row;").is_empty());
}

#[test]
fn a_process_that_is_started_elsewhere_is_found() {
    assert_eq!(why("worker/src/run.rs", "tokio::process::Command::new(\"git\")").len(), 1);
    assert_eq!(why("cli/src/commands/say.rs", "use std::process::{Command, Stdio};").len(), 1);
    assert!(why("worker/src/workspace/git.rs", "use std::process::Command;").is_empty());
    assert!(why("control-api/src/sandboxes/local.rs", "use tokio::process::Command;").is_empty());
    assert!(why("cli/src/main.rs", "use std::process::ExitCode;").is_empty());
    assert!(why("cli/src/main.rs", "use clap::Command;").is_empty());
}

#[test]
fn reading_the_environment_elsewhere_is_found() {
    assert_eq!(why("worker/src/run.rs", "std::env::var(\"SPEC_ID\")").len(), 1);
    assert_eq!(why("cli/src/main.rs", "env::var_os(\"HOME\")").len(), 1);
    assert_eq!(why("worker/src/configuration.rs", "std::env::vars()").len(), 1);
    assert!(why("worker/src/config.rs", "std::env::var_os(name)").is_empty());
    assert!(why("control-api/src/config/sandboxes.rs", "env::vars_os()").is_empty());
}

#[test]
fn the_pure_crate_may_not_touch_the_outside() {
    assert_eq!(why("shared/src/gate.rs", "let now = SystemTime::now();").len(), 1);
    assert_eq!(why("shared/src/render.rs", "use std::fs;").len(), 1);
    assert!(why("shared/src/time.rs", "fn from(time: SystemTime) -> Self {").is_empty());
}

#[test]
fn comments_and_tests_of_the_product_are_left_alone() {
    assert!(why("worker/src/run.rs", "/// Unlike `std::env::var`, this …").is_empty());
    let tests = "fn work() {}\n\n#[cfg(test)]\nmod tests {\n    use std::process::Command;\n}\n";
    assert!(why("worker/src/run.rs", tests).is_empty());
    assert!(why("worker/tests/run.rs", "use std::process::Command;").is_empty());
}

#[test]
fn a_module_that_is_declared_for_tests_is_left_alone_and_its_neighbour_is_not() {
    let starts = "use std::process::Command;\n";
    let parent = source("worker/src/run.rs", "#[cfg(test)]\nmod server;\nmod loop_;\n");
    let of_tests = source("worker/src/run/server.rs", starts);
    let below = source("worker/src/run/server/disk.rs", starts);
    let neighbour = source("worker/src/run/loop_.rs", starts);
    let found = violations(&[parent, of_tests, below, neighbour]);
    let paths: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["worker/src/run/loop_.rs"]);

    let root = source("worker/src/lib.rs", "#[cfg(test)]\npub(crate) mod testing;\n");
    assert!(violations(&[root, source("worker/src/testing.rs", starts)]).is_empty());
}
