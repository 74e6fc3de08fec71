//! Streams over real sockets: what is stored, then what comes; filters, ends, and other replicas.

mod concurrent;
mod ends;
mod expired;
mod fallen;
mod idle;
mod pages;
mod subscriber;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use specwright_shared::wire::event::{EventView, RawEvent};

use self::subscriber::{Frame, Subscriber};
use crate::config::Looks;
use crate::store::Store;
use crate::store::postgres_server::PostgresServer;
use crate::testing::worker::{Worker, event};
use crate::testing::{OWNER_TOKEN, Running, WAITING_WORKER, until};

fn progress(seq: u64) -> RawEvent {
    event(seq, "spec.progress", None, json!({ "message": format!("step {seq}\nnext line") }))
}

fn said(seq: u64) -> RawEvent {
    event(seq, "agent.words", None, json!({ "text": format!("words {seq}") }))
}

#[tokio::test]
async fn stored_events_come_first_then_new_ones_and_a_reader_goes_on_where_it_was_cut() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    worker.send(&[progress(1), said(2)]).await;
    let (_, page) = api.get(&format!("/api/v1/specs/{}/events", launched.spec.id)).await;
    for path in [
        format!("/api/v1/specs/{}/events", launched.spec.id),
        format!("/api/v1/sandboxes/{}/events", launched.sandbox_id),
        "/api/v1/events".to_owned(),
    ] {
        let (_, same) = api.get(&format!("{path}?limit=2")).await;
        assert_eq!(same["items"], page["items"], "{path}");
        let mut all = Subscriber::open(&api, &format!("{path}/stream"), None).await;
        let mut messages =
            Subscriber::open(&api, &format!("{path}/stream?type=agent.*,x.y"), None).await;
        let first = all.next().await;
        assert_eq!(first.json(), page["items"][0], "{path}");
        assert_eq!(all.next().await.json(), page["items"][1], "{path}");
        assert_eq!(messages.next().await.json(), page["items"][1], "{path}");
        let mut again =
            Subscriber::open(&api, &format!("{path}/stream"), first.id.as_deref()).await;
        assert_eq!(again.next().await.json(), page["items"][1], "{path}");
        let after = same["next"].as_str().unwrap();
        let mut by_query =
            Subscriber::open(&api, &format!("{path}/stream?after={after}"), None).await;

        let (_, now) = api.get(&format!("{path}?limit=200")).await;
        let seq = now["items"].as_array().unwrap().len() as u64 + 1;
        worker.send(&[said(seq)]).await;
        for subscriber in [&mut all, &mut messages, &mut again, &mut by_query] {
            // What other streams' turns of this loop added comes first to whom it is new.
            let event: EventView = loop {
                let event: EventView =
                    serde_json::from_value(subscriber.next().await.json()).unwrap();
                if event.event.seq >= seq {
                    break event;
                }
            };
            assert_eq!((event.event.seq, event.spec_id), (seq, Some(launched.spec.id)), "{path}");
        }
        let (_, filtered) = api.get(&format!("{path}?type=agent.words&limit=1")).await;
        assert_eq!(filtered["items"][0], page["items"][1], "{path}");
        let next = filtered["next"].as_str().unwrap();
        let (_, rest) = api.get(&format!("{path}?type=agent.*&after={next}")).await;
        assert_eq!(rest["items"][0]["data"]["text"], "words 3", "{path}: {rest}");
    }
    api.end().await;
}

