//! A database that fell counts transactions on from what had reached its disk: the numbers of those
//! that had written nothing are given out a second time.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection as _;

use super::{PostgresServer, Subscriber, progress};
use crate::store::Store;
use crate::store::event::order::Place;
use crate::store::news::untold;
use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running, until};

/// How many numbers are given out to transactions that write nothing.
const NUMBERS: usize = 1000;
/// So many of them are given out again at least: what the control API does when the database is back takes
/// a few before the event gets one.
const AGAIN: i64 = 100;
/// How often the database falls at most until some are given out again: at any moment it may have
/// written down for itself how far it counted.
const FALLS: usize = 10;

/// How long a stream may take for an event or its end.
const PATIENCE: Duration = Duration::from_secs(60);

const STREAM: &str = "/api/v1/events/stream";

/// The number that the next transaction gets.
const NEXT: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT";

async fn ask(server: &PostgresServer, question: &'static str) -> i64 {
    let mut connection = sqlx::PgConnection::connect(&server.address()).await.unwrap();
    let (answer,): (i64,) = sqlx::query_as(question).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    answer
}

async fn give_out_numbers(server: &PostgresServer) {
    let mut connection = sqlx::PgConnection::connect(&server.address()).await.unwrap();
    for _ in 0..NUMBERS {
        sqlx::query("SELECT pg_current_xact_id()").execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// What has no need to be on the disk at once is written there no earlier than it must be.
async fn be_lazy(server: &PostgresServer) {
    let mut connection = sqlx::PgConnection::connect(&server.address()).await.unwrap();
    for change in ["ALTER SYSTEM SET wal_writer_delay = '10s'", "SELECT pg_reload_conf()"] {
        sqlx::query(change).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// What a look behind a mark finds that was not told.
async fn swept(store: &Store, mark: Option<Place>) -> untold::Written {
    let mut session = store.read().await.unwrap();
    untold::written_behind(&mut session, mark).await.unwrap()
}

/// The first page with something on it, as soon as there is one.
async fn page(api: &Running, query: &str) -> Value {
    until("there is a page", async || {
        let (status, page) = api.get(&format!("/api/v1/events{query}")).await;
        (status == 200 && !page["items"].as_array()?.is_empty()).then_some(page)
    })
    .await
}

/// A stream behind a cursor, as soon as there is one again.
async fn opened(api: &Running, after: &str) -> Subscriber {
    until("a stream is open", async || {
        Subscriber::try_open(api, STREAM, OWNER_TOKEN, Some(after)).await
    })
    .await
}

/// The next event of a stream, which the fall may have ended: then it is opened again.
async fn streamed(api: &Running, mut open: Subscriber, after: &str) -> Value {
    let next = tokio::time::timeout(PATIENCE, open.try_next()).await;
    if let Some(frame) = next.expect("an event comes in time, or the end") {
        return frame.json();
    }
    opened(api, after).await.next().await.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_a_fallen_database_gives_out_again_hide_nothing_from_whoever_had_read_on() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    be_lazy(&server).await;
    let api = Running::on(server.address()).await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    assert_eq!(worker.send(&[progress(1)]).await.0, 200);

    let mut falls = 0;
    let (after, mark, open, counted) = loop {
        // One of its own for each: its connections die with the fall.
        let store = Store::open(&server.address()).await.unwrap();
        // From here on to the fall as little as can be: whoever commits something writes all down.
        give_out_numbers(&server).await;
        let all = page(&api, "").await;
        let after = all["next"].as_str().unwrap().to_owned();
        let open = opened(&api, &after).await;
        let mark = swept(&store, None).await.mark;
        let counted = ask(&server, NEXT).await;
        tokio::task::block_in_place(|| server.crash_and_start());
        falls += 1;
        if ask(&server, NEXT).await + AGAIN < counted {
            break (after, mark, open, counted);
        }
        assert!(falls < FALLS, "no number was given out again");
    };
    until("the event is taken in", async || {
        (worker.send(&[progress(2)]).await.0 == 200).then_some(())
    })
    .await;
    let number = "SELECT txid FROM events WHERE sandbox_id IS NOT NULL AND seq = 2";
    assert!(
        ask(&server, number).await < counted,
        "the event got a number that was given out before"
    );

    let behind = page(&api, &format!("?after={after}")).await;
    assert_eq!(behind["items"][0]["seq"], 2, "{behind}");
    assert_eq!(streamed(&api, open, &after).await["seq"], 2);
    let store = Store::open(&server.address()).await.unwrap();
    let written = swept(&store, Some(mark)).await;
    store.close().await;
    assert!(written.about.unwrap().contains(&launched.spec.id.0));
    assert!(written.mark > mark);
    api.end().await;
}
