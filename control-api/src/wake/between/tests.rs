use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::end;
use crate::store::Store;
use crate::store::news::{Ear, News};
use crate::store::postgres_server::PostgresServer;

/// How long the server may take to pass a word on: only a test that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_a_stopping_replica_committed_last_is_told_before_it_is_gone() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let (ours, theirs) = (
        Store::open(&server.address()).await.unwrap(),
        Store::open(&server.address()).await.unwrap(),
    );
    let mut ear = Ear::open(&ours, Uuid::now_v7()).await.unwrap();
    let paused = Uuid::now_v7();
    // Its task that tells has ended with the shutdown.
    theirs.wakes.committed(BTreeSet::from([paused]));
    end(&theirs).await;
    assert!(theirs.wakes.untold().is_empty());
    let heard = tokio::time::timeout(PATIENCE, ear.next()).await.unwrap().unwrap();
    assert!(matches!(&heard, News::About(ids) if ids == &[paused]));
    drop(ear);

    server.stop();
    theirs.wakes.committed(BTreeSet::from([paused]));
    end(&theirs).await;
    assert_eq!(*theirs.wakes.untold(), BTreeSet::from([paused]), "it goes with the next");
    ours.close().await;
    theirs.close().await;
}
