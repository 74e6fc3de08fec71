//! What one tenant names means nothing in another's place: ids of messages, and keys of requests.

use serde_json::{Value, json};
use uuid::Uuid;

use super::access::user;
use crate::testing::Running;
use crate::testing::worker::Worker;

/// A run of this user's: its sandbox.
async fn run(api: &Running, token: &str) -> String {
    let idea = json!({ "spec": { "description": "an idea" } });
    let (status, launched) = api.request("POST", "/api/v1/specs/launch", token, Some(&idea)).await;
    assert_eq!(status, 202, "{launched}");
    launched["sandbox_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_message_of_anothers_is_neither_read_nor_moved_nor_replaced_by_its_id() {
    let api = Running::with_waiting_worker().await;
    let (ada, ben) = (user(&api, "ada").await, user(&api, "ben").await);
    let (of_ada, of_ben) = (run(&api, &ada).await, run(&api, &ben).await);
    let path = |sandbox: &str| format!("/api/v1/sandboxes/{sandbox}/messages");
    let id = Uuid::now_v7();
    let say = async |token: &str, sandbox: &str, text: &str| {
        let message = json!({ "id": id, "kind": "user_message", "text": text });
        api.request("POST", &path(sandbox), token, Some(&message)).await
    };
    assert_eq!(say(&ada, &of_ada, "for Ada's agent").await.0, 201);
    let (status, problem) = say(&ben, &of_ben, "for Ben's agent").await;
    assert_eq!((status, &problem["type"]), (422, &json!("invalid-request")), "{problem}");
    assert!(!problem.to_string().contains("Ada"), "{problem}");

    // Ben's worker says what became of a message that is not its own.
    let mut worker = Worker::hello(&api, of_ben.parse().unwrap()).await;
    let receipt = json!({ "message_id": id, "status": "seen", "seen_as": "own_turn" });
    let line = worker.event("agent.message_injected", None, receipt);
    assert_eq!(worker.send(&[line]).await.0, 200, "a fact, without effect");
    let history = async |token: &str, sandbox: &str| {
        let (status, page) = api.request("GET", &path(sandbox), token, None::<&()>).await;
        assert_eq!(status, 200, "{page}");
        page["items"].clone()
    };
    let kept = history(&ada, &of_ada).await;
    assert_eq!(
        (&kept[0]["text"], &kept[0]["status"], kept.as_array().unwrap().len()),
        (&json!("for Ada's agent"), &json!("queued"), 1)
    );
    assert_eq!(history(&ben, &of_ben).await, json!([]));
    api.end().await;
}

#[tokio::test]
async fn the_key_of_a_request_is_of_its_own_run_alone() {
    let api = Running::with_waiting_worker().await;
    let (ada, ben) = (user(&api, "ada").await, user(&api, "ben").await);
    let (of_ada, of_ben) = (run(&api, &ada).await, run(&api, &ben).await);
    let mut made: Vec<Value> = Vec::new();
    for (token, sandbox, message) in [(&ada, &of_ada, "for Ada"), (&ben, &of_ben, "for Ben")] {
        let url = format!("{}/api/v1/sandboxes/{sandbox}/interventions", api.base);
        let nudge = json!({ "kind": "nudge", "reason": "r", "evidence": "e", "message": message });
        let request = api.http.post(url).bearer_auth(token).header("idempotency-key", "the-same");
        let answer = request.json(&nudge).send().await.unwrap();
        assert_eq!(answer.status(), 201, "it was taken for a repeat");
        made.push(answer.json().await.unwrap());
    }
    assert_ne!(made[0]["id"], made[1]["id"]);
    assert_eq!(made[0]["message"]["text"], "for Ada");
    assert_eq!(made[1]["message"]["text"], "for Ben");
    api.end().await;
}
