//! Whose keys a run has, and what is done with what it reports, when rights or keys go meanwhile.

use std::sync::Arc;

use serde_json::{Value, json};
use specwright_shared::wire::credential::SecretText;

use super::access::user;
use crate::auth::SealKeys;
use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running, WAITING_WORKER};

const KEY_ONE: &str = "0000000000000000000000000000000000000000000000000000000000000001";
const KEY_TWO: &str = "0000000000000000000000000000000000000000000000000000000000000002";
const OF_ADA: &str = "ghp_of-ada-0123456789";

fn keys(keys: &str) -> Option<Arc<SealKeys>> {
    Some(Arc::new(SealKeys::parse(keys).unwrap()))
}

/// What a new worker of a sandbox is handed.
async fn handed(api: &Running, sandbox: &str) -> Option<String> {
    let worker = Worker::hello(api, sandbox.parse().unwrap()).await;
    worker.welcome.credentials.github_token.as_ref().map(SecretText::reveal).map(str::to_owned)
}

/// A run that Ben began of a spec of Ada's, in a project that is both's; Ada has a key, the project none.
/// The spec, the sandbox, and the project.
async fn run_of_adas(api: &Running) -> [String; 3] {
    let (ada, ben) = (user(api, "ada").await, user(api, "ben").await);
    let by = async |token: &str, method: &str, path: &str, body: Value| {
        let (status, answer) = api.request(method, path, token, Some(&body)).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    };
    let text = |of: &Value| of.as_str().unwrap().to_owned();
    let project = by(&ada, "POST", "/api/v1/projects", json!({ "name": "both's" })).await;
    let project = text(&project["id"]);
    let member = format!("/api/v1/projects/{project}/members/ben");
    by(&ada, "PUT", &member, json!({ "role": "owner" })).await;
    let idea = json!({ "description": "an idea", "project_id": project });
    let spec = text(&by(&ada, "POST", "/api/v1/specs", idea).await["id"]);
    by(&ada, "PUT", "/api/v1/credentials/github_token", json!({ "value": OF_ADA })).await;
    let run = by(&ben, "POST", &format!("/api/v1/specs/{spec}/execute"), json!({})).await;
    [spec, text(&run["sandbox_id"]), project]
}

#[tokio::test]
async fn a_run_has_its_owners_keys_as_long_as_they_are_there_and_of_the_project() {
    let set = |config: &mut crate::config::Config| config.seal_keys = keys(KEY_ONE);
    let api = Running::with_settings(WAITING_WORKER, set).await;
    let [spec, sandbox, project] = run_of_adas(&api).await;
    assert_eq!(handed(&api, &sandbox).await.as_deref(), Some(OF_ADA), "whoever runs it");

    let (_, users) = api.get("/api/v1/users").await;
    let ada = users["items"].as_array().unwrap().iter().find(|user| user["name"] == "ada").unwrap();
    let ada = ada["id"].as_str().unwrap();
    assert_eq!(api.post(&format!("/api/v1/users/{ada}/disable"), &json!({})).await.0, 200);
    assert_eq!(handed(&api, &sandbox).await, None, "she is disabled");
    assert_eq!(api.post(&format!("/api/v1/users/{ada}/enable"), &json!({})).await.0, 200);
    assert_eq!(handed(&api, &sandbox).await.as_deref(), Some(OF_ADA));
    let member = format!("/api/v1/projects/{project}/members/ada");
    assert_eq!(api.status("DELETE", &member, OWNER_TOKEN, &Value::Null).await, 204);
    assert_eq!(handed(&api, &sandbox).await, None, "she has left the project");

    // An agent that has seen it before may still say it, here and by another replica.
    let other = api.beside().await;
    let mut worker = Worker::hello(&api, sandbox.parse().unwrap()).await;
    assert!(worker.welcome.credentials.is_empty());
    for replica in [&api, &other] {
        worker = worker.by(replica);
        let line = worker.event("spec.progress", None, json!({ "message": OF_ADA }));
        worker.report(&[line]).await;
    }
    let (_, page) = api.get(&format!("/api/v1/specs/{spec}/events")).await;
    let items = page["items"].as_array().unwrap();
    let said: Vec<_> = items.iter().map(|event| &event["data"]["message"]).collect();
    assert_eq!(said, ["[redacted]", "[redacted]"]);
    drop(worker);
    other.end().await;
    api.end().await;
}

#[tokio::test]
async fn while_a_key_is_away_nothing_is_stored_that_cannot_be_cleaned_of_it_and_then_all_is() {
    let set = |config: &mut crate::config::Config| config.seal_keys = keys(KEY_ONE);
    let api = Running::with_settings(WAITING_WORKER, set).await;
    let [spec, sandbox, _] = run_of_adas(&api).await;
    let mut worker = Worker::hello(&api, sandbox.parse().unwrap()).await;
    let said = |step: u64| json!({ "message": format!("{step}: {OF_ADA}") });
    let lines = [1, 2].map(|step| worker.event("spec.progress", None, said(step)));

    // Replicas that were started with the new key alone, and with none.
    for away in [keys(KEY_TWO), None] {
        let other = api.beside_with(|config| config.seal_keys = away).await;
        let url = format!("{}/api/v1/sandboxes/{sandbox}/events", other.base);
        let batch = json!({ "generation": 1, "events": lines });
        let answer = other.http.post(url).bearer_auth(&worker.token).json(&batch).send().await;
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (503, &"10".parse().unwrap())
        );
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], "unavailable", "{problem}");
        assert!(!problem.to_string().contains(OF_ADA), "{problem}");
        let (_, page) = other.get(&format!("/api/v1/specs/{spec}/events")).await;
        assert_eq!(page["items"], json!([]), "it was stored");
        other.end().await;
    }

    let both = format!("{KEY_TWO},{KEY_ONE}");
    let other = api.beside_with(|config| config.seal_keys = keys(&both)).await;
    let worker = worker.by(&other);
    worker.report(&lines).await;
    let (_, page) = other.get(&format!("/api/v1/specs/{spec}/events")).await;
    let items = page["items"].as_array().unwrap();
    let said: Vec<_> = items.iter().map(|event| &event["data"]["message"]).collect();
    assert_eq!(said, ["1: [redacted]", "2: [redacted]"]);
    drop(worker);
    other.end().await;
    api.end().await;
}
