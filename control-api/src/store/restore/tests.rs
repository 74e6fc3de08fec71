//! Copies are whole under load, and come back.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use specwright_shared::id::SpecId;
use specwright_shared::time::Timestamp;
use tempfile::TempDir;

use super::{RestoreError, restore};
use crate::auth::Person;
use crate::store::backup::{BackupError, backup};
use crate::store::event::archive;
use crate::store::event::log::{self, Log, Read};
use crate::store::event::order::{self, Place};
use crate::store::postgres_server::PostgresServer;
use crate::store::project::Sight;
use crate::store::{Store, StoreError, event, spec};
use crate::testing::{until, worker::event as numbered};

fn now() -> Timestamp {
    Timestamp::from_micros(1_795_000_000_123_456)
}

/// A database with one spec, in a directory of its own.
struct World {
    directory: TempDir,
    store: Store,
    spec: SpecId,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&address(&directory)).await.unwrap();
        let mut write = store.write().await.unwrap();
        let new = serde_json::from_value(json!({ "description": "Idea" })).unwrap();
        let spec = crate::spec_intake::take(&mut write, &Person::owner(), new, now()).await;
        write.commit().await.unwrap();
        Self { directory, store, spec: spec.unwrap().id }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn address(directory: &TempDir) -> String {
    format!("sqlite://{}", directory.path().join("store.db").display())
}

/// Adds an event, in the transaction that counts it.
async fn add(store: &Store, id: SpecId) -> u64 {
    let mut write = store.write().await.unwrap();
    let mut row = spec::lock(&mut write, id).await.unwrap().unwrap();
    row.events += 1;
    let event = numbered(0, "spec.progress", None, json!({ "message": "x".repeat(300) }));
    let recorded = vec![event::Recorded::new(row.events, None, &event)];
    event::insert(&mut write, id, recorded, now()).await.unwrap();
    spec::save(&mut write, &row).await.unwrap();
    write.commit().await.unwrap();
    row.events
}

