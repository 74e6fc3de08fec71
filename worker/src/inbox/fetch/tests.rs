//! Fetching from a control API of a few lines whose streams break in every way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use backon::BackoffBuilder as _;
use futures_util::{StreamExt as _, stream};
use specwright_shared::id::{MessageId, SandboxId};
use specwright_shared::time::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::Secret;

/// The silence that a stream may have here: far below what is waited for.
const SILENCE: Duration = Duration::from_secs(2);
/// Between two heartbeats: so many fit into a silence that a busy machine does not make one.
const BEAT: Duration = Duration::from_millis(100);
/// How long something is waited for: far beyond any of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What becomes of one stream after it said these messages.
#[derive(Clone, Copy)]
enum Then {
    /// It ends.
    Ends,
    /// It stays open, and nothing comes.
    Silence,
    /// Heartbeats for longer than the silence, then this message.
    Beats(u64),
}

type Streams = Mutex<VecDeque<(Vec<u64>, Then)>>;

/// What is asked of the control API, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Stream { after: u64 },
    Poll { after: u64 },
}

struct Control {
    streams: Streams,
    polled: Mutex<VecDeque<u64>>,
    asked: Mutex<Vec<Asked>>,
}

#[derive(serde::Deserialize)]
struct After {
    after: u64,
}

fn message(position: u64) -> Message {
    let new = serde_json::json!({ "kind": "user_message", "text": format!("{position}") });
    let new = serde_json::from_value(new).unwrap();
    let id = MessageId(uuid::Uuid::now_v7());
    Message::queued(id, position, &new, None, Timestamp::from_micros(1))
}

fn pushed(position: u64) -> Bytes {
    let data = serde_json::to_string(&message(position)).unwrap();
    format!("id: {position}\nevent: message\ndata: {data}\n\n").into()
}

async fn stream(State(control): State<Arc<Control>>, Query(query): Query<After>) -> Response {
    control.asked.lock().unwrap().push(Asked::Stream { after: query.after });
    let next = control.streams.lock().unwrap().pop_front();
    let Some((said, then)) = next else { return http::StatusCode::NOT_FOUND.into_response() };
    let said = stream::iter(said.into_iter().map(pushed));
    let chunks = match then {
        Then::Ends => said.boxed(),
        Then::Silence => said.chain(stream::pending()).boxed(),
        Then::Beats(last) => said.chain(beats(last)).boxed(),
    };
    let body = Body::from_stream(chunks.map(Ok::<_, std::io::Error>));
    ([(http::header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

/// Comments, each well within the silence, for twice as long; then a message.
fn beats(last: u64) -> impl futures_util::Stream<Item = Bytes> {
    stream::unfold(0, move |number| async move {
        tokio::time::sleep(BEAT).await;
        let chunk = if number < 40 { Bytes::from_static(b":\n\n") } else { pushed(last) };
        (number <= 40).then_some((chunk, number + 1))
    })
    .chain(stream::pending())
}

async fn poll(State(control): State<Arc<Control>>, Query(query): Query<After>) -> Response {
    control.asked.lock().unwrap().push(Asked::Poll { after: query.after });
    let next = control.polled.lock().unwrap().pop_front();
    match next {
        Some(position) => {
            let messages = vec![message(position)];
            Json(Poll { messages, stop: None, pause: false }).into_response()
        }
        None => std::future::pending().await,
    }
}

/// Fetches until so many messages came; their positions, and what was asked for them.
async fn fetched(
    streams: Vec<(Vec<u64>, Then)>,
    polled: Vec<u64>,
    count: usize,
) -> (Vec<u64>, Vec<Asked>) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let (streams, polled) = (Mutex::new(streams.into()), Mutex::new(polled.into()));
    let control = Arc::new(Control { streams, polled, asked: Mutex::default() });
    let sandbox = SandboxId(uuid::Uuid::now_v7());
    let at = format!("/sandboxes/{sandbox}/messages");
    let routes = Router::new()
        .route(&format!("{at}/stream"), get(stream))
        .route(&format!("{at}/poll"), get(poll))
        .with_state(Arc::clone(&control));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
    let token = Secret::new("a-token-of-a-sandbox".to_owned());
    let api = Api::with_stream_silence(&url, sandbox, token, SILENCE).unwrap();
    let place = tempfile::tempdir().unwrap();
    let (inbox, _) = Inbox::open(place.path()).unwrap();
    let (arrivals, mut arrived) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let fetching = tokio::spawn(inbox.run(api, arrivals, stop.clone()));
    let mut positions = Vec::new();
    while positions.len() < count {
        let arrival = tokio::time::timeout(PATIENCE, arrived.recv()).await;
        match arrival.expect("a message within the patience").expect("fetching goes on") {
            Arrival::Messages(messages) => {
                positions.extend(messages.iter().map(|message| message.position));
            }
            other => panic!("{other:?}"),
        }
    }
    stop.cancel();
    fetching.await.unwrap();
    serving.abort();
    let asked = control.asked.lock().unwrap().clone();
    (positions, asked)
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again_behind_the_last_message() {
    let streams = vec![(vec![1, 2], Then::Ends), (vec![3], Then::Silence)];
    let (positions, asked) = fetched(streams, vec![], 3).await;
    assert_eq!(positions, [1, 2, 3]);
    assert_eq!(asked, [Asked::Stream { after: 0 }, Asked::Stream { after: 2 }]);
}

#[test]
fn after_a_cut_every_try_comes_within_a_second_of_the_one_before() {
    for seed in 0..50 {
        let waits: Vec<Duration> = pauses().with_jitter_seed(seed).build().take(100).collect();
        assert_eq!(waits.len(), 100, "there is no last try");
        let first = waits[0];
        assert!(first < Duration::from_millis(150), "the first try waits {first:?}");
        let longest = waits.into_iter().max().unwrap();
        // The rest of the second is for the connection.
        assert!(longest <= Duration::from_millis(800), "{longest:?}");
    }
}

#[tokio::test]
async fn a_stream_without_heartbeats_is_given_up_and_opened_again() {
    let streams = vec![(vec![1], Then::Silence), (vec![2], Then::Silence)];
    let (positions, asked) = fetched(streams, vec![], 2).await;
    assert_eq!(positions, [1, 2]);
    assert_eq!(asked, [Asked::Stream { after: 0 }, Asked::Stream { after: 1 }]);
}

#[tokio::test]
async fn a_stream_with_heartbeats_is_kept_however_long_nothing_is_said() {
    let (positions, asked) = fetched(vec![(vec![1], Then::Beats(2))], vec![], 2).await;
    assert_eq!(positions, [1, 2]);
    assert_eq!(asked, [Asked::Stream { after: 0 }]);
}

#[tokio::test]
async fn a_message_that_comes_twice_is_taken_once() {
    let streams = vec![(vec![1], Then::Ends), (vec![1, 2], Then::Silence)];
    let (positions, _) = fetched(streams, vec![], 2).await;
    assert_eq!(positions, [1, 2]);
}

#[tokio::test]
async fn messages_are_polled_where_a_stream_is_held_back_or_refused() {
    let (positions, asked) = fetched(vec![(vec![], Then::Silence)], vec![1], 1).await;
    assert_eq!(positions, [1]);
    assert_eq!(asked, [Asked::Stream { after: 0 }, Asked::Poll { after: 0 }]);

    let (positions, asked) = fetched(vec![], vec![1, 2], 2).await;
    assert_eq!(positions, [1, 2]);
    let (stream, poll) = (|after| Asked::Stream { after }, |after| Asked::Poll { after });
    assert_eq!(asked, [stream(0), poll(0), stream(1), poll(1)]);
}
