//! The logs of events: their order, their holes, and the lives of the database.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use specwright_shared::id::{MessageId, SandboxId, SpecId};
use specwright_shared::wire::event::EventView;
use specwright_shared::wire::message::Message;

use super::{add_sandbox, new_spec, now, numbered};
use crate::store::event::log::{self, Fact, Log, Read};
use crate::store::event::order::{self, Place};
use crate::store::news::untold;
use crate::store::project::Sight;
use crate::store::{Session, Store, Write, event, message, news, spec};

pub(super) async fn what_is_kept_of_events(store: &Store) {
    logs_are_read_on_without_a_hole(store).await;
    a_late_commit_never_slips_behind_a_reader(store).await;
    a_specs_order_holds_among_all_though_a_transaction_began_early(store).await;
    what_is_gone_is_said(store).await;
    a_commit_is_heard_by_other_processes(store).await;
    what_nobody_told_is_found(store).await;
    another_life_gets_another_epoch(store).await;
}

pub(super) const ALL: Log = Log::Seen(Sight { user: None, project: None });

async fn facts(session: &mut Session, log: Log, after: Place) -> (Vec<Fact>, Place) {
    match log::read(session, log, after, 9_999).await.unwrap() {
        Read::Facts { facts, reached, .. } => (facts, reached),
        Read::Gone { oldest } => panic!("{log:?} behind {after:?} is gone up to {oldest:?}"),
    }
}

/// All that a log holds, as readers get it.
pub(super) async fn all(session: &mut Session, log: Log) -> Vec<EventView> {
    let (facts, _) = facts(session, log, Place::default()).await;
    facts.iter().map(|fact| serde_json::from_str(fact.json.get()).unwrap()).collect()
}

/// Writes the next event of a spec.
async fn add(write: &mut Write, id: SpecId, sandbox: Option<SandboxId>) -> u64 {
    let mut spec = spec::lock(write, id).await.unwrap().unwrap();
    spec.events += 1;
    let event = numbered(spec.events, "spec.progress", None, json!({ "message": "x" }));
    let recorded = vec![event::Recorded::new(spec.events, sandbox, &event)];
    event::insert(write, id, recorded, now()).await.unwrap();
    spec::save(write, &spec).await.unwrap();
    spec.events
}

async fn added(store: &Store, id: SpecId) {
    let mut write = store.write().await.unwrap();
    add(&mut write, id, None).await;
    write.commit().await.unwrap();
}

/// Where all that is there now has been read.
pub(super) async fn end(store: &Store) -> Place {
    let mut place = Place::default();
    loop {
        let mut session = store.read().await.unwrap();
        place = match log::read(&mut session, ALL, place, 9_999).await.unwrap() {
            Read::Facts { reached, held_back: false, facts } if facts.is_empty() => return reached,
            Read::Facts { reached, .. } => reached,
            Read::Gone { oldest } => oldest,
        };
        // The server's own housekeeping may hold it back for a moment.
        tokio::task::yield_now().await;
    }
}

fn specs_of(facts: &[Fact]) -> Vec<(SpecId, u64)> {
    let views = facts.iter().map(|fact| serde_json::from_str::<EventView>(fact.json.get()));
    views.map(|view| view.map(|view| (view.spec_id.unwrap(), view.position)).unwrap()).collect()
}

