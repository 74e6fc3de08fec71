//! Old events are packed, and nobody who reads a log of a spec or a sandbox can tell.

use std::time::Duration;

use serde_json::json;
use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::outcome::Outcome;
use specwright_shared::time::Timestamp;

use super::{add_sandbox, new_spec, now, numbered};
use crate::store::event::log::{self, Log, Read};
use crate::store::event::order::Place;
use crate::store::event::{self, archive};
use crate::store::{Store, sandbox, spec};

/// How many histories are made and packed.
const HISTORIES: u64 = 5;

pub(super) async fn what_is_kept_of_old_events(store: &Store) {
    for seed in 1..=HISTORIES {
        what_was_readable_before_is_readable_after_byte_for_byte(store, seed).await;
    }
    what_is_lost_behind_packed_events_is_said(store).await;
}

/// Numbers that a seed determines (xorshift).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

struct History {
    spec: SpecId,
    sandboxes: Vec<SandboxId>,
    /// When the last of its events was taken in.
    end: Timestamp,
}

impl History {
    fn logs(&self) -> impl Iterator<Item = Log> {
        let sandboxes = self.sandboxes.iter().map(|id| Log::Sandbox(*id));
        std::iter::once(Log::Spec(self.spec)).chain(sandboxes)
    }
}

/// A spec with some sandboxes, one after the other, and events of theirs and of the control API.
async fn history(store: &Store, dice: &mut Dice, begin: Timestamp) -> History {
    let spec = new_spec(store).await.id;
    let (mut sandboxes, mut end) = (Vec::new(), begin);
    for _ in 0..=dice.below(3) {
        let sandbox = add_sandbox(store, spec).await.unwrap();
        sandboxes.push(sandbox);
        let mut write = store.write().await.unwrap();
        let mut row = spec::lock(&mut write, spec).await.unwrap().unwrap();
        let mut seq = 0;
        for _ in 0..dice.below(260) {
            row.events += 1;
            let own = dice.below(4) == 0;
            seq += u64::from(!own);
            let size = if dice.below(60) == 0 { 400_000 } else { dice.below(300) };
            let text = "€".repeat(usize::try_from(size).unwrap() / 3);
            let data = json!({ "z": text, "a": [dice.below(9), null, 1.5, "line\nbreak"] });
            let event = numbered(if own { 0 } else { seq }, "agent.spoke", None, data);
            let by = (!own).then_some(sandbox);
            end = end.plus(Duration::from_millis(dice.below(2_000)));
            let recorded = vec![event::Recorded::new(row.events, by, &event)];
            event::insert(&mut write, spec, recorded, end).await.unwrap();
        }
        spec::save(&mut write, &row).await.unwrap();
        let mut worked = sandbox::lock(&mut write, sandbox).await.unwrap().unwrap();
        worked.acked_seq = seq;
        sandbox::save_progress(&mut write, &worked).await.unwrap();
        sandbox::end(&mut write, sandbox, Outcome::Lost, None, end).await.unwrap();
        write.commit().await.unwrap();
    }
    History { spec, sandboxes, end }
}

/// All that stands behind a place, in pages of changing sizes: places and bytes.
async fn behind(store: &Store, dice: &mut Dice, log: Log, after: Place) -> Vec<(Place, String)> {
    let (mut all, mut place) = (Vec::new(), after);
    loop {
        let mut session = store.read().await.unwrap();
        let limit = 1 + u32::try_from(dice.below(500)).unwrap();
        let read = log::read(&mut session, log, place, limit).await.unwrap();
        let Read::Facts { facts, reached, .. } = read else {
            panic!("{log:?} {place:?}: {read:?}")
        };
        assert!(facts.len() <= limit as usize);
        if facts.is_empty() {
            assert_eq!(reached, place);
            return all;
        }
        assert!(facts.iter().all(|fact| fact.kind == "agent.spoke"));
        all.extend(facts.into_iter().map(|fact| (fact.place, fact.json.get().to_owned())));
        place = reached;
    }
}

