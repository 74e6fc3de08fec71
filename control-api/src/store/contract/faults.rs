//! What the database does to us, and what becomes of it.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};
use specwright_shared::id::SpecId;
use tokio::sync::Barrier;

use super::new_spec;
use crate::store::postgres_server::PostgresServer;
use crate::store::trouble::{self, Trouble, trouble};
use crate::store::{Session, Store, StoreError, spec};
use crate::testing::{OWNER_TOKEN, Running, until};

/// Only a server has several writers, and connections that can be lost.
pub(super) async fn what_is_done_about_faults(store: &Store) {
    store.answers().await.unwrap();
    if matches!(store.read().await.unwrap(), Session::Sqlite(_)) {
        return;
    }
    sessions_are_limited(store).await;
    of_two_that_wait_for_each_other_both_come_through(store).await;
    what_cannot_be_put_in_an_order_is_done_again(store).await;
    what_a_lost_connection_broke_off_is_done_again(store).await;
    a_statement_that_takes_too_long_is_ended(store).await;
    who_waits_too_long_for_a_lock_is_told(store).await;
    who_gives_up_leaves_no_transaction_behind(store).await;
}

async fn sessions_are_limited(store: &Store) {
    let mut session = store.read().await.unwrap();
    for (show, limit) in [
        ("SHOW statement_timeout", "20s"),
        ("SHOW lock_timeout", "8s"),
        ("SHOW idle_in_transaction_session_timeout", "30s"),
    ] {
        let (value,): (String,) = session.query(show).fetch_one().await.unwrap();
        assert_eq!(value, limit, "{show}");
    }
}

async fn of_two_that_wait_for_each_other_both_come_through(store: &Store) {
    let (one, two) = (new_spec(store).await.id, new_spec(store).await.id);
    let (both, tries) = (Barrier::new(2), Cell::new(0));
    let in_turn = async |ids: [SpecId; 2]| {
        let first = Cell::new(true);
        let operation = async || {
            tries.set(tries.get() + 1);
            let mut write = store.write().await?;
            spec::lock(&mut write, ids[0]).await?;
            // They meet once: whoever comes again is alone.
            if first.replace(false) {
                both.wait().await;
            }
            spec::lock(&mut write, ids[1]).await?;
            write.commit().await
        };
        trouble::again("a test", operation).await
    };
    let (first, second) = tokio::join!(in_turn([one, two]), in_turn([two, one]));
    first.unwrap();
    second.unwrap();
    assert_eq!(tries.get(), 3, "one of the two was given up, and done again");
}

/// A transaction that looked before another one wrote, and writes after it: a serialization failure.
async fn what_cannot_be_put_in_an_order_is_done_again(store: &Store) {
    let id = new_spec(store).await.id;
    let tries = Cell::new(0);
    let operation = async || {
        tries.set(tries.get() + 1);
        let mut write = store.write().await?;
        write.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute().await?;
        spec::find(&mut write, id).await?;
        if tries.get() == 1 {
            let mut other = store.write().await?;
            let row = spec::lock(&mut other, id).await?.unwrap();
            spec::save(&mut other, &row).await?;
            other.commit().await?;
        }
        let locked = spec::lock(&mut write, id).await;
        if tries.get() == 1 {
            assert_eq!(locked.as_ref().err().and_then(|e| trouble(e)), Some(Trouble::Collision));
        }
        locked?;
        write.commit().await
    };
    trouble::again("a test", operation).await.unwrap();
    assert_eq!(tries.get(), 2);
}

async fn what_a_lost_connection_broke_off_is_done_again(store: &Store) {
    let id = new_spec(store).await.id;
    let tries = Cell::new(0);
    let operation = async || {
        tries.set(tries.get() + 1);
        let mut write = store.write().await?;
        let mut row = spec::lock(&mut write, id).await?.unwrap();
        row.message = Some(format!("try {}", tries.get()));
        spec::save(&mut write, &row).await?;
        if tries.get() == 1 {
            let end = "SELECT pg_terminate_backend(pg_backend_pid())";
            write.query(end).execute().await?;
        }
        write.commit().await
    };
    trouble::again("a test", operation).await.unwrap();
    let mut session = store.read().await.unwrap();
    let row = spec::find(&mut session, id).await.unwrap().unwrap();
    assert_eq!((tries.get(), row.message.as_deref()), (2, Some("try 2")));
}

async fn a_statement_that_takes_too_long_is_ended(store: &Store) {
    let mut write = store.write().await.unwrap();
    write.query("SET LOCAL statement_timeout = '50ms'").execute().await.unwrap();
    let error: StoreError = write.query("SELECT pg_sleep(20)").execute().await.unwrap_err();
    assert_eq!(trouble(&error), Some(Trouble::Busy), "{error:?}");
}

