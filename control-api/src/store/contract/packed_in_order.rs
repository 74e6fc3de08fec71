//! What is packed keeps its place in the order of all events, and who reads there cannot tell.

use std::time::Duration;

use serde_json::json;
use specwright_shared::id::{SpecId, UserId};
use specwright_shared::time::Timestamp;
use uuid::Uuid;

use super::event::{ALL, end, is_postgres};
use super::old_events::{Dice, pack_all, rows_of};
use super::{add_sandbox, new_spec, now, numbered};
use crate::store::event::log::{self, Log, Read};
use crate::store::event::order::{self, Place};
use crate::store::event::{self, archive, recent};
use crate::store::project::Sight;
use crate::store::{Store, sandbox, spec};

/// How many histories are made and packed, of how many specs at once, with how many events.
const HISTORIES: u64 = 3;
const SPECS: u64 = 4;
const EVENTS: u64 = 320;

pub(super) async fn what_is_kept_of_the_order_of_packed_events(store: &Store) {
    for seed in 1..=HISTORIES {
        who_reads_all_cannot_tell_what_is_packed(store, seed).await;
    }
    a_piece_of_the_version_before_is_told_as_gone(store).await;
    what_a_sandbox_did_is_found_where_it_is_packed(store).await;
    packed_events_stand_before_new_ones_in_another_life(store).await;
    // A row for who comes next.
    let id = new_spec(store).await.id;
    add(store, id, begin(200), 9).await;
}

/// Long after all that other tests wrote: what they left is packed first, and does not matter here.
fn begin(number: u64) -> Timestamp {
    now().plus(Duration::from_secs(100_000_000 + 1_000_000 * number))
}

async fn add(store: &Store, id: SpecId, at: Timestamp, size: u64) {
    let mut write = store.write().await.unwrap();
    let mut row = spec::lock(&mut write, id).await.unwrap().unwrap();
    row.events += 1;
    let data = json!({ "text": "€".repeat(usize::try_from(size).unwrap() / 3) });
    let event = numbered(0, "agent.spoke", None, data);
    let recorded = vec![event::Recorded::new(row.events, None, &event)];
    event::insert(&mut write, id, recorded, at).await.unwrap();
    spec::save(&mut write, &row).await.unwrap();
    write.commit().await.unwrap();
}

/// All that stands behind a place, in pages of changing sizes: places and bytes.
async fn behind(store: &Store, dice: &mut Dice, after: Place) -> Vec<(Place, String)> {
    let (mut all, mut place) = (Vec::new(), after);
    loop {
        let mut session = store.read().await.unwrap();
        let limit = 1 + u32::try_from(dice.below(200)).unwrap();
        let read = log::read(&mut session, ALL, place, limit).await.unwrap();
        let Read::Facts { facts, reached, held_back } = read else { panic!("{place:?}: {read:?}") };
        assert!(facts.len() <= limit as usize);
        if facts.is_empty() {
            if held_back {
                tokio::task::yield_now().await;
                continue;
            }
            return all;
        }
        all.extend(facts.into_iter().map(|fact| (fact.place, fact.json.get().to_owned())));
        assert!(all.last().is_some_and(|(last, _)| *last <= reached), "nothing is passed over");
        place = reached;
    }
}

/// Packs at most so many pieces.
async fn pack_some(store: &Store, before: Timestamp, pieces: u64) {
    for _ in 0..pieces {
        let mut write = store.write().await.unwrap();
        if archive::pack(&mut write, before, now()).await.unwrap().is_none() {
            return;
        }
        write.commit().await.unwrap();
    }
}

async fn who_reads_all_cannot_tell_what_is_packed(store: &Store, seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let begin = begin(seed);
    pack_all(store, begin).await;
    let before = end(store).await;
    let mut specs = Vec::new();
    for _ in 0..SPECS {
        specs.push(new_spec(store).await.id);
    }
    for number in 0..EVENTS {
        let id = specs[usize::try_from(dice.below(SPECS)).unwrap()];
        let size = if dice.below(40) == 0 { 400_000 } else { dice.below(300) };
        add(store, id, begin.plus(Duration::from_secs(number)), size).await;
    }
    let all = behind(store, &mut dice, before).await;
    assert_eq!(all.len() as u64, EVENTS);
    for round in 0..5 {
        // At last all of them.
        let (cut, pieces) = match round {
            4 => (EVENTS, EVENTS),
            _ => (dice.below(EVENTS), 1 + dice.below(3)),
        };
        pack_some(store, begin.plus(Duration::from_secs(cut)), pieces).await;
        assert!(behind(store, &mut dice, before).await == all, "seed {seed}, round {round}");
        for _ in 0..5 {
            let from = usize::try_from(dice.below(all.len() as u64 + 1)).unwrap();
            let place = from.checked_sub(1).map_or(before, |last| all[last].0);
            let found = behind(store, &mut dice, place).await;
            assert!(found == all[from..], "behind {place:?}, seed {seed}, round {round}");
        }
    }
    for id in &specs {
        assert_eq!(rows_of(store, *id).await, 0, "all were old");
    }
    let stranger = Log::Seen(Sight { user: Some(UserId(Uuid::nil())), project: None });
    let mut session = store.read().await.unwrap();
    let read = log::read(&mut session, stranger, before, 9).await.unwrap();
    assert!(matches!(&read, Read::Facts { facts, .. } if facts.is_empty()), "{read:?}");
    drop(session);
    // What was begun and not committed was not packed.
    add(store, specs[0], begin, 9).await;
    let mut write = store.write().await.unwrap();
    assert!(
        archive::pack(&mut write, begin.plus(Duration::from_secs(1)), now())
            .await
            .unwrap()
            .is_some()
    );
    drop(write);
    assert_eq!(rows_of(store, specs[0]).await, 1);
    assert_eq!(behind(store, &mut dice, before).await.len() as u64, EVENTS + 1);
}