pub(super) async fn pack_all(store: &Store, before: Timestamp) -> u64 {
    let mut events = 0;
    loop {
        let mut write = store.write().await.unwrap();
        let Some(packed) = archive::pack(&mut write, before, now()).await.unwrap() else {
            return events;
        };
        write.commit().await.unwrap();
        // Deletes come in small transactions, each committed before the next.
        assert!((1..=200).contains(&packed.events), "{} in one transaction", packed.events);
        events += packed.events;
    }
}

pub(super) async fn rows_of(store: &Store, spec: SpecId) -> i64 {
    let mut session = store.read().await.unwrap();
    let rows = session.query("SELECT COUNT(*) FROM events WHERE spec_id = $1").bind(spec.0);
    let (rows,): (i64,) = rows.fetch_one().await.unwrap();
    rows
}

async fn what_was_readable_before_is_readable_after_byte_for_byte(store: &Store, seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let begin = now().plus(Duration::from_secs(3_600 * seed));
    let history = history(store, &mut dice, begin).await;
    let mut before = Vec::new();
    for log in history.logs() {
        before.push((log, behind(store, &mut dice, log, Place::default()).await));
    }
    let length = u64::try_from(history.end.since(begin).as_millis()).unwrap();
    let cuts = [
        begin.plus(Duration::from_millis(dice.below(length + 1))),
        history.end.plus(Duration::from_secs(1)),
    ];
    for cut in cuts {
        let rows = rows_of(store, history.spec).await;
        pack_all(store, cut).await;
        assert!(rows_of(store, history.spec).await <= rows);
        for (log, all) in &before {
            let found = behind(store, &mut dice, *log, Place::default()).await;
            assert!(found == *all, "{log:?} reads differently after packing, seed {seed}");
            for _ in 0..4 {
                let from = usize::try_from(dice.below(all.len() as u64 + 1)).unwrap();
                let place = from.checked_sub(1).map_or(Place::default(), |last| all[last].0);
                let found = behind(store, &mut dice, *log, place).await;
                assert!(found == all[from..], "{log:?} behind {place:?}, seed {seed}");
            }
        }
    }
    assert_eq!(rows_of(store, history.spec).await, 0, "all were old");
    // The log goes on behind what was packed.
    let mut write = store.write().await.unwrap();
    let mut row = spec::lock(&mut write, history.spec).await.unwrap().unwrap();
    row.events += 1;
    let event = numbered(0, "agent.spoke", None, json!({}));
    let recorded = vec![event::Recorded::new(row.events, None, &event)];
    event::insert(&mut write, row.id, recorded, history.end).await.unwrap();
    spec::save(&mut write, &row).await.unwrap();
    write.commit().await.unwrap();
    let all = behind(store, &mut dice, Log::Spec(history.spec), Place::default()).await;
    assert_eq!(all.len(), before[0].1.len() + 1);
}

async fn what_is_lost_behind_packed_events_is_said(store: &Store) {
    let mut dice = Dice(7);
    let begin = now().plus(Duration::from_secs(3_600 * (HISTORIES + 1)));
    let history = loop {
        let history = history(store, &mut dice, begin).await;
        if rows_of(store, history.spec).await > 3 {
            break history;
        }
    };
    let mut write = store.write().await.unwrap();
    let lost = write.query("DELETE FROM events WHERE spec_id = $1 AND position = 2");
    lost.bind(history.spec.0).execute().await.unwrap();
    write.commit().await.unwrap();
    pack_all(store, history.end.plus(Duration::from_secs(1))).await;
    let mut session = store.read().await.unwrap();
    let log = Log::Spec(history.spec);
    let read = log::read(&mut session, log, Place::default(), 9).await.unwrap();
    assert!(matches!(&read, Read::Facts { facts, .. } if facts.len() == 1), "{read:?}");
    let read = log::read(&mut session, log, Place::behind(1), 9).await.unwrap();
    assert!(matches!(read, Read::Gone { oldest } if oldest == Place::behind(2)), "{read:?}");
}