async fn who_waits_too_long_for_a_lock_is_told(store: &Store) {
    let id = new_spec(store).await.id;
    let mut holder = store.write().await.unwrap();
    spec::lock(&mut holder, id).await.unwrap();
    let mut write = store.write().await.unwrap();
    write.query("SET LOCAL lock_timeout = '50ms'").execute().await.unwrap();
    let error = spec::lock(&mut write, id).await.unwrap_err();
    assert_eq!(trouble(&error), Some(Trouble::Busy), "{error:?}");
    holder.commit().await.unwrap();
}

/// Begins, and waits no longer than so many looks.
async fn give_up<T>(begin: impl Future<Output = T>, looks: usize) {
    let mut begin = std::pin::pin!(begin);
    for _ in 0..=looks {
        if futures_util::poll!(begin.as_mut()).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Were one left open, what the connection's next user writes with a single statement would be
/// acknowledged and lost.
async fn who_gives_up_leaves_no_transaction_behind(store: &Store) {
    let id = new_spec(store).await.id;
    for looks in 0..100 {
        give_up(store.read(), looks % 4).await;
        give_up(store.write(), looks % 4).await;
        let mut at_once = store.write_at_once().await.unwrap().unwrap();
        let mut changed = spec::find(&mut at_once, id).await.unwrap().unwrap();
        changed.message = Some(format!("{looks}"));
        spec::save(&mut at_once, &changed).await.unwrap();
        at_once.commit().await.unwrap();
        let mut session = store.read().await.unwrap();
        let read = spec::find(&mut session, id).await.unwrap().unwrap();
        assert_eq!(read.message, changed.message);
    }
}

/// A database that is made while we wait for it.
pub(super) async fn a_database_that_comes_late_is_waited_for(address: &str) {
    let late = format!("{}/late", address.strip_suffix("/postgres").unwrap());
    let refused = Store::open(&late).await.unwrap_err().to_string();
    assert!(refused.contains("there is no database of that name"), "{refused}");
    let store = Store::open(address).await.unwrap();
    let (opened, ()) = tokio::join!(Store::open_within(&late, Duration::from_secs(60)), async {
        // No transaction around it: PostgreSQL makes databases outside of them.
        let crate::store::engine::Engine::Postgres(pool) = &store.engine else { return };
        sqlx::query("CREATE DATABASE late").execute(pool).await.unwrap();
    });
    opened.unwrap().close().await;
    store.close().await;
}

/// A request while the server is away, and one after it came back.
pub(super) async fn a_request_without_a_database_is_told_when_to_come_again(
    server: &PostgresServer,
) {
    let api = Running::on(server.address()).await;
    let ask = async || {
        let asked = api.http.get(format!("{}/api/v1/specs", api.base)).bearer_auth(OWNER_TOKEN);
        let answer = asked.send().await.unwrap();
        let wait =
            answer.headers().get("retry-after").map(|wait| wait.to_str().unwrap().to_owned());
        (answer.status().as_u16(), wait, answer.json::<Value>().await.unwrap())
    };
    let newest = |page: Value| page["items"][0]["id"].clone();
    let (status, _, page) = ask().await;
    assert_eq!(status, 200);
    let before = newest(page);
    server.stop();
    let (status, wait, problem) = ask().await;
    assert_eq!((status, wait.as_deref()), (503, Some("2")), "{problem}");
    assert_eq!(problem["type"], "unavailable");
    // What would make another one if it were done twice is not done at all.
    let post = api.http.post(format!("{}/api/v1/specs", api.base)).bearer_auth(OWNER_TOKEN);
    let answer = post.json(&json!({ "description": "x" })).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["retry-after"].as_bytes()),
        (503, &b"2"[..])
    );
    server.start_again();
    let back = async || (ask().await.0 == 200).then_some(());
    until("requests are answered again", back).await;
    assert_eq!(newest(ask().await.2), before, "nothing was made in the end");
    api.end().await;
}

#[tokio::test]
async fn a_server_that_is_down_is_waited_for_and_given_up_in_the_end() {
    let Some(server) = PostgresServer::start() else { return };
    server.stop();
    let address = server.address();
    let given_up = Store::open_within(&address, Duration::from_secs(1)).await.unwrap_err();
    assert!(given_up.to_string().contains("(waited "), "{given_up}");
    let opening =
        tokio::spawn(async move { Store::open_within(&address, Duration::from_secs(60)).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!opening.is_finished(), "it waits");
    server.start_again();
    opening.await.unwrap().unwrap().close().await;
}
