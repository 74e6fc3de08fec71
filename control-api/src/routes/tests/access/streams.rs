//! What a stream of all that one sees brings, and what it does not. It is known by what comes behind:
//! events come in the order of their commits, so who hears an event of their own and none of another
//! tenant's that was committed before it will not hear that one any more.

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use sse_stream::SseByteStream;

use super::{MARK, token, user};
use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running, until};

/// A project of a user with a run under way in it.
struct Owned<'a> {
    project: String,
    worker: Worker<'a>,
}

async fn owned<'a>(api: &'a Running, token: &str, name: &str) -> Owned<'a> {
    let (status, project) =
        api.request("POST", "/api/v1/projects", token, Some(&json!({ "name": name }))).await;
    assert_eq!(status, 201, "{project}");
    let launch = json!({ "spec": { "description": name, "project_id": project["id"] } });
    let (status, launched) =
        api.request("POST", "/api/v1/specs/launch", token, Some(&launch)).await;
    assert_eq!(status, 202, "{launched}");
    let sandbox = launched["sandbox_id"].as_str().unwrap().parse().unwrap();
    let project = project["id"].as_str().unwrap().to_owned();
    Owned { project, worker: Worker::hello(api, sandbox).await }
}

/// All that a stream brings, up to a text.
async fn heard(answer: reqwest::Response, last: &str) -> String {
    let mut frames = SseByteStream::new(answer.bytes_stream());
    let mut heard = String::new();
    let listen = async {
        while !heard.contains(last) {
            let frame = frames.next().await.expect("the stream goes on").unwrap();
            heard.push_str(&frame.data.unwrap_or_default());
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), listen).await;
    assert!(waited.is_ok(), "{last} did not come: {heard}");
    heard
}

#[tokio::test]
async fn a_stream_of_all_brings_each_what_they_may_see_and_nothing_else() {
    let api = Running::with_waiting_worker().await;
    let (heron, stork) = (user(&api, "heron").await, user(&api, "stork").await);
    let secret = owned(&api, &heron, "nest").await;
    let other = owned(&api, &heron, "other").await;
    let storks = owned(&api, &stork, "storks").await;
    let of = async |whose: &str, kind: &str, project: Option<&Owned<'_>>| {
        let project = project.map(|owned| &owned.project);
        token(&api, whose, json!({ "name": "t", "kind": kind, "project_id": project })).await.1
    };
    // Who hears it, and the last word that they hear.
    let mut callers = vec![
        (OWNER_TOKEN.to_owned(), true, "word-of-stork"),
        (heron.clone(), true, "word-of-other"),
        (stork.clone(), false, "word-of-stork"),
    ];
    for kind in ["user", "guardian", "readonly"] {
        callers.push((of(&heron, kind, Some(&secret)).await, true, "word-of-nest"));
        callers.push((of(&heron, kind, Some(&other)).await, false, "word-of-other"));
        callers.push((of(&stork, kind, None).await, false, "word-of-stork"));
    }
    let mut open = Vec::new();
    for (token, hears, last) in &callers {
        let request = api.http.get(format!("{}/api/v1/events/stream", api.base));
        let answer = request.bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        open.push((answer, *hears, *last));
    }
    let mut all = [secret, other, storks];
    for (whose, text) in
        [(0, MARK), (0, "word-of-nest"), (1, "word-of-other"), (2, "word-of-stork")]
    {
        let worker = &mut all[whose].worker;
        let said = worker.event("spec.progress", None, json!({ "message": text }));
        worker.report(&[said]).await;
    }
    for (answer, hears, last) in open {
        let heard = heard(answer, last).await;
        assert_eq!(heard.contains(MARK), hears, "up to {last}: {heard}");
    }
    // Who comes later finds the same behind the beginning, and a page is a piece of it.
    for (token, hears, last) in &callers {
        let page = until("the page reaches that far", async || {
            let path = "/api/v1/events?limit=200";
            let (status, page) = api.request("GET", path, token, None::<&Value>).await;
            assert_eq!(status, 200, "{page}");
            let page = page.to_string();
            page.contains(last).then_some(page)
        })
        .await;
        assert_eq!(page.contains(MARK), *hears, "up to {last}: {page}");
    }
    drop(all);
    api.end().await;
}