async fn logs_are_read_on_without_a_hole(store: &Store) {
    let id = new_spec(store).await.id;
    let sandbox = add_sandbox(store, id).await.unwrap();
    let before = end(store).await;
    let mut write = store.write().await.unwrap();
    for _ in 0..3 {
        add(&mut write, id, Some(sandbox)).await;
    }
    let changed = write.query("UPDATE sandboxes SET acked_seq = 3 WHERE id = $1").bind(sandbox.0);
    changed.execute().await.unwrap();
    write.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    for (log, from) in [
        (Log::Spec(id), Place::default()),
        (Log::Sandbox(sandbox), Place::default()),
        (ALL, before),
    ] {
        let (found, reached) = facts(&mut session, log, from).await;
        assert_eq!(specs_of(&found), [(id, 1), (id, 2), (id, 3)], "{log:?}");
        let (rest, _) = facts(&mut session, log, found[0].place).await;
        assert_eq!(specs_of(&rest), [(id, 2), (id, 3)], "{log:?}");
        assert!(facts(&mut session, log, reached).await.0.is_empty(), "{log:?}");
    }
    let beyond = log::read(&mut session, Log::Spec(id), Place::behind(4), 9).await.unwrap();
    assert!(matches!(beyond, Read::Gone { .. }), "nothing was ever behind 4: {beyond:?}");
}

/// PostgreSQL alone has two writers at once.
pub(super) fn is_postgres(session: &Session) -> bool {
    matches!(session, Session::Postgres(_))
}

async fn a_late_commit_never_slips_behind_a_reader(store: &Store) {
    let (early, late) = (new_spec(store).await.id, new_spec(store).await.id);
    let before = end(store).await;
    let mut first = store.write().await.unwrap();
    if !is_postgres(&first) {
        return;
    }
    add(&mut first, early, None).await;
    added(store, late).await;
    let mut session = store.read().await.unwrap();
    let read = log::read(&mut session, ALL, before, 9).await.unwrap();
    let Read::Facts { facts: found, reached, held_back } = read else { panic!("{read:?}") };
    assert!(found.is_empty() && held_back, "the committed one waits for the older transaction");
    drop(session);
    first.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    let (found, _) = facts(&mut session, ALL, reached).await;
    assert_eq!(specs_of(&found), [(early, 1), (late, 1)]);
}

async fn a_specs_order_holds_among_all_though_a_transaction_began_early(store: &Store) {
    let id = new_spec(store).await.id;
    let before = end(store).await;
    let mut first = store.write().await.unwrap();
    if !is_postgres(&first) {
        return;
    }
    // It has its number, and comes to the spec only after another one.
    first.query("SELECT pg_current_xact_id()").execute().await.unwrap();
    added(store, id).await;
    add(&mut first, id, None).await;
    first.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    let (found, _) = facts(&mut session, ALL, before).await;
    assert_eq!(specs_of(&found), [(id, 1), (id, 2)]);
}

async fn what_is_gone_is_said(store: &Store) {
    let id = new_spec(store).await.id;
    let before = end(store).await;
    for _ in 0..3 {
        added(store, id).await;
    }
    let mut write = store.write().await.unwrap();
    let delete = write.query("DELETE FROM events WHERE spec_id = $1 AND position <= 2").bind(id.0);
    assert_eq!(delete.execute().await.unwrap(), 2);
    write.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    for (log, after) in [(Log::Spec(id), Place::behind(1)), (ALL, before)] {
        let read = log::read(&mut session, log, after, 9).await.unwrap();
        let Read::Gone { oldest } = read else { panic!("{log:?}: {read:?}") };
        let (found, _) = facts(&mut session, log, oldest).await;
        assert_eq!(specs_of(&found), [(id, 3)], "{log:?}");
    }
    drop(session);
    let mut write = store.write().await.unwrap();
    write.query("DELETE FROM events WHERE spec_id = $1").bind(id.0).execute().await.unwrap();
    write.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    let read = log::read(&mut session, Log::Spec(id), Place::behind(1), 9).await.unwrap();
    assert!(matches!(read, Read::Gone { oldest } if oldest == Place::behind(3)), "{read:?}");
    assert!(facts(&mut session, Log::Spec(id), Place::behind(3)).await.0.is_empty());
}

