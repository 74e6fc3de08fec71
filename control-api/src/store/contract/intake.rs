//! Taking in from many sandboxes at once.

use futures_util::future::join_all;
use serde_json::{Value, json};
use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::wire::event::RawEvent;
use specwright_shared::wire::sandbox::{Ack, Batch};
use uuid::Uuid;

use super::event::all;
use super::{LEASE, add_sandbox, new_spec, now, numbered};
use crate::ingest::{IngestError, Intake};
use crate::store::engine::Engine;
use crate::store::event::Recorded;
use crate::store::event::intake::{self, Raised, Standing};
use crate::store::event::log::Log;
use crate::store::postgres_server::PostgresServer;
use crate::store::sandbox::salvage::Claim;
use crate::store::{Session, Store, Write, sandbox, spec};

pub(super) async fn what_is_kept_of_many(store: &Store) {
    many_are_locked_and_raised_together(store).await;
    a_cost_that_cannot_be_counted_stays_at_the_most(store).await;
    who_is_locked_by_another_is_left_out(store).await;
    each_of_a_group_gets_the_answer_that_it_would_get_alone(store).await;
    who_does_not_stand_as_believed_is_left_out(store).await;
    what_is_taken_in_on_belief_is_what_is_true(store).await;
    heartbeats_between_groups_change_nothing_of_them(store).await;
    a_token_that_was_replaced_is_found_by_nothing_that_is_taken_in(store).await;
}

/// A sandbox to which a generation was handed out.
async fn active(store: &Store) -> (SpecId, SandboxId) {
    let spec = new_spec(store).await.id;
    let sandbox = add_sandbox(store, spec).await.unwrap();
    let mut write = store.write().await.unwrap();
    assert!(sandbox::set_generation(&mut write, sandbox, 1, Uuid::nil(), now()).await.unwrap());
    write.commit().await.unwrap();
    (spec, sandbox)
}

fn said(seq: u64) -> RawEvent {
    numbered(seq, "spec.progress", None, json!({ "message": format!("{seq}") }))
}

/// Writes so many events of each, and raises all.
async fn write_of_each(write: &mut Write, runs: &[(SpecId, SandboxId)], count: u64, cost: i64) {
    let (mut recorded, mut raised) = (Vec::new(), Raised::default());
    for (spec, sandbox) in runs {
        for seq in 1..=count {
            recorded.push((*spec, Recorded::new(seq, Some(*sandbox), &said(seq))));
        }
        raised.specs.insert(*spec, (count, cost));
        raised.sandboxes.insert(*sandbox, (count, cost));
    }
    let lease = now().plus(LEASE * 2);
    intake::enter(write, &recorded, &raised, now().plus(LEASE), lease).await.unwrap();
}

/// The next event of each.
fn one_more_of_each(standings: &[Standing]) -> (Vec<(SpecId, Recorded)>, Raised) {
    let (mut recorded, mut raised) = (Vec::new(), Raised::default());
    for one in standings {
        let (seq, events) = (one.acked + 1, one.events + 1);
        recorded.push((one.spec, Recorded::new(events, Some(one.sandbox), &said(seq))));
        raised.specs.insert(one.spec, (events, 0));
        raised.sandboxes.insert(one.sandbox, (seq, 0));
    }
    (recorded, raised)
}

async fn many_are_locked_and_raised_together(store: &Store) {
    let (one, two, other) = (active(store).await, active(store).await, active(store).await);
    let mut write = store.write().await.unwrap();
    let nobody = SandboxId(Uuid::now_v7());
    let asked = [two.1, nobody, one.1];
    let mut standings = intake::lock(&mut write, asked.into_iter()).await.unwrap();
    standings.sort_by_key(|standing| standing.sandbox);
    let found: Vec<_> = standings
        .iter()
        .map(|one| (one.spec, one.sandbox, one.ended, one.generation, one.acked, one.events))
        .collect();
    assert_eq!(found, [(one.0, one.1, false, 1, 0, 0), (two.0, two.1, false, 1, 0, 0)]);
    // More rows than one statement of SQLite's has.
    write_of_each(&mut write, &[one, two], 19, 7).await;
    write.commit().await.unwrap();

    let mut session = store.read().await.unwrap();
    for (id, sandbox) in [one, two] {
        let read = spec::find(&mut session, id).await.unwrap().unwrap();
        assert_eq!((read.events, read.cost_micro_usd), (19, 7));
        assert_eq!(read.updated_at, now().plus(LEASE));
        let read = sandbox::find(&mut session, sandbox).await.unwrap().unwrap();
        assert_eq!((read.acked_seq, read.cost_micro_usd), (19, 7));
        assert_eq!(read.lease_expires_at, now().plus(LEASE * 2));
        for log in [Log::Spec(id), Log::Sandbox(sandbox)] {
            let seqs: Vec<u64> = all(&mut session, log).await.iter().map(|e| e.event.seq).collect();
            assert_eq!(seqs, (1..=19).collect::<Vec<_>>(), "{log:?}");
        }
    }
    let read = sandbox::find(&mut session, other.1).await.unwrap().unwrap();
    assert_eq!((read.acked_seq, read.cost_micro_usd), (0, 0));
}

