//! Who reads for long: pages that wait, and streams.

use serde_json::{Value, json};

use super::access::{token, user};
use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running, until};

#[tokio::test]
async fn a_page_that_waits_is_refused_to_who_lost_the_right_to_read_meanwhile() {
    let api = Running::with_waiting_worker().await;
    let ben = user(&api, "ben").await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let member = format!("/api/v1/projects/{}/members/ben", launched.spec.project_id);
    let (status, _) =
        api.request("PUT", &member, OWNER_TOKEN, Some(&json!({ "role": "viewer" }))).await;
    assert_eq!(status, 200);
    let (revoked, reading) = token(&api, &ben, json!({ "name": "r", "kind": "readonly" })).await;
    // However the word is written.
    for (token, path, taken, wanted) in [
        (&reading, "?wait_ms=25000&after=", format!("/api/v1/tokens/{revoked}"), 401),
        (&ben, "?wait%5Fms=25000&after=", member.clone(), 404),
    ] {
        let events = format!("/api/v1/specs/{}/events", launched.spec.id);
        let (_, page) = api.get(&events).await;
        let path = format!("{events}{path}{}", page["next"].as_str().unwrap());
        let page = api.request("GET", &path, token, None::<&()>);
        let meanwhile = async {
            // The other one is the look itself.
            until("the page waits", async || {
                (api.number("specwright_requests_open").await == 2.0).then_some(())
            })
            .await;
            let by = if wanted == 401 { &ben } else { OWNER_TOKEN };
            assert_eq!(api.status("DELETE", &taken, by, &Value::Null).await, 204);
            let line = worker.event("spec.progress", None, json!({ "message": "not for Ben" }));
            worker.report(&[line]).await;
        };
        let ((status, answer), ()) = tokio::join!(page, meanwhile);
        assert_eq!(status, wanted, "{answer}");
        assert!(!answer.to_string().contains("not for Ben"), "{answer}");
    }
    api.end().await;
}

#[tokio::test]
async fn a_token_has_so_many_streams_open_and_others_have_their_own() {
    let api = Running::with_waiting_worker().await;
    let (ada, ben) = (user(&api, "ada").await, user(&api, "ben").await);
    let url = format!("{}/api/v1/events/stream", api.base);
    let open = async |token: &str| api.http.get(&url).bearer_auth(token).send().await.unwrap();
    let mut streams = Vec::new();
    let refused = loop {
        let answer = open(&ada).await;
        if answer.status() != 200 {
            break answer;
        }
        streams.push(answer);
        assert!(streams.len() <= 100, "there is no bound");
    };
    assert_eq!((streams.len(), refused.status().as_u16()), (100, 429));
    assert_eq!(refused.headers()["retry-after"], "10");
    assert!(refused.headers()["ratelimit"].to_str().unwrap().starts_with("\"person\";r="));
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "rate-limited");
    assert!(problem["detail"].as_str().unwrap().contains("100 streams open"), "{problem}");
    assert_eq!(open(&ben).await.status(), 200, "another token has its own");
    // A page is no stream.
    assert_eq!(api.request("GET", "/api/v1/events", &ada, None::<&()>).await.0, 200);
    drop(streams.pop());
    until("what was closed makes room", async || (open(&ada).await.status() == 200).then_some(()))
        .await;
    api.end().await;
}
