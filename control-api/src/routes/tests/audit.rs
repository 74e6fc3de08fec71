//! The audit log while something is being done.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::testing::{OWNER_TOKEN, Running, until};

async fn line_of(api: &Running, route: &str) -> Option<Value> {
    let (_, all) = api.get("/api/v1/audit").await;
    let items = all["items"].as_array().unwrap();
    items.iter().find(|entry| entry["route"] == route).cloned()
}

#[tokio::test]
async fn what_is_being_done_is_in_the_log_before_it_is_done() {
    let api = Running::with_waiting_worker().await;
    let body = json!({ "description": "Idea" }).to_string();
    let address = api.base.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let (first, rest) = body.split_at(5);
    let head = format!(
        "POST /api/v1/specs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {OWNER_TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{first}",
        body.len(),
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let begun = until("the deed is in the log", async || line_of(&api, "POST /api/v1/specs").await);
    let begun = begun.await;
    assert_eq!((&begun["user"], begun.get("status")), (&json!("owner"), None), "{begun}");
    assert_eq!(api.get("/api/v1/specs").await.1["items"], json!([]), "it is not done yet");

    connection.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let done = line_of(&api, "POST /api/v1/specs").await.unwrap();
    assert_eq!((&done["id"], &done["status"]), (&begun["id"], &json!(201)), "{done}");
    assert!(done["thing_id"].is_string(), "{done}");
    api.end().await;
}