#[tokio::test]
async fn a_cursor_that_leads_nowhere_is_answered_with_the_one_to_go_on_from() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    worker.send(&[progress(1), progress(2), progress(3)]).await;
    let path = format!("/api/v1/specs/{}/events", launched.spec.id);
    let everywhere = "/api/v1/events".to_owned();
    let first = async |path: &str| {
        let (_, page) = api.get(&format!("{path}?limit=1")).await;
        page["next"].as_str().unwrap().to_owned()
    };
    let of_worker = format!("/api/v1/sandboxes/{}/events", launched.sandbox_id);
    let (of_spec, of_all) = (first(&path).await, first(&everywhere).await);
    let of_sandbox = first(&of_worker).await;
    let store = Store::open(&api.config.database_url).await.unwrap();
    let mut write = store.write().await.unwrap();
    crate::store::event::take_away(&mut write, 2).await;
    write.commit().await.unwrap();

    let all = [(&path, &of_spec), (&everywhere, &of_all), (&of_worker, &of_sandbox)];
    for (path, cursor) in all {
        for route in [path.clone(), format!("{path}/stream")] {
            let (status, problem) = api.get(&format!("{route}?after={cursor}")).await;
            assert_eq!((status, &problem["type"]), (410, &json!("cursor-expired")), "{problem}");
            let oldest = problem["oldest"].as_str().unwrap();
            let (_, page) = api.get(&format!("{path}?after={oldest}")).await;
            assert_eq!(page["items"][0]["position"], 3, "{page}");
        }
        // Who names no cursor begins at what is there.
        assert_eq!(api.get(path).await.1["items"][0]["position"], 3);
        let mut subscriber = Subscriber::open(&api, &format!("{path}/stream"), None).await;
        assert_eq!(subscriber.next().await.json()["position"], 3);
        assert_eq!(api.get(&format!("{path}?after=nonsense")).await.0, 422);
        assert_eq!(api.get(&format!("{path}?type=x*")).await.0, 422);
    }
    let (status, problem) = api.get(&format!("{everywhere}?after={of_spec}")).await;
    assert_eq!((status, &problem["type"]), (422, &json!("invalid-request")), "another list's");
    assert_eq!(api.get(&format!("{path}?after=99")).await.0, 410, "it was never there");

    let mut write = store.write().await.unwrap();
    crate::store::event::order::begin_life(&mut write).await.unwrap();
    write.commit().await.unwrap();
    store.close().await;
    let (_, page) = api.get(&path).await;
    let other = page["next"].as_str().unwrap().replace(|c: char| c.is_ascii_digit(), "0");
    for cursor in [of_spec, other] {
        let (status, problem) = api.get(&format!("{path}?after={cursor}")).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(status == 410 && detail.contains("another life") || status == 422, "{problem}");
    }
    api.end().await;
}

/// Reads on where a stream cut off a subscriber that took nothing: between what it still got and what
/// comes then is no gap, and nothing comes twice. `number` counts what is in the stream, by one.
async fn goes_on_behind_the_cut(
    api: &Running,
    slow: &mut Subscriber,
    stream: &str,
    token: &str,
    number: &str,
) {
    let of = |frame: &Frame| frame.json()[number].as_u64().unwrap();
    let (mut seen, mut last) = (Vec::new(), None);
    let resume = loop {
        let frame = slow.next().await;
        if frame.name.as_deref() == Some("lagged") {
            break frame.json()["resume"].as_str().unwrap().to_owned();
        }
        seen.push(of(&frame));
        last = frame.id;
    };
    let place = "behind what it got, and before what it did not get";
    assert_eq!(Some(&resume), last.as_ref(), "{stream}: {place}");
    assert!(slow.is_at_its_end().await, "{stream}");
    let mut again = Subscriber::open_as(api, stream, token, Some(&resume)).await;
    seen.push(of(&again.next().await));
    assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>(), "{stream}");
}

