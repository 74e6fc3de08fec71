//! A database that fell counts transactions on from what had reached its disk: the numbers of those
//! that had written nothing are given out a second time.

use serde_json::json;
use sqlx::Connection as _;

use super::{PostgresServer, Subscriber, progress};
use crate::store::Store;
use crate::store::event::order;
use crate::store::news::untold;
use crate::testing::worker::Worker;
use crate::testing::{Running, until};

/// How many numbers are given out to transactions that write nothing.
const NUMBERS: usize = 100;
/// How often the database falls at most until some are given out again: at any moment it may have
/// written down for itself how far it counted.
const FALLS: usize = 5;

/// The number that the next transaction gets.
const NEXT: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT";

async fn ask(server: &PostgresServer, question: &'static str) -> i64 {
    let mut connection = sqlx::PgConnection::connect(&server.address()).await.unwrap();
    let (answer,): (i64,) = sqlx::query_as(question).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    answer
}

async fn give_out_numbers(server: &PostgresServer) {
    for _ in 0..NUMBERS {
        ask(server, "SELECT pg_current_xact_id()::TEXT::BIGINT").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_a_fallen_database_gives_out_again_hide_nothing_from_whoever_had_read_on() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let api = Running::on(server.address()).await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    worker.send(&[progress(1)]).await;
    let store = Store::open(&server.address()).await.unwrap();

    let mut falls = 0;
    let (next, swept, mut open) = loop {
        give_out_numbers(&server).await;
        let (status, all) = api.get("/api/v1/events").await;
        assert_eq!(status, 200, "{all}");
        let next = all["next"].as_str().unwrap().to_owned();
        let open = Subscriber::open(&api, "/api/v1/events/stream", Some(&next)).await;
        let mut session = store.read().await.unwrap();
        let swept = untold::written_behind(&mut session, None).await.unwrap().mark;
        drop(session);
        let counted = ask(&server, NEXT).await;
        tokio::task::block_in_place(|| server.crash_and_start());
        falls += 1;
        if ask(&server, NEXT).await < counted {
            break (next, swept, open);
        }
        assert!(falls < FALLS, "no number was given out again");
    };
    until("the event is taken in", async || {
        (worker.send(&[progress(2)]).await.0 == 200).then_some(())
    })
    .await;

    let (_, page) = api.get(&format!("/api/v1/events?after={next}")).await;
    assert_eq!(page["items"][0]["seq"], 2, "{page}");
    // The fall may have ended the one that was open.
    let streamed = match open.try_next().await {
        Some(frame) => frame,
        None => Subscriber::open(&api, "/api/v1/events/stream", Some(&next)).await.next().await,
    };
    assert_eq!(streamed.json()["seq"], 2);
    let mut session = store.read().await.unwrap();
    let found = untold::written_behind(&mut session, Some(swept)).await.unwrap();
    assert!(found.about.unwrap().contains(&launched.spec.id.0));
    assert!(order::reached(&mut session).await.unwrap() > swept);
    drop(session);
    store.close().await;
    api.end().await;
}
