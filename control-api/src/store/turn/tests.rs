//! Turns on a real file: who waits joins, who gives up leaves nothing and takes nothing along.

use std::pin::pin;
use std::task::Poll;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::poll;

use crate::store::trouble::{Trouble, trouble};
use crate::store::{Store, StoreError, Write};

async fn opened(directory: &tempfile::TempDir) -> Store {
    let address = format!("sqlite://{}", directory.path().join("db").display());
    let store = Store::open(&address).await.unwrap();
    let mut write = store.write().await.unwrap();
    write.query("CREATE TABLE told (word TEXT UNIQUE)").execute().await.unwrap();
    write.commit().await.unwrap();
    store
}

async fn say(write: &mut Write, word: &'static str) -> bool {
    write.query("INSERT INTO told VALUES ($1)").bind(word).execute().await.is_ok()
}

async fn told(store: &Store) -> Vec<String> {
    let mut session = store.read().await.unwrap();
    let rows: Vec<(String,)> =
        session.query("SELECT word FROM told ORDER BY word").fetch_all().await.unwrap();
    rows.into_iter().map(|(word,)| word).collect()
}

/// A commit that waits for a second turn in its transaction, and that turn.
async fn shared(store: &Store) -> (BoxFuture<'static, Result<(), StoreError>>, Write) {
    let mut first = store.write().await.unwrap();
    assert!(say(&mut first, "first").await);
    let mut second = pin!(store.write());
    assert!(poll!(second.as_mut()).is_pending());
    let mut committed = first.commit().boxed();
    assert!(poll!(committed.as_mut()).is_pending());
    (committed, second.await.unwrap())
}

#[tokio::test]
async fn who_waits_joins_the_commit_and_nobody_is_told_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory).await;
    let (mut committed, mut second) = shared(&store).await;
    assert!(say(&mut second, "second").await);
    assert_eq!(told(&store).await, [""; 0], "it waits for who was there");
    assert!(poll!(committed.as_mut()).is_pending());
    let (first, second) = tokio::join!(committed, second.commit());
    first.unwrap();
    second.unwrap();
    assert_eq!(told(&store).await, ["first", "second"]);
}

#[tokio::test]
async fn a_turn_that_is_given_up_takes_nothing_from_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory).await;
    let mut first = store.write().await.unwrap();
    assert!(say(&mut first, "first").await);
    let (mut second, mut third) = (pin!(store.write()), pin!(store.write()));
    assert!(poll!(second.as_mut()).is_pending() && poll!(third.as_mut()).is_pending());
    let mut committed = pin!(first.commit());
    assert!(poll!(committed.as_mut()).is_pending());
    let mut second = second.await.unwrap();
    assert!(say(&mut second, "second").await);
    assert!(!say(&mut second, "first").await, "a statement fails");
    drop(second);
    let mut third = third.await.unwrap();
    assert!(say(&mut third, "third").await);
    let (first, third) = tokio::join!(committed, third.commit());
    first.unwrap();
    third.unwrap();
    assert_eq!(told(&store).await, ["first", "third"]);
}

#[tokio::test]
async fn a_last_turn_that_is_given_up_is_not_in_the_commit() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory).await;
    let (committed, mut second) = shared(&store).await;
    assert!(say(&mut second, "second").await);
    drop(second);
    committed.await.unwrap();
    assert_eq!(told(&store).await, ["first"]);
}

#[tokio::test]
async fn who_goes_away_after_his_turn_leaves_nobody_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory).await;
    let mut first = store.write().await.unwrap();
    assert!(say(&mut first, "first").await);
    {
        let mut committed = Box::pin(first.commit());
        assert!(matches!(poll!(committed.as_mut()), Poll::Pending));
    }
    let mut second = store.write().await.unwrap();
    assert!(say(&mut second, "second").await);
    second.commit().await.unwrap();
    assert_eq!(told(&store).await, ["first", "second"]);
}

#[tokio::test]
async fn a_transaction_that_the_database_gave_up_is_told_to_all_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory).await;
    let (committed, mut second) = shared(&store).await;
    assert!(say(&mut second, "second").await);
    // As a full disk does.
    second.query("INSERT OR ROLLBACK INTO told VALUES ('first')").execute().await.unwrap_err();
    let (first, second) = tokio::join!(committed, second.commit());
    for told in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(trouble(&told), Some(Trouble::Busy), "to be asked again: {told:?}");
    }
    assert_eq!(told(&store).await, [""; 0]);
    let mut third = store.write().await.unwrap();
    assert!(say(&mut third, "third").await);
    third.commit().await.unwrap();
    assert_eq!(told(&store).await, ["third"]);
}

#[tokio::test]
async fn who_shares_a_transaction_that_was_given_up_in_a_later_turn_is_told_to_ask_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = opened(&directory).await;
    let (committed, mut second) = shared(&store).await;
    second.query("INSERT OR ROLLBACK INTO told VALUES ('first')").execute().await.unwrap_err();
    drop(second);
    assert_eq!(trouble(&committed.await.unwrap_err()), Some(Trouble::Busy));
    assert_eq!(told(&store).await, [""; 0]);
}
