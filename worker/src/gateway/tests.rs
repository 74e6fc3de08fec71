//! Real sockets on both sides: a model API of our own, and a client in the agent's place.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;

/// Bounded: a test that would hang fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the API got.
struct Seen {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

struct Api {
    base_url: String,
    seen: mpsc::Receiver<Seen>,
    /// Chunks of the answer, given by the test one by one; its end closes the answer.
    chunks: mpsc::Sender<Result<Bytes, std::io::Error>>,
}

/// An API that answers every request with `status` and the chunks that the test sends.
async fn api(status: StatusCode, stop: &CancellationToken) -> Api {
    let (see, seen) = mpsc::channel(4);
    let (chunks, answer) = mpsc::channel(4);
    let answer = Arc::new(tokio::sync::Mutex::new(Some(answer)));
    let handler = move |request: Request| {
        let (see, answer) = (see.clone(), Arc::clone(&answer));
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let path = parts.uri.to_string();
            see.send(Seen { path, headers: parts.headers, body }).await.ok();
            let chunks = answer.lock().await.take().expect("one request a test");
            let body =
                futures_util::stream::unfold(chunks, |mut chunks: mpsc::Receiver<_>| async {
                    chunks.recv().await.map(|chunk| (chunk, chunks))
                });
            let mut response = Response::new(Body::from_stream(body));
            *response.status_mut() = status;
            response.headers_mut().insert("retry-after", HeaderValue::from_static("17"));
            response
        }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let base_url = format!("http://{}/below", listener.local_addr().unwrap());
    let stopped = stop.clone().cancelled_owned();
    let routes = Router::new().fallback(handler);
    tokio::spawn(axum::serve(listener, routes).with_graceful_shutdown(stopped).into_future());
    Api { base_url, seen, chunks }
}

async fn gateway(base_url: &str, credential: Credential, stop: &CancellationToken) -> Gateway {
    let upstream = Upstream { base_url: base_url.to_owned(), credential };
    Gateway::start(upstream, unmetered(), stop).await.unwrap()
}

/// Nobody listens, nothing is limited.
fn unmetered() -> Metering {
    let patience =
        Patience { silence: Duration::from_secs(3600), pings: Duration::from_secs(3600) };
    let (facts, _) = mpsc::channel(1);
    let place = tempfile::NamedTempFile::new().unwrap();
    let (journal, _) = Journal::open(place.path()).unwrap();
    Metering { ledger: Ledger::default(), budget: Budget::of(None), journal, patience, facts }
}

fn agent() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen in time"))
}

#[tokio::test]
async fn an_answer_streams_chunk_by_chunk_with_the_real_key_in_the_request() {
    let stop = CancellationToken::new();
    let mut api = api(StatusCode::OK, &stop).await;
    let gateway = gateway(&api.base_url, Credential::ApiKey("real".into()), &stop).await;
    let request = agent()
        .post(format!("{}/v1/messages?beta=true", gateway.base_url))
        .header("x-api-key", &gateway.dummy_key)
        .header("anthropic-version", "2023-06-01")
        .body("{\"model\": 1 }");
    api.chunks.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
    let mut answer = in_time("the answer's head", request.send()).await.unwrap();
    // The second chunk does not exist yet.
    let chunk = in_time("the first chunk", answer.chunk()).await.unwrap();
    assert_eq!(chunk.as_deref(), Some(&b"first"[..]));
    api.chunks.send(Ok(Bytes::from_static(b"second"))).await.unwrap();
    drop(api.chunks);
    assert_eq!(in_time("the rest", answer.bytes()).await.unwrap(), "second");

    let seen = api.seen.recv().await.unwrap();
    assert_eq!(seen.path, "/below/v1/messages?beta=true");
    assert_eq!(seen.body, "{\"model\": 1 }");
    assert_eq!(seen.headers["x-api-key"], "real");
    assert_eq!(seen.headers["anthropic-version"], "2023-06-01");
    assert_eq!(gateway.last_upstream_status(), Some(200));
    in_time("the gateway's stop", gateway.stop()).await;
}