/// The text that a version before this order wrote pieces with, while the replicas change.
async fn a_piece_of_the_version_before_is_told_as_gone(store: &Store) {
    let before = end(store).await;
    let id = new_spec(store).await.id;
    for _ in 0..2 {
        add(store, id, begin(90), 9).await;
    }
    let mut write = store.write().await.unwrap();
    let mut session = store.read().await.unwrap();
    let read = log::read(&mut session, Log::Spec(id), Place::default(), 1).await.unwrap();
    drop(session);
    let Read::Facts { facts, .. } = read else { panic!("{read:?}") };
    let piece = "INSERT INTO event_archives (
                     spec_id, first_position, last_position, lines, archived_at
                 )
                 VALUES ($1, 1, 1, $2, $3)";
    let lines = archive::packed(facts[0].json.get()).unwrap();
    let piece = write.query(piece).bind(id.0).bind(lines).bind(now().as_utc());
    piece.execute().await.unwrap();
    let gone = write.query("DELETE FROM events WHERE spec_id = $1 AND position = 1").bind(id.0);
    gone.execute().await.unwrap();
    write.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    let read = log::read(&mut session, ALL, before, 9).await.unwrap();
    let Read::Gone { oldest } = read else { panic!("{read:?}") };
    let read = log::read(&mut session, ALL, oldest, 9).await.unwrap();
    assert!(matches!(&read, Read::Facts { facts, .. } if facts.len() == 1), "{read:?}");
    let read = log::read(&mut session, Log::Spec(id), Place::default(), 9).await.unwrap();
    assert!(matches!(&read, Read::Facts { facts, .. } if facts.len() == 2), "{read:?}");
}

async fn what_a_sandbox_did_is_found_where_it_is_packed(store: &Store) {
    let id = new_spec(store).await.id;
    let sandbox = add_sandbox(store, id).await.unwrap();
    let mut write = store.write().await.unwrap();
    let mut row = spec::lock(&mut write, id).await.unwrap().unwrap();
    for seq in 1..=6 {
        row.events += 1;
        let kind = match seq {
            1 => "spec.execution_started",
            3 => "agent.thinking",
            _ => "agent.spoke",
        };
        let at = begin(91).plus(Duration::from_secs(seq));
        let recorded = event::Recorded::new(
            row.events,
            Some(sandbox),
            &numbered(seq, kind, None, json!({ "n": seq })),
        );
        event::insert(&mut write, id, vec![recorded], at).await.unwrap();
    }
    spec::save(&mut write, &row).await.unwrap();
    let mut worked = sandbox::lock(&mut write, sandbox).await.unwrap().unwrap();
    worked.acked_seq = 6;
    sandbox::save_progress(&mut write, &worked).await.unwrap();
    write.commit().await.unwrap();
    for cut in [0, 4, 9] {
        pack_all(store, begin(91).plus(Duration::from_secs(cut))).await;
        let mut session = store.read().await.unwrap();
        for (after, expected) in [(0, vec![1, 2, 4, 5, 6]), (3, vec![4, 5, 6]), (6, vec![])] {
            let found = recent::behind(&mut session, sandbox, after, None).await.unwrap();
            let found: Vec<u64> = found.iter().map(|event| event.seq).collect();
            assert_eq!(found, expected, "packed up to {cut} s, behind {after}");
        }
        let beginning = recent::beginning(&mut session, sandbox).await.unwrap();
        assert_eq!(beginning, Some(json!({ "n": 1 })), "packed up to {cut} s");
    }
    assert_eq!(rows_of(store, id).await, 0);
}

/// As a dump of an older, busier cluster leaves it, with everything packed.
async fn packed_events_stand_before_new_ones_in_another_life(store: &Store) {
    let mut write = store.write().await.unwrap();
    if !is_postgres(&write) {
        return;
    }
    let id = new_spec(store).await.id;
    pack_all(store, begin(99)).await;
    for ahead in [
        "UPDATE event_order SET life = 'another'",
        "UPDATE event_archives
         SET first_txid = first_txid + 1000000000, last_txid = last_txid + 1000000000
         WHERE last_txid > 0",
    ] {
        write.query(ahead).execute().await.unwrap();
    }
    write.commit().await.unwrap();
    order::settle(store).await.unwrap();
    let before = end(store).await;
    add(store, id, begin(100), 9).await;
    let mut dice = Dice(9);
    assert_eq!(behind(store, &mut dice, before).await.len(), 1, "it stands behind what is packed");
    pack_all(store, begin(101)).await;
    assert_eq!(behind(store, &mut dice, before).await.len(), 1);
}
