//! The bounds of every route: of its body, and of its time.

use std::time::Duration;

use futures_util::future::join_all;
use schemars::generate::SchemaGenerator;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::table;
use crate::auth::{Access, Thing};
use crate::openapi::describe::Shape;
use crate::testing::worker::token_of;
use crate::testing::{OWNER_TOKEN, Running};

/// How long a test waits for an answer that a route's own limit brings about.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn every_route_bounds_body_and_time() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let of_sandbox = token_of(&api, launched.sandbox_id).await;
    let (_, user) = api.post("/api/v1/users", &json!({ "name": "ada" })).await;
    let mut tried = 0;
    for route in table() {
        let what = format!("{} {}", route.method, route.path);
        assert!((1..=8 * 1024 * 1024).contains(&route.body_max), "{what}: {}", route.body_max);
        let seconds = route.time_max.as_secs();
        assert!((1..=60).contains(&seconds), "{what}: {seconds} s");

        let mut shape = Shape::default();
        (route.describe)(&mut SchemaGenerator::default(), &mut shape);
        if shape.body.is_none() && !shape.takes_bytes {
            continue;
        }
        let id = match Thing::of(route.path) {
            Some(Thing::Sandbox) => launched.sandbox_id.to_string(),
            Some(Thing::Spec) => launched.spec.id.to_string(),
            Some(Thing::Project) => launched.spec.project_id.to_string(),
            Some(Thing::User) => user["id"].as_str().unwrap().to_owned(),
            None => String::new(),
            Some(other) => panic!("{what} takes a body for a {}", other.word()),
        };
        let name = if route.path.contains("/members/") { "ada" } else { "github_token" };
        let mut path = route.path.replace("{id}", &id).replace("{name}", name);
        if path.ends_with("/transcript") {
            path.push_str(&format!("?session_id={}&generation=1", uuid::Uuid::nil()));
        }
        let own = route.access == Access::OwnSandbox;
        let token = if own { of_sandbox.as_str() } else { OWNER_TOKEN };
        let request = api.http.request(route.method.clone(), format!("{}{path}", api.base));
        let request = request.bearer_auth(token).header("idempotency-key", "k");
        // One more than it takes: read to its end, so that the answer reaches who sent it.
        let answer = request.body(vec![b' '; route.body_max + 1]).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 413, "{what}: {text}");
        assert!(text.contains("\"too-large\""), "{what}: {text}");
        tried += 1;
    }
    assert!(tried >= 15, "only {tried} routes take a body");
    assert_eq!(api.get("/api/v1/specs").await.0, 200);
    api.end().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_waited_for_as_long_as_its_route_says() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let of_sandbox = token_of(&api, launched.sandbox_id).await;
    let address = api.base.strip_prefix("http://").unwrap();
    let sandbox = format!("/api/v1/sandboxes/{}", launched.sandbox_id);
    let waits = [
        ("/api/v1/specs".to_owned(), OWNER_TOKEN),
        (format!("{sandbox}/heartbeat"), of_sandbox.as_str()),
        (format!("{sandbox}/events"), of_sandbox.as_str()),
    ]
    .map(|(path, token)| async move {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"x\""
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = connection.read_to_string(&mut answer);
        let read = tokio::time::timeout(PATIENCE, read).await;
        assert!(read.is_ok(), "{path} waits for ever");
        assert!(answer.starts_with("HTTP/1.1 503"), "{path}: {answer}");
        assert!(answer.contains("\"timed-out\""), "{path}: {answer}");
    });
    join_all(waits).await;
    let (_, specs) = api.get("/api/v1/specs").await;
    assert_eq!(specs["items"].as_array().unwrap().len(), 1, "only what was launched");
    api.end().await;
}