async fn a_cost_that_cannot_be_counted_stays_at_the_most(store: &Store) {
    let (dear, fair) = (active(store).await, active(store).await);
    for (count, cost) in [(1, 5), (2, i64::MAX), (3, 7), (4, i64::MAX)] {
        let mut write = store.write().await.unwrap();
        let (mut recorded, mut raised) = (Vec::new(), Raised::default());
        for ((spec, sandbox), cost) in [(dear, cost), (fair, 1)] {
            recorded.push((spec, Recorded::new(count, Some(sandbox), &said(count))));
            raised.specs.insert(spec, (count, cost));
            raised.sandboxes.insert(sandbox, (count, cost));
        }
        intake::enter(&mut write, &recorded, &raised, now(), now()).await.unwrap();
        write.commit().await.unwrap();
    }
    let mut session = store.read().await.unwrap();
    for ((id, of), cost) in [(dear, i64::MAX), (fair, 4)] {
        let read = spec::find(&mut session, id).await.unwrap().unwrap();
        assert_eq!((read.events, read.cost_micro_usd), (4, cost));
        let read = sandbox::find(&mut session, of).await.unwrap().unwrap();
        assert_eq!((read.acked_seq, read.cost_micro_usd), (4, cost));
    }
}

async fn who_is_locked_by_another_is_left_out(store: &Store) {
    let (held, by_sandbox, free) = (active(store).await, active(store).await, active(store).await);
    let mut other = store.write().await.unwrap();
    if matches!(*other, Session::Sqlite(_)) {
        return;
    }
    spec::lock(&mut other, held.0).await.unwrap();
    sandbox::lock(&mut other, by_sandbox.1).await.unwrap();
    let asked = || [held.1, by_sandbox.1, free.1].into_iter();
    let mut write = store.write().await.unwrap();
    let standings = intake::lock(&mut write, asked()).await.unwrap();
    let found: Vec<_> = standings.iter().map(|one| one.sandbox).collect();
    assert_eq!(found, [free.1], "nobody is waited for");
    other
        .query("UPDATE specs SET events = 5 WHERE id = $1")
        .bind(held.0.0)
        .execute()
        .await
        .unwrap();
    other.commit().await.unwrap();
    let standings = intake::lock(&mut write, asked()).await.unwrap();
    assert_eq!(standings.len(), 3, "both are free again");
    let changed = standings.iter().find(|one| one.sandbox == held.1).unwrap();
    assert_eq!(changed.events, 5, "read as it stands under the lock");
}