/// How many events a spec counts, and how many can be read.
async fn counts(store: &Store, id: SpecId) -> (u64, u64) {
    let mut session = store.read().await.unwrap();
    let row = spec::find(&mut session, id).await.unwrap().unwrap();
    let read = log::read(&mut session, Log::Spec(id), Place::default(), 100_000).await.unwrap();
    let Read::Facts { facts, .. } = read else { panic!("{read:?}") };
    (row.events, facts.len() as u64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_under_load_is_of_one_moment_and_comes_back() {
    let world = World::new().await;
    let (store, id) = (world.store.clone(), world.spec);
    let stop = AtomicBool::new(false);
    let written = AtomicU64::new(0);
    let load = async {
        while !stop.load(Ordering::Relaxed) {
            written.store(add(&store, id).await, Ordering::Relaxed);
        }
    };
    let copies = async {
        let mut before = Vec::new();
        for copy in ["1.db", "2.db", "3.db"] {
            let least = written.load(Ordering::Relaxed) + 20;
            let more = async || (written.load(Ordering::Relaxed) >= least).then_some(());
            until("20 more events are there", more).await;
            before.push(written.load(Ordering::Relaxed));
            backup(&address(&world.directory), &world.path(copy)).await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        before
    };
    let ((), before) = tokio::join!(load, copies);

    let (all, _) = counts(&store, id).await;
    for (copy, least) in ["1.db", "2.db", "3.db"].into_iter().zip(before) {
        let path = world.path(copy);
        let copied = Store::open(&format!("sqlite://{}", path.display())).await.unwrap();
        let (counted, read) = counts(&copied, id).await;
        copied.close().await;
        assert_eq!(counted, read, "{copy} is of one moment");
        assert!((least..=all).contains(&counted), "{copy}: {least} <= {counted} <= {all}");
        use std::os::unix::fs::PermissionsExt as _;
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{copy}");
    }

    let epoch = order::epoch(&mut store.read().await.unwrap()).await.unwrap();
    let address = address(&world.directory);
    let refused = restore(&address, &world.path("1.db"), now()).await.unwrap_err();
    assert!(matches!(refused, RestoreError::Open(_)), "{refused}");
    store.close().await;
    let World { directory, store: own, .. } = world;
    drop((store, own));

    let restored = restore(&address, &directory.path().join("1.db"), now()).await.unwrap();
    let store = Store::open(&address).await.unwrap();
    let (counted, _) = counts(&store, id).await;
    assert!(counted < all, "{counted} of {all}");
    let now_epoch = order::epoch(&mut store.read().await.unwrap()).await.unwrap();
    assert_ne!(now_epoch, epoch, "it is another life");
    store.close().await;
    let aside = restored.aside.unwrap();
    let kept = Store::open(&format!("sqlite://{}", aside.display())).await.unwrap();
    assert_eq!(counts(&kept, id).await, (all, all), "nothing of the old one is lost");
    kept.close().await;
    assert!(!directory.path().join("store.db.restoring").exists());
}

#[tokio::test]
async fn what_is_no_copy_of_ours_is_refused_and_the_database_stays() {
    let world = World::new().await;
    let address = address(&world.directory);
    let copy = world.path("copy.db");
    backup(&address, &copy).await.unwrap();
    let taken = backup(&address, &copy).await.unwrap_err();
    assert!(matches!(taken, BackupError::Taken(_)), "{taken}");
    let other = backup("postgres://me:pass-word@host/db", &world.path("x")).await.unwrap_err();
    assert!(matches!(other, BackupError::NotSqlite), "{other}");
    world.store.close().await;
    let World { directory, store, spec } = world;
    drop(store);

    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "no database").unwrap();
    let refused = restore(&address, &text, now()).await.unwrap_err();
    assert!(matches!(refused, RestoreError::NotACopy { .. }), "{refused:?}");
    let refused = restore(&address, &directory.path().join("none"), now()).await.unwrap_err();
    assert!(matches!(refused, RestoreError::Read { .. }), "{refused:?}");

    // As a version of tomorrow makes it.
    let newer = Store::open(&format!("sqlite://{}", copy.display())).await.unwrap();
    let mut write = newer.write().await.unwrap();
    let step = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1";
    write.query(step).execute().await.unwrap();
    write.commit().await.unwrap();
    newer.close().await;
    let refused = restore(&address, &copy, now()).await.unwrap_err();
    assert!(matches!(refused, RestoreError::Store(StoreError::NewerSchema(9999))), "{refused:?}");

    let store = Store::open(&address).await.unwrap();
    assert_eq!(counts(&store, spec).await, (0, 0));
    store.close().await;
}

#[tokio::test]
async fn the_two_newest_databases_that_restores_put_aside_are_kept() {
    let world = World::new().await;
    let address = address(&world.directory);
    let copy = world.path("copy.db");
    backup(&address, &copy).await.unwrap();
    add(&world.store, world.spec).await;
    world.store.close().await;
    let World { directory, store, spec } = world;
    drop(store);
    let mut asides = Vec::new();
    for second in 0..4 {
        let at = now().plus(Duration::from_secs(second));
        let restored = restore(&address, &copy, at).await.unwrap();
        let gone = asides.len().checked_sub(2).and_then(|oldest| asides.get(oldest)).cloned();
        let gone: Vec<PathBuf> = gone.filter(|_| second >= 2).into_iter().collect();
        asides.push(restored.aside.unwrap());
        assert_eq!(restored.removed, gone, "restore {second}");
        for (number, aside) in asides.iter().enumerate() {
            assert_eq!(aside.exists(), number + 2 >= asides.len(), "{number} after {second}");
        }
    }
    // What is named like one and is none of ours stays, as does the copy.
    assert!(copy.exists());

    // Broken off between its two renames.
    let path = directory.path().join("store.db");
    std::fs::rename(&path, directory.path().join("store.db.restoring")).unwrap();
    let refused = Store::open(&address).await.unwrap_err().to_string();
    assert!(refused.contains("broken off half-way; run `specwright restore` again"), "{refused}");
    assert!(!path.exists(), "no empty one is made");
    restore(&address, &copy, now().plus(Duration::from_secs(9))).await.unwrap();
    let store = Store::open(&address).await.unwrap();
    assert_eq!(counts(&store, spec).await, (0, 0));
    store.close().await;
}

/// All that a log holds, from its oldest event on, and where that ends.
async fn lines(store: &Store, log: Log) -> (Vec<String>, Place) {
    let mut session = store.read().await.unwrap();
    let read = log::read(&mut session, log, Place::default(), 10_000).await.unwrap();
    let Read::Facts { facts, reached, .. } = read else { panic!("{read:?}") };
    (facts.iter().map(|fact| fact.json.get().to_owned()).collect(), reached)
}

/// The documented path: into another cluster, which counts its transactions anew.
#[tokio::test]
async fn a_dump_of_a_server_comes_back_in_another_one_as_another_life() {
    let (Some(one), Some(two)) = (PostgresServer::start(), PostgresServer::start()) else {
        return;
    };
    let store = Store::open(&one.address()).await.unwrap();
    order::settle(&store).await.unwrap();
    let mut write = store.write().await.unwrap();
    let new = serde_json::from_value(json!({ "description": "Idea" })).unwrap();
    let spec = crate::spec_intake::take(&mut write, &Person::owner(), new, now()).await.unwrap().id;
    write.commit().await.unwrap();
    // More transactions than the other cluster has seen when all is restored there.
    for _ in 0..700 {
        add(&store, spec).await;
    }
    let mut write = store.write().await.unwrap();
    let old = now().plus(Duration::from_secs(1));
    archive::pack(&mut write, old, now()).await.unwrap().unwrap();
    write.commit().await.unwrap();
    let all = Log::Seen(Sight { user: None, project: None });
    let of_spec = lines(&store, Log::Spec(spec)).await.0;
    let epoch = order::epoch(&mut store.read().await.unwrap()).await.unwrap();
    store.close().await;
    let Some(address) = one.dump().map(|dump| two.restore_dump(&dump)) else {
        eprintln!("NOT run: this PostgreSQL came without pg_dump");
        return;
    };

    let store = Store::open(&address).await.unwrap();
    order::settle(&store).await.unwrap();
    let now_epoch = order::epoch(&mut store.read().await.unwrap()).await.unwrap();
    assert_ne!(now_epoch, epoch, "it is another life");
    assert!(lines(&store, Log::Spec(spec)).await.0 == of_spec);
    let (of_all, end) = lines(&store, all).await;
    assert!(of_all == of_spec, "the packed ones, and then the rows");
    add(&store, spec).await;
    let mut session = store.read().await.unwrap();
    let read = log::read(&mut session, all, end, 9).await.unwrap();
    assert!(matches!(&read, Read::Facts { facts, .. } if facts.len() == 1), "{read:?}");
    drop(session);
    store.close().await;
}

#[tokio::test]
async fn a_restore_waits_for_nobody_and_an_opening_waits_for_a_restore() {
    let world = World::new().await;
    let address = address(&world.directory);
    world.store.close().await;
    let World { directory, store, .. } = world;
    drop(store);
    let path = directory.path().join("store.db");
    let held = super::Held::alone(&path).unwrap().unwrap();
    assert!(super::Held::alone(&path).unwrap().is_none());
    let opening = Store::open(&address);
    tokio::pin!(opening);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut opening).await;
    assert!(early.is_err(), "the file is being replaced");
    drop(held);
    opening.await.unwrap().close().await;
}