#[tokio::test]
async fn a_subscriber_that_takes_nothing_is_cut_off_and_told_where_to_go_on() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let messages = format!("/api/v1/sandboxes/{}/messages", launched.sandbox_id);
    // Of one spec all is; so its positions count the events of all, too.
    let streams = [
        (format!("/api/v1/specs/{}/events/stream", launched.spec.id), TOKEN, "position"),
        (format!("/api/v1/sandboxes/{}/events/stream", launched.sandbox_id), TOKEN, "seq"),
        ("/api/v1/events/stream".to_owned(), TOKEN, "position"),
        (format!("{messages}/stream"), &worker.token, "position"),
    ];
    let mut slow = Vec::new();
    for (stream, token, _) in &streams {
        slow.push(Subscriber::open_as(&api, stream, token, None).await);
    }
    // More than all buffers between the two hold.
    let text = "x".repeat(250_000);
    for seq in 1..=100 {
        let large = event(seq, "agent.words", None, json!({ "text": text }));
        assert_eq!(worker.send(&[large]).await.0, 200);
    }
    // The longest that there are, of four bytes each character.
    let text = "\u{1f980}".repeat(32_768);
    for _ in 0..200 {
        let message = json!({ "kind": "user_message", "text": text });
        assert_eq!(api.post(&messages, &message).await.0, 201);
    }
    let begun = Instant::now();
    until("the patience with them is over", async || {
        (begun.elapsed() > super::PATIENCE + Duration::from_secs(2)).then_some(())
    })
    .await;
    assert_eq!(api.number("specwright_streams_lagged_total").await, 4.0);

    for ((stream, token, number), slow) in streams.iter().zip(&mut slow) {
        goes_on_behind_the_cut(&api, slow, stream, token, number).await;
    }
    api.end().await;
}

/// No look comes about within a test: what arrives was told.
const NEVER: Duration = Duration::from_secs(60 * 60);

/// Three replicas on one PostgreSQL that hear of each other's commits by the news alone; `None` where this
/// machine has none.
async fn three_replicas_without_nets() -> Option<(PostgresServer, [Running; 3])> {
    let server = PostgresServer::start()?;
    let first = Running::with_settings(WAITING_WORKER, |config| {
        config.database_url = server.address();
        config.looks = Looks { waiting: NEVER, deaf: NEVER, sweep: NEVER };
    })
    .await;
    let (second, third) = (first.beside().await, first.beside().await);
    Some((server, [first, second, third]))
}

#[tokio::test]
async fn what_one_replica_takes_all_stream_because_it_told_them() {
    let Some((_server, replicas)) = three_replicas_without_nets().await else {
        return;
    };
    let launched = replicas[0].launch(json!({})).await;
    let mut worker = Worker::hello(&replicas[0], launched.sandbox_id).await;
    let of_spec = format!("/api/v1/specs/{}/events/stream", launched.spec.id);
    let of_sandbox = format!("/api/v1/sandboxes/{}/events/stream", launched.sandbox_id);
    let mut readers = Vec::new();
    for api in &replicas {
        for path in [&*of_spec, &*of_sandbox, "/api/v1/events/stream"] {
            readers.push(Subscriber::open(api, path, None).await);
        }
    }
    // Each is awaited before the next, which would bring it along.
    for seq in 1..=30 {
        worker = worker.by(&replicas[seq as usize % replicas.len()]);
        assert_eq!(worker.send(&[progress(seq)]).await.0, 200);
        for reader in &mut readers {
            assert_eq!(reader.next().await.json()["seq"], seq);
        }
    }

    let messages = format!("/api/v1/sandboxes/{}/messages", launched.sandbox_id);
    let stream = format!("{messages}/stream");
    let mut pushes = Vec::new();
    for api in &replicas {
        pushes.push(Subscriber::open_as(api, &stream, &worker.token, None).await);
    }
    for number in 0..9 {
        let text = format!("message {number}");
        let message = json!({ "kind": "user_message", "text": text });
        assert_eq!(replicas[number % replicas.len()].post(&messages, &message).await.0, 201);
        for reader in &mut pushes {
            let pushed = reader.next().await;
            assert_eq!(
                (pushed.json()["text"].as_str(), pushed.name),
                (Some(&*text), Some("message".into()))
            );
        }
    }
    drop((readers, pushes));
    for api in replicas {
        api.end().await;
    }
}