async fn each_of_a_group_gets_the_answer_that_it_would_get_alone(store: &Store) {
    let (one, two, three) = (active(store).await, active(store).await, active(store).await);
    let broken = active(store).await;
    let (intake, knows_nothing) = super::taking_in(store);
    let nobody = SandboxId(Uuid::now_v7());
    let (first, second) = (vec![said(1), said(2)], vec![said(3)]);
    let call = json!({ "call_id": Uuid::now_v7(), "cost_usd": 0.25 });
    let spent = numbered(1, "agent.model_call", None, call);
    let wrong = numbered(2, "spec.progress", None, json!({ "message": 7 }));
    // All stand in line before the first group begins: nothing on this thread ran in between.
    let sent = [
        (one.1, 1, first.clone()),
        (one.1, 1, first.clone()),
        (one.1, 1, second),
        (one.1, 1, vec![said(9)]),
        (two.1, 7, vec![said(1)]),
        (two.1, 1, vec![spent]),
        (nobody, 1, vec![said(1)]),
        (broken.1, 1, vec![said(1), wrong]),
        (three.1, 1, first),
    ];
    let answers = join_all(sent.into_iter().map(|(sandbox, generation, events)| {
        intake.take(None, &knows_nothing, sandbox, Batch { generation, events }, now(), LEASE)
    }));
    let mut answers = answers.await.into_iter();
    let mut next = || answers.next().unwrap().map(|taken| taken.ack);
    let acked = |acked| Ack { acked, ended: false };
    assert_eq!(next().unwrap(), acked(2));
    assert_eq!(next().unwrap(), acked(2), "a replay in the same group");
    assert_eq!(next().unwrap(), acked(3), "a second batch in the same group");
    assert!(matches!(next(), Err(IngestError::Gap { begins: 9, expected: 4 })));
    assert!(matches!(next(), Err(IngestError::NeverHandedOut { theirs: 7 })));
    assert_eq!(next().unwrap(), acked(1));
    assert!(matches!(next(), Err(IngestError::UnknownSandbox(id)) if id == nobody));
    assert!(matches!(next(), Err(IngestError::InvalidEvent { seq: 2, .. })));
    assert_eq!(next().unwrap(), acked(2));

    let mut session = store.read().await.unwrap();
    let mut texts = Vec::new();
    for (spec, _) in [one, two, three, broken] {
        let events = all(&mut session, Log::Spec(spec)).await;
        let text = |data: &Value| data["message"].as_str().map_or("a call".into(), str::to_owned);
        texts.push(events.iter().map(|one| text(&one.event.data)).collect::<Vec<_>>());
    }
    assert_eq!(texts, [vec!["1", "2", "3"], vec!["a call"], vec!["1", "2"], vec![]]);
    let read = spec::find(&mut session, two.0).await.unwrap().unwrap();
    let spent = sandbox::find(&mut session, two.1).await.unwrap().unwrap();
    assert_eq!((read.cost_micro_usd, spent.cost_micro_usd), (250_000, 250_000));
    if matches!(session, Session::Postgres(_)) {
        let transactions = "SELECT COUNT(DISTINCT txid) FROM events WHERE spec_id IN ($1, $2, $3)";
        let query = session.query(transactions).bind(one.0.0).bind(two.0.0).bind(three.0.0);
        let (transactions,): (i64,) = query.fetch_one().await.unwrap();
        assert_eq!(transactions, 1, "they were committed together");
    }
}

async fn who_does_not_stand_as_believed_is_left_out(store: &Store) {
    let Some(mut at_once) = store.write_at_once().await.unwrap() else {
        assert!(matches!(store.engine, Engine::Sqlite { .. }));
        return;
    };
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(active(store).await);
    }
    let [as_believed, reported, told, taken_over, ended, held] = runs[..] else { unreachable!() };
    let mut write = store.write().await.unwrap();
    let standings = intake::lock(&mut write, runs.iter().map(|(_, id)| *id)).await.unwrap();
    write.commit().await.unwrap();
    let mut write = store.write().await.unwrap();
    for (change, id) in [
        ("UPDATE sandboxes SET acked_seq = 1 WHERE id = $1", reported.1.0),
        ("UPDATE specs SET events = 1 WHERE id = $1", told.0.0),
        ("UPDATE sandboxes SET generation = 2 WHERE id = $1", taken_over.1.0),
        ("UPDATE sandboxes SET state = 'ended' WHERE id = $1", ended.1.0),
    ] {
        assert_eq!(write.query(change).bind(id).execute().await.unwrap(), 1);
    }
    write.commit().await.unwrap();
    let mut other = store.write().await.unwrap();
    spec::lock(&mut other, held.0).await.unwrap();

    let (recorded, raised) = one_more_of_each(&standings);
    let lease = now().plus(LEASE);
    let entered =
        intake::enter_if(&mut at_once, &standings, &recorded, &raised, now(), lease).await.unwrap();
    assert_eq!(entered.into_iter().collect::<Vec<_>>(), [as_believed.1]);
    // Without a commit of its own: the statement was it.
    drop(at_once);
    let mut session = store.read().await.unwrap();
    for (run, events) in [(as_believed, 1), (reported, 0), (taken_over, 0), (ended, 0), (held, 0)] {
        assert_eq!(all(&mut session, Log::Spec(run.0)).await.len(), events);
        let read = spec::find(&mut session, run.0).await.unwrap().unwrap();
        assert_eq!(read.events, events as u64);
    }
    let read = sandbox::find(&mut session, as_believed.1).await.unwrap().unwrap();
    assert_eq!((read.acked_seq, read.lease_expires_at), (1, lease));
    let read = sandbox::find(&mut session, told.1).await.unwrap().unwrap();
    assert_eq!(read.acked_seq, 0);
    other.commit().await.unwrap();
}

