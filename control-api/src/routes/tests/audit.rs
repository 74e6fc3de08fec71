//! The audit log while something is being done.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::store::Store;
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

#[tokio::test]
async fn what_cannot_be_noted_is_not_done() {
    let api = Running::with_waiting_worker().await;
    // It has made its database when it answers.
    assert_eq!(api.get("/api/v1/specs").await.0, 200);
    let store = Store::open(&api.config.database_url).await.unwrap();
    let mut write = store.write().await.unwrap();
    crate::store::audit::take_none(&mut write).await;
    write.commit().await.unwrap();
    store.close().await;

    let idea = json!({ "description": "Idea" });
    let (status, problem) = api.post("/api/v1/specs", &idea).await;
    assert_eq!((status, &problem["type"]), (500, &json!("internal")), "{problem}");
    let (status, specs) = api.get("/api/v1/specs").await;
    assert_eq!((status, &specs["items"]), (200, &json!([])), "it was done");
    // Who is refused anyway is told the same as ever.
    let (status, _) = api.request("POST", "/api/v1/specs", "swt_nobody", Some(&idea)).await;
    assert_eq!(status, 401);
    api.end().await;
}
