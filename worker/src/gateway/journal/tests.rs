//! What is left of calls whose worker is gone.

use super::*;

const MODEL: &str = "claude-opus-5-5";

fn record(number: u128) -> CallRecord {
    CallRecord::new(Uuid::from_u128(number), 3000)
}

#[test]
fn a_call_is_left_until_it_is_entered() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("calls");
    let (journal, left) = Journal::open(&path).unwrap();
    assert!(left.is_empty());
    journal.begin(&record(1)).unwrap();
    journal.begin(&record(2)).unwrap();
    journal.entered(record(1).call_id);
    for _ in 0..2 {
        // Not entered by the one that found it either: it is found again.
        let (_, left) = Journal::open(&path).unwrap();
        assert_eq!(left.iter().map(|call| call.call_id).collect::<Vec<_>>(), [record(2).call_id]);
    }
    let (journal, _) = Journal::open(&path).unwrap();
    journal.entered(record(2).call_id);
    assert!(Journal::open(&path).unwrap().1.is_empty());
}

#[test]
fn what_was_sent_counts_as_an_estimate_and_its_cost_is_said_to_be_unknown() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("calls");
    Journal::open(&path).unwrap().0.begin(&record(1)).unwrap();
    let (_, left) = Journal::open(&path).unwrap();
    let [call] = &left[..] else { panic!("{left:?}") };
    assert_eq!((call.cost_usd, call.estimated, call.complete), (None, true, false));
    assert!(call.counted_usd > 0.0 && call.cost_unknown.is_some(), "{call:?}");
}

#[test]
fn what_was_told_before_the_end_has_its_cost_and_what_was_written_since_is_estimated() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("calls");
    let (journal, _) = Journal::open(&path).unwrap();
    journal.begin(&record(1)).unwrap();
    let told = Tokens { input: 100, output: 10, ..Tokens::default() };
    let model = Some(MODEL.to_owned());
    let known = CallRecord { model, status: Some(200), told: Some(told), ..record(1) };
    journal.note(&known);
    let cut = Journal::open(&path).unwrap().1.remove(0);
    assert_eq!((cut.cost_usd, cut.counted_usd, cut.estimated), (Some(0.0006), 0.0006, true));
    journal.note(&CallRecord { text_bytes: 600, ..known.clone() });
    let cut = Journal::open(&path).unwrap().1.remove(0);
    assert_eq!((cut.cost_usd, cut.counted_usd, cut.estimated), (Some(0.0006), 0.0044, true));
    journal.note(&CallRecord { text_bytes: 600, complete: true, ..known });
    let whole = Journal::open(&path).unwrap().1.remove(0);
    assert_eq!((whole.cost_usd, whole.counted_usd, whole.estimated), (Some(0.0006), 0.0006, false));
}

#[test]
fn more_calls_at_once_than_there_are_slots_are_refused_and_none_is_overwritten() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("calls");
    let (journal, _) = Journal::open(&path).unwrap();
    for number in 0..u128::from(SLOTS) {
        journal.begin(&record(number)).unwrap();
    }
    assert!(journal.begin(&record(u128::MAX)).is_err());
    let (journal, left) = Journal::open(&path).unwrap();
    assert_eq!(left.len(), usize::from(SLOTS));
    journal.entered(record(7).call_id);
    journal.begin(&record(u128::MAX)).unwrap();
}

#[test]
fn a_long_name_does_not_reach_into_the_next_slot_and_nonsense_is_no_call() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("calls");
    std::fs::write(&path, "no call at all").unwrap();
    let (journal, left) = Journal::open(&path).unwrap();
    assert!(left.is_empty());
    let tokens = u64::MAX;
    let most = Tokens {
        input: tokens,
        output: tokens,
        cache_read: tokens,
        cache_write_5m: tokens,
        cache_write_1h: tokens,
    };
    for number in [1, 2] {
        journal.begin(&record(number)).unwrap();
        let model = Some("\u{1}".repeat(5000));
        journal.note(&CallRecord { model, told: Some(most), ..record(number) });
    }
    let (_, left) = Journal::open(&path).unwrap();
    assert_eq!(left.len(), 2);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), u64::from(SLOTS) * SLOT_BYTES as u64);
}