/// Two control APIs and somebody who writes to the spec beside them.
async fn what_is_taken_in_on_belief_is_what_is_true(store: &Store) {
    let (spec, sandbox) = active(store).await;
    let (here, knows_nothing) = super::taking_in(store);
    let (there, _) = super::taking_in(store);
    let report = async |intake: &Intake, generation, seqs: std::ops::RangeInclusive<u64>| {
        let batch = Batch { generation, events: seqs.map(said).collect() };
        let taken = intake.take(None, &knows_nothing, sandbox, batch, now(), LEASE).await;
        taken.map(|taken| taken.ack.acked)
    };
    assert_eq!(report(&here, 1, 1..=1).await.unwrap(), 1);
    assert_eq!(report(&here, 1, 2..=3).await.unwrap(), 3);
    assert_eq!(report(&there, 1, 4..=4).await.unwrap(), 4);
    assert_eq!(report(&here, 1, 4..=5).await.unwrap(), 5, "in part a replay of what is there");
    let mut write = store.write().await.unwrap();
    let mut locked = spec::lock(&mut write, spec).await.unwrap().unwrap();
    locked.events += 1;
    let own = Recorded::new(locked.events, None, &said(0));
    crate::store::event::insert(&mut write, spec, vec![own], now()).await.unwrap();
    spec::save(&mut write, &locked).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(report(&here, 1, 6..=6).await.unwrap(), 6);
    assert_eq!(report(&here, 1, 6..=6).await.unwrap(), 6, "a replay");
    let gap = report(&here, 1, 8..=8).await;
    assert!(matches!(gap, Err(IngestError::Gap { begins: 8, expected: 7 })));
    let mut write = store.write().await.unwrap();
    assert!(sandbox::set_generation(&mut write, sandbox, 2, Uuid::nil(), now()).await.unwrap());
    write.commit().await.unwrap();
    let fenced = report(&here, 1, 7..=7).await;
    assert!(matches!(fenced, Err(IngestError::Fenced { theirs: 1, newest: 2 })));
    assert_eq!(report(&here, 2, 7..=7).await.unwrap(), 7);

    let mut session = store.ask().await.unwrap();
    let events = all(&mut session, Log::Spec(spec)).await;
    let seqs: Vec<u64> = events.iter().map(|one| one.event.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 0, 6, 7]);
    let read = spec::find(&mut session, spec).await.unwrap().unwrap();
    assert_eq!(read.events, 8);
}

/// A heartbeat changes a row that a group has seen and not yet locked, and nothing that it goes by.
async fn heartbeats_between_groups_change_nothing_of_them(store: &Store) {
    const TIMES: u64 = 40;
    let mut runs = Vec::new();
    for _ in 0..8 {
        runs.push(active(store).await);
    }
    let (intake, knows_nothing) = super::taking_in(store);
    let reports = async |id: SandboxId| {
        for seq in 1..=TIMES {
            let batch = Batch { generation: 1, events: vec![said(seq)] };
            let taken = intake.take(None, &knows_nothing, id, batch, now(), LEASE).await.unwrap();
            assert_eq!(taken.ack, Ack { acked: seq, ended: false });
        }
    };
    let beats = async |id: SandboxId| {
        let heartbeat = serde_json::from_value(
            json!({ "generation": 1, "agent_alive": true, "spool_depth": 0 }),
        )
        .unwrap();
        for _ in 1..=TIMES {
            let at_once = store.write_at_once().await.unwrap();
            let mut write = match at_once {
                Some(at_once) => at_once,
                None => store.write().await.unwrap(),
            };
            let heard = sandbox::set_heartbeat(&mut write, id, &heartbeat, now(), now()).await;
            assert!(heard.unwrap().is_some());
            write.commit().await.unwrap();
        }
    };
    let both = runs.iter().map(|(_, id)| futures_util::future::join(reports(*id), beats(*id)));
    join_all(both).await;
    let mut session = store.read().await.unwrap();
    for (spec, id) in runs {
        for log in [Log::Spec(spec), Log::Sandbox(id)] {
            let seqs: Vec<u64> = all(&mut session, log).await.iter().map(|e| e.event.seq).collect();
            assert_eq!(seqs, (1..=TIMES).collect::<Vec<_>>(), "{log:?}");
        }
        let read = sandbox::find(&mut session, id).await.unwrap().unwrap();
        assert!(read.acked_seq == TIMES && read.heartbeat.is_some());
    }
}