#[tokio::test]
async fn two_processes_on_one_file_hear_each_other() {
    let api = Running::with_waiting_worker().await;
    let other = api.beside().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let path = format!("/api/v1/specs/{}/events/stream", launched.spec.id);
    let mut subscriber = Subscriber::open(&other, &path, None).await;
    // Each is awaited before the next: a process that only looked by itself would take ten minutes.
    for seq in 1..=40 {
        worker.send(&[progress(seq)]).await;
        assert_eq!(subscriber.next().await.json()["seq"], seq);
    }
    drop(subscriber);
    other.end().await;
    api.end().await;
}

/// All that a page route gives, over all pages.
async fn table(api: &Running, path: &str) -> Vec<Value> {
    all_of(path, async |query| {
        let (status, page) = api.get(query).await;
        assert_eq!(status, 200, "{page}");
        page
    })
    .await
}

/// All pages of a list, however one comes by a page.
async fn all_of(path: &str, page: impl AsyncFn(&str) -> Value) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let page = page(&format!("{path}?limit=200{after}")).await;
        let some = page["items"].as_array().unwrap();
        if some.is_empty() {
            return items;
        }
        items.extend(some.iter().cloned());
        after = format!("&after={}", page["next"].as_str().unwrap());
    }
}

/// The owner's token, where a subscriber needs none of its own.
const TOKEN: &str = OWNER_TOKEN;

#[tokio::test]
async fn a_client_goes_on_where_it_can_when_its_place_is_not_known_any_more() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    worker.send(&[progress(1), progress(2)]).await;
    let client = crate::client::Client::new(&api.base, OWNER_TOKEN).unwrap();
    let mut feed = client.feed(launched.spec.id, None);
    let positions = |events: Vec<EventView>| events.iter().map(|e| e.position).collect::<Vec<_>>();
    assert_eq!(positions(feed.next(Duration::ZERO).await.unwrap()), [1, 2]);
    worker.send(&[progress(3), progress(4), progress(5)]).await;
    let store = Store::open(&api.config.database_url).await.unwrap();
    let mut write = store.write().await.unwrap();
    crate::store::event::take_away(&mut write, 4).await;
    write.commit().await.unwrap();
    assert_eq!(positions(feed.next(Duration::ZERO).await.unwrap()), [5]);
    assert!(feed.passed_over() && !feed.passed_over(), "it says so, once");

    // As after a failover: all cursors are of another life, and all events are there.
    let mut write = store.write().await.unwrap();
    crate::store::event::order::begin_life(&mut write).await.unwrap();
    write.commit().await.unwrap();
    store.close().await;
    worker.send(&[progress(6)]).await;
    assert_eq!(positions(feed.next(Duration::from_secs(20)).await.unwrap()), [6]);
    assert!(!feed.passed_over(), "nothing was");
    worker.send(&[progress(7)]).await;
    assert_eq!(positions(feed.next(Duration::from_secs(20)).await.unwrap()), [7]);
    drop(feed);
    api.end().await;
}

#[tokio::test]
async fn a_client_follows_a_spec_over_its_stream() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    worker.send(&[progress(1), progress(2)]).await;
    let client = crate::client::Client::new(&api.base, OWNER_TOKEN).unwrap();
    let mut feed = client.feed(launched.spec.id, Some("1".to_owned()));
    let mut seqs = Vec::new();
    for seq in 3..=20 {
        worker.send(&[progress(seq)]).await;
        let some = feed.next(Duration::from_secs(20)).await.unwrap();
        seqs.extend(some.iter().map(|event| event.event.seq));
    }
    while seqs.last() != Some(&20) {
        let some = feed.next(Duration::from_secs(20)).await.unwrap();
        seqs.extend(some.iter().map(|event| event.event.seq));
    }
    assert_eq!(seqs, (2..=20).collect::<Vec<_>>());
    let path = format!("/api/v1/specs/{}/cancel", launched.spec.id);
    assert_eq!(api.post(&path, &json!({ "force": true })).await.0, 200);
    let end = feed.next(Duration::from_secs(20)).await.unwrap();
    assert_eq!(end[0].event.kind, "spec.execution_failed");
    assert!(feed.next(Duration::ZERO).await.unwrap().is_empty());
    drop(feed);
    api.end().await;
}
