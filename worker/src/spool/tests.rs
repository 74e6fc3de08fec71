//! The spool on a real disk.

mod full;
mod model;

use std::io::Write as _;

use specwright_shared::wire::event::Progress;

use super::*;

fn progress(message: &str) -> Event {
    Event::Progress(Progress { message: message.to_owned() })
}

/// A turn of the agent that cost something.
fn turn(cost_usd: f64) -> Event {
    let body = serde_json::json!({
        "subtype": "success", "is_error": false, "terminal_reason": null,
        "structured_output": true, "num_turns": 1, "cost_usd": cost_usd, "input_tokens": 1,
        "output_tokens": 1, "cache_read_tokens": 0, "cache_write_tokens": 0, "duration_ms": 1,
    });
    Event::AgentCompleted(serde_json::from_value(body).unwrap())
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn open(directory: &Path) -> (Spool, Found) {
    let (recovered, found) = Spool::open(directory, Redactor::default()).unwrap();
    let spool = recovered.start(found.acked).unwrap();
    (spool, found)
}

/// The segment that is being written.
fn active(directory: &Path) -> PathBuf {
    segment::path(directory, *segment::list(directory).unwrap().last().unwrap())
}

fn append_raw(directory: &Path, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().append(true).open(active(directory));
    file.as_mut().unwrap().write_all(bytes).unwrap();
}

#[tokio::test]
async fn numbers_go_on_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open(place.path());
    assert_eq!(spool.record(at(1), None, progress("a")).await.unwrap(), 1);
    assert_eq!(spool.record(at(2), None, progress("b")).await.unwrap(), 2);
    spool.close().await;
    let (spool, found) = open(place.path());
    assert_eq!(found.last, 2);
    assert_eq!(spool.record(at(3), None, progress("c")).await.unwrap(), 3);
}

#[tokio::test]
async fn a_torn_last_line_is_cut_and_its_number_given_again() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open(place.path());
    spool.record(at(1), None, progress("a")).await.unwrap();
    spool.close().await;
    append_raw(place.path(), b"0123456789abcdef {\"seq\":2,\"ty");
    let (spool, found) = open(place.path());
    assert_eq!(found.last, 1);
    assert_eq!(spool.record(at(2), None, progress("b")).await.unwrap(), 2);
    let events = spool.reader(0).batch(2, 10, usize::MAX).unwrap().events;
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_changed_line_in_the_middle_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open(place.path());
    spool.record(at(1), None, progress("first")).await.unwrap();
    spool.record(at(2), None, progress("second")).await.unwrap();
    spool.close().await;
    let path = active(place.path());
    let text = std::fs::read_to_string(&path).unwrap().replace("first", "fiRst");
    std::fs::write(&path, text).unwrap();
    let error = Spool::open(place.path(), Redactor::default()).unwrap_err();
    assert!(matches!(error, SpoolError::Damaged { offset: 0, .. }), "{error}");
}

#[tokio::test]
async fn a_secret_never_reaches_the_disk() {
    let place = tempfile::tempdir().unwrap();
    let secret = "sk-ant-0123456789";
    let redactor = Redactor::new([secret.to_owned()]);
    let (recovered, _) = Spool::open(place.path(), redactor).unwrap();
    let spool = recovered.start(0).unwrap();
    spool.record(at(1), None, progress(&format!("key={secret}!"))).await.unwrap();
    let text = std::fs::read_to_string(active(place.path())).unwrap();
    assert!(!text.contains(secret) && text.contains("[redacted]"), "{text}");
}

#[tokio::test]
async fn numbers_go_on_behind_what_the_control_api_has() {
    let place = tempfile::tempdir().unwrap();
    let (recovered, _) = Spool::open(place.path(), Redactor::default()).unwrap();
    let spool = recovered.start(41).unwrap();
    assert_eq!(spool.record(at(1), None, progress("a")).await.unwrap(), 42);
    spool.close().await;
    let (_, found) = Spool::open(place.path(), Redactor::default()).unwrap();
    assert_eq!(found.last, 42);
}

#[tokio::test]
async fn a_batch_keeps_its_limits_and_always_holds_one_event() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open(place.path());
    for number in 0..5 {
        spool.record(at(number), None, progress(&"x".repeat(1000))).await.unwrap();
    }
    let mut reader = spool.reader(0);
    assert_eq!(reader.batch(5, 3, usize::MAX).unwrap().events.len(), 3);
    assert_eq!(reader.batch(5, 10, 2500).unwrap().events.len(), 2);
    assert_eq!(reader.batch(5, 10, 1).unwrap().events.len(), 1);
    reader.acknowledge(4).unwrap();
    assert_eq!(reader.batch(5, 10, usize::MAX).unwrap().events[0].seq, 5);
    reader.go_back_before(2);
    assert_eq!(reader.batch(5, 10, usize::MAX).unwrap().events[0].seq, 2);
}

#[tokio::test]
async fn what_was_acknowledged_is_known_after_a_restart_whatever_stood_there_before() {
    let place = tempfile::tempdir().unwrap();
    let acked = place.path().join(ACKED_FILE);
    // As a version before wrote it; longer; cut short by a power cut; and none.
    for before in [Some("1\n"), Some("9999999999999999999999999\n"), Some(""), None] {
        let (spool, _) = open(place.path());
        drop(std::fs::remove_file(&acked));
        before.into_iter().for_each(|text| std::fs::write(&acked, text).unwrap());
        for number in 0..12 {
            spool.record(at(number), None, progress("a")).await.unwrap();
        }
        let mut reader = spool.reader(0);
        reader.acknowledge(12).unwrap();
        // What the control API lost it asks for: the number may fall.
        reader.go_back_before(4);
        reader.acknowledge(7).unwrap();
        spool.close().await;
        assert_eq!(
            Spool::open(place.path(), Redactor::default()).unwrap().1.acked,
            7,
            "{before:?}"
        );
    }
}

#[tokio::test]
async fn what_was_spent_is_known_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open(place.path());
    for cost_usd in [0.25, 0.5] {
        let turn = turn(cost_usd);
        spool.record(at(1), Some(Phase::Explore), turn).await.unwrap();
    }
    spool.close().await;
    let (_, found) = Spool::open(place.path(), Redactor::default()).unwrap();
    assert!((found.fold.cost_usd - 0.75).abs() < 1e-9);
}

#[tokio::test]
async fn what_the_gateway_counted_is_known_after_a_restart_and_counts_once() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open(place.path());
    let call = |number: u128, cost_usd: Option<f64>| {
        let call_id = uuid::Uuid::from_u128(number);
        let body =
            serde_json::json!({ "call_id": call_id, "cost_usd": cost_usd, "counted_usd": 0.5 });
        Event::ModelCall(serde_json::from_value(body).unwrap())
    };
    for event in [call(1, Some(0.5)), call(1, Some(0.5)), call(2, None)] {
        spool.record(at(1), None, event).await.unwrap();
    }
    spool.close().await;
    let (_, found) = Spool::open(place.path(), Redactor::default()).unwrap();
    assert!((found.fold.cost_usd - 0.5).abs() < 1e-9, "{:?}", found.fold);
    assert!((found.fold.ledger.counted().usd() - 1.0).abs() < 1e-9, "{:?}", found.fold);
}