/// What it was taken in with is as good as looked up only as long as it is the sandbox's.
async fn a_token_that_was_replaced_is_found_by_nothing_that_is_taken_in(store: &Store) {
    let (_, id) = active(store).await;
    let (intake, knows_nothing) = super::taking_in(store);
    let take = async |seq| {
        let batch = Batch { generation: 1, events: vec![said(seq)] };
        intake.take(None, &knows_nothing, id, batch, now(), LEASE).await.unwrap().token
    };
    let [old, new] = [&*id.to_string(), "new"].map(crate::auth::hash);
    // Asked for first, then believed.
    assert_eq!([take(1).await, take(2).await], [Some(old); 2]);
    let mut write = store.write().await.unwrap();
    let claim = Claim { by: json!({}), until: now() };
    sandbox::salvage::claim(&mut write, id, &claim, &new).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!([take(3).await, take(4).await], [Some(new); 2]);
}

/// Fills the tables: 10,000 runs of 5 events each.
const FILL: [&str; 4] = [
    "INSERT INTO specs
         SELECT made.*
         FROM specs, generate_series(1, 10000) AS number, LATERAL jsonb_populate_record(
             NULL::specs,
             to_jsonb(specs) || jsonb_build_object('id', gen_random_uuid(), 'number', number)) AS made",
    "INSERT INTO sandboxes
         SELECT made.*
         FROM specs, sandboxes, LATERAL jsonb_populate_record(
             NULL::sandboxes,
             to_jsonb(sandboxes) || jsonb_build_object(
                 'id', gen_random_uuid(), 'spec_id', specs.id,
                 'token_hash', '\\x' || md5(specs.id::TEXT) || md5(specs.id::TEXT))) AS made
         WHERE specs.id <> sandboxes.spec_id",
    "INSERT INTO events (spec_id, position, sandbox_id, seq, id, kind, at, received_at, data)
         SELECT spec_id, number, id, number, gen_random_uuid(), 'spec.progress', NOW(), NOW(), '{}'
         FROM sandboxes, generate_series(1, 5) AS number",
    "UPDATE sandboxes SET acked_seq = 5",
];

/// On tables of real size no statement on the way in reads one from end to end, nor do the checks of
/// its foreign keys: the server's own counters say so.
pub(super) async fn what_is_taken_in_is_found_by_indexes(server: &PostgresServer) {
    let first = Store::open(&server.address()).await.unwrap();
    if let Engine::Postgres(pool) = &first.engine {
        // No transaction around it: PostgreSQL makes databases outside of them.
        sqlx::query("CREATE DATABASE large").execute(pool).await.unwrap();
    }
    first.close().await;
    let address = server.address();
    let large = format!("{}/large", address.strip_suffix("/postgres").unwrap());
    let store = Store::open(&large).await.unwrap();
    let (_, sandbox) = active(&store).await;
    let mut write = store.write().await.unwrap();
    for fill in FILL {
        write.query(fill).execute().await.unwrap();
    }
    write.query("UPDATE specs SET events = 5").execute().await.unwrap();
    write.query("ANALYZE specs, sandboxes, events").execute().await.unwrap();
    write.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    let find = "SELECT id, spec_id FROM sandboxes ORDER BY id LIMIT 10";
    let runs: Vec<(Uuid, Uuid)> = session.query(find).fetch_all().await.unwrap();
    drop(session);

    let mut write = store.write().await.unwrap();
    let scans = "SELECT COALESCE(SUM(seq_scan), 0)::BIGINT, COALESCE(SUM(idx_scan), 0)::BIGINT
         FROM pg_stat_xact_user_tables
         WHERE relname IN ('specs', 'sandboxes', 'events')";
    let (before, by_index): (i64, i64) = write.query(scans).fetch_one().await.unwrap();
    let ids = runs.iter().map(|(id, _)| SandboxId(*id)).chain([sandbox]);
    let standings = intake::lock(&mut write, ids).await.unwrap();
    assert_eq!(standings.len(), 11 - usize::from(runs.iter().any(|(id, _)| *id == sandbox.0)));
    let (recorded, raised) = one_more_of_each(&standings);
    intake::enter(&mut write, &recorded, &raised, now(), now()).await.unwrap();
    let standings: Vec<_> = standings
        .into_iter()
        .map(|one| Standing { acked: one.acked + 1, events: one.events + 1, ..one })
        .collect();
    let (recorded, raised) = one_more_of_each(&standings);
    let entered = intake::enter_if(&mut write, &standings, &recorded, &raised, now(), now());
    assert_eq!(entered.await.unwrap().len(), standings.len());
    let (after, by_index_after): (i64, i64) = write.query(scans).fetch_one().await.unwrap();
    assert_eq!(after, before, "a table was read from end to end");
    assert!(by_index_after > by_index, "the counters count");
    write.commit().await.unwrap();
    store.close().await;
}