async fn a_commit_is_heard_by_other_processes(store: &Store) {
    let own = uuid::Uuid::now_v7();
    let id = new_spec(store).await.id;
    let mut ear = news::Ear::open(store, own).await.unwrap();
    let mut write = store.write().await.unwrap();
    if !is_postgres(&write) {
        // Heard of other processes alone: `two_processes_on_one_file_hear_each_other`.
        return;
    }
    add(&mut write, id, None).await;
    write.commit().await.unwrap();
    let about = std::collections::BTreeSet::from([id.0]);
    news::tell(store, own, &about).await.unwrap();
    news::tell(store, uuid::Uuid::now_v7(), &about).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(60), ear.next()).await.unwrap().unwrap();
    assert_eq!(heard, news::News::About(vec![id.0]), "what it told itself is left out");
}

async fn what_nobody_told_is_found(store: &Store) {
    let mut session = store.read().await.unwrap();
    let begin = untold::written_behind(&mut session, None).await.unwrap();
    let reached = order::reached(&mut session).await.unwrap();
    assert!(!is_postgres(&session) || begin.mark == reached, "{begin:?}, {reached:?}");
    assert_eq!(begin.about, Some(BTreeSet::new()), "the first look gives only the mark");
    let postgres = is_postgres(&session);
    drop(session);
    let id = new_spec(store).await.id;
    let sandbox = add_sandbox(store, id).await.unwrap();
    let mut write = store.write().await.unwrap();
    add(&mut write, id, Some(sandbox)).await;
    write.commit().await.unwrap();
    end(store).await;
    let mut session = store.read().await.unwrap();
    let found = untold::written_behind(&mut session, Some(begin.mark)).await.unwrap();
    let waiting = untold::messages_waiting(&mut session).await.unwrap();
    assert!(!waiting.contains_key(&sandbox.0));
    let expected = BTreeSet::from([id.0, event::reported_by(sandbox)]);
    assert_eq!(untold::is_possible(store), postgres);
    if postgres {
        assert!(found.about.unwrap().is_superset(&expected));
        let more = untold::written_behind(&mut session, Some(found.mark)).await.unwrap();
        assert_eq!(more.about, Some(BTreeSet::new()));
    }
    drop(session);
    let mut write = store.write().await.unwrap();
    let new = json!({ "kind": "user_message", "text": "look" });
    let new = serde_json::from_value(new).unwrap();
    let said = Message::queued(MessageId(uuid::Uuid::now_v7()), 1, &new, None, now());
    message::insert(&mut write, sandbox, &said).await.unwrap();
    write.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    let waiting = untold::messages_waiting(&mut session).await.unwrap();
    assert_eq!(waiting.get(&sandbox.0), postgres.then_some(&1));
}

async fn another_life_gets_another_epoch(store: &Store) {
    let id = new_spec(store).await.id;
    let mut session = store.read().await.unwrap();
    let epoch = order::epoch(&mut session).await.unwrap();
    drop(session);
    order::settle(store).await.unwrap();
    let mut session = store.read().await.unwrap();
    assert_eq!(order::epoch(&mut session).await.unwrap(), epoch, "it is the same life");
    let postgres = is_postgres(&session);
    drop(session);
    if postgres {
        // As a dump of an older, busier cluster leaves it.
        let mut write = store.write().await.unwrap();
        write.query("UPDATE event_order SET life = 'another'").execute().await.unwrap();
        let ahead = "UPDATE events SET txid = txid + 1000000000 WHERE txid > 0";
        write.query(ahead).execute().await.unwrap();
        write.commit().await.unwrap();
        order::settle(store).await.unwrap();
        let before = end(store).await;
        added(store, id).await;
        let mut session = store.read().await.unwrap();
        let (found, _) = facts(&mut session, ALL, before).await;
        assert_eq!(specs_of(&found), [(id, 1)], "what is new stands behind what was restored");
    } else {
        let mut write = store.write().await.unwrap();
        order::begin_life(&mut write).await.unwrap();
        write.commit().await.unwrap();
    }
    let mut session = store.read().await.unwrap();
    assert_ne!(order::epoch(&mut session).await.unwrap(), epoch);
}
