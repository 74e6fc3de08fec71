use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use specwright_shared::wire::problem::ProblemType;

use super::*;

/// A real server on loopback that answers as the closure says; `hits` counts its requests.
async fn serving(
    answer: impl Fn(usize) -> axum::response::Response + Clone + Send + Sync + 'static,
) -> (Client, Arc<AtomicUsize>, tokio::task::JoinHandle<()>) {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let handler = async move || answer(counted.fetch_add(1, Ordering::SeqCst));
    let router = Router::new().fallback(handler.clone()).route("/healthz", get(handler));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (Client::new(&base, "token").unwrap(), hits, server)
}

fn problem(kind: ProblemType, detail: &str) -> axum::response::Response {
    let body = serde_json::to_vec(&Problem::new(kind, detail)).unwrap();
    let status = StatusCode::from_u16(kind.status()).unwrap();
    (status, [(header::CONTENT_TYPE, problem::MEDIA_TYPE)], body).into_response()
}

fn json(body: &'static str) -> axum::response::Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[tokio::test]
async fn a_problem_is_told_in_its_own_sentence_and_not_asked_again() {
    let (client, hits, server) =
        serving(|_| problem(ProblemType::NotFound, "there is no spec 7")).await;
    let error = client.specs(SpecFilter::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no spec 7");
    assert_eq!(error.problem(), Some(ProblemType::NotFound));
    assert_eq!(hits.load(Ordering::SeqCst), 1);
    server.abort();
}

#[tokio::test]
async fn a_get_is_sent_again_when_the_failure_may_pass() {
    let (client, hits, server) = serving(|hit| match hit {
        0 => problem(ProblemType::TimedOut, "busy"),
        1 => (StatusCode::BAD_GATEWAY, "no upstream").into_response(),
        _ => json("{}"),
    })
    .await;
    client.health().await.unwrap();
    assert_eq!(hits.load(Ordering::SeqCst), 3);
    server.abort();
}

#[tokio::test]
async fn a_post_is_sent_once_whatever_happens() {
    let (client, hits, server) = serving(|_| problem(ProblemType::TimedOut, "busy")).await;
    let id = uuid::Uuid::from_u128(7).into();
    let error = client.execute(id, &Default::default()).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemType::TimedOut));
    assert_eq!(hits.load(Ordering::SeqCst), 1);
    server.abort();
}

#[tokio::test]
async fn every_page_of_a_list_is_fetched() {
    let (client, _, server) = serving(|hit| match hit {
        0 => json(
            r#"{"items":[{"id":"01890a5d-ac96-774b-bcce-b302099a8057","name":"a","owner":"o",
                "created_at":"2026-11-18T11:06:40.000001Z"}],"next":"c"}"#,
        ),
        _ => json(r#"{"items":[]}"#),
    })
    .await;
    assert_eq!(client.projects().await.unwrap().len(), 1);
    server.abort();
}

#[tokio::test]
async fn an_answer_of_another_program_is_called_that() {
    let (client, _, server) =
        serving(|_| (StatusCode::NOT_FOUND, "<html>nothing here</html>").into_response()).await;
    let error = client.projects().await.unwrap_err().to_string();
    assert!(error.contains("HTTP 404") && error.contains("not a control API"), "{error}");
    server.abort();
}

#[tokio::test]
async fn a_proxy_that_reaches_nobody_is_called_that_and_a_deed_is_not_done_twice() {
    let (client, hits, server) =
        serving(|_| (StatusCode::BAD_GATEWAY, "<html>no upstream</html>").into_response()).await;
    let id = uuid::Uuid::from_u128(7).into();
    let error = client.execute(id, &Default::default()).await.unwrap_err().to_string();
    for part in ["the proxy at", "HTTP 502", "look whether it was done"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 1);
    server.abort();
}

#[tokio::test]
async fn nobody_listening_is_said_with_the_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(&base, "token").unwrap();
    let error = client.say(uuid::Uuid::from_u128(1).into(), &message()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&base), "{error}");
}

#[test]
fn an_address_is_checked_before_anything_is_sent() {
    for bad in ["localhost:80", "ftp://x", "no url", "http://"] {
        assert!(Client::new(bad, "t").is_err(), "{bad} was taken");
    }
    assert!(Client::new("http://[::1]:1/", "t").unwrap().is_local());
    assert!(Client::new("http://127.0.0.1:1", "t").unwrap().is_local());
    let far = Client::new("https://specwright.example/team", "t").unwrap();
    assert!(!far.is_local());
    assert_eq!(far.base(), "https://specwright.example/team");
}

#[test]
fn the_token_is_not_in_the_debug_text() {
    let client = Client::new("http://127.0.0.1:1", "s3cret").unwrap();
    assert!(!format!("{client:?}").contains("s3cret"));
}

fn message() -> specwright_shared::wire::message::NewMessage {
    serde_json::from_str(r#"{"kind":"user_message","text":"hello"}"#).unwrap()
}