#[tokio::test]
async fn an_error_of_the_api_passes_with_its_headers_and_is_remembered() {
    let stop = CancellationToken::new();
    let api = api(StatusCode::UNAUTHORIZED, &stop).await;
    let gateway = gateway(&api.base_url, Credential::OAuth("real".into()), &stop).await;
    api.chunks.send(Ok(Bytes::from_static(b"no"))).await.unwrap();
    drop(api.chunks);
    let answer = agent()
        .post(format!("{}/v1/messages/count_tokens", gateway.base_url))
        .bearer_auth(&gateway.dummy_key)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["retry-after"], "17");
    assert_eq!(answer.text().await.unwrap(), "no");
    assert_eq!(gateway.last_upstream_status(), Some(401));
}

#[tokio::test]
async fn without_the_dummy_or_a_route_nothing_reaches_the_api() {
    let stop = CancellationToken::new();
    let mut api = api(StatusCode::OK, &stop).await;
    let gateway = gateway(&api.base_url, Credential::ApiKey("real".into()), &stop).await;
    let url = |path: &str| format!("{}{path}", gateway.base_url);
    let client = agent();
    let dummy = &gateway.dummy_key;
    let messages = || client.post(url("/v1/messages"));
    for (request, status) in [
        (messages(), 401),
        (messages().header("x-api-key", "real"), 401),
        (messages().bearer_auth(format!("{dummy}0")), 401),
        (client.get(url("/v1/messages")).header("x-api-key", dummy), 404),
        (client.post(url("/v1/files")).header("x-api-key", dummy), 404),
        (client.head(url("/api/hello")).header("x-api-key", dummy), 404),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{}", answer.url());
    }
    assert!(api.seen.try_recv().is_err(), "a request came through");
}

#[tokio::test]
async fn an_unreachable_api_is_an_error_in_the_apis_own_shape() {
    let stop = CancellationToken::new();
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let base_url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let gateway = gateway(&base_url, Credential::ApiKey("real".into()), &stop).await;
    let answer = agent()
        .post(format!("{}/v1/messages", gateway.base_url))
        .header("x-api-key", &gateway.dummy_key)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 502);
    let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!("api_error")));
    assert_eq!(gateway.last_upstream_status(), None);
}

#[tokio::test]
async fn a_stop_or_a_broken_api_never_looks_like_a_whole_answer() {
    for stopped in [true, false] {
        let stop = CancellationToken::new();
        let api = api(StatusCode::OK, &stop).await;
        let gateway = gateway(&api.base_url, Credential::ApiKey("real".into()), &stop).await;
        api.chunks.send(Ok(Bytes::from_static(b"half"))).await.unwrap();
        let mut answer = agent()
            .post(format!("{}/v1/messages", gateway.base_url))
            .header("x-api-key", &gateway.dummy_key)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.chunk().await.unwrap().as_deref(), Some(&b"half"[..]));
        if stopped {
            in_time("the gateway's stop", gateway.stop()).await;
        } else {
            api.chunks.send(Err(std::io::Error::other("broken"))).await.unwrap();
        }
        assert!(in_time("the end of the answer", answer.chunk()).await.is_err());
    }
}

#[tokio::test]
async fn a_wrong_upstream_is_refused_with_a_sentence() {
    let stop = CancellationToken::new();
    for base_url in ["", "api.anthropic.com", "ftp://host"] {
        let credential = Credential::ApiKey("real".into());
        let upstream = Upstream { base_url: base_url.into(), credential };
        assert!(matches!(
            Gateway::start(upstream, unmetered(), &stop).await,
            Err(GatewayError::BaseUrl { .. })
        ));
    }
    let credential = Credential::ApiKey("re\nal".into());
    let upstream = Upstream { base_url: "http://127.0.0.1:1".into(), credential };
    let Err(refusal) = Gateway::start(upstream, unmetered(), &stop).await else {
        panic!("accepted")
    };
    assert!(!refusal.to_string().contains("al\n"));
}
