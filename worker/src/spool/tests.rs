//! The spool on a real disk, and a model of append, ship, lost reply and crash.

use std::io::Write as _;

use proptest::prelude::*;
use specwright_shared::wire::event::{AgentCompleted, Progress};

use super::*;

fn progress(message: &str) -> Event {
    Event::Progress(Progress { message: message.to_owned() })
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn open(directory: &Path) -> (Spool, Found) {
    let (recovered, found) = Spool::open(directory, Redactor::default()).unwrap();
    let spool = recovered.start(found.acked).unwrap();
    (spool, found)
}

fn append_raw(directory: &Path, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().append(true).open(directory.join(FACTS_FILE));
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
    let events = spool.reader(0).batch(2, 10, usize::MAX).unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_changed_line_in_the_middle_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open(place.path());
    spool.record(at(1), None, progress("first")).await.unwrap();
    spool.record(at(2), None, progress("second")).await.unwrap();
    spool.close().await;
    let path = place.path().join(FACTS_FILE);
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
    let text = std::fs::read_to_string(place.path().join(FACTS_FILE)).unwrap();
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
    assert_eq!(reader.batch(5, 3, usize::MAX).unwrap().len(), 3);
    assert_eq!(reader.batch(5, 10, 2500).unwrap().len(), 2);
    assert_eq!(reader.batch(5, 10, 1).unwrap().len(), 1);
    reader.acknowledge(4).unwrap();
    assert_eq!(reader.batch(5, 10, usize::MAX).unwrap()[0].seq, 5);
    reader.go_back_before(2);
    assert_eq!(reader.batch(5, 10, usize::MAX).unwrap()[0].seq, 2);
}

#[tokio::test]
async fn what_was_spent_is_known_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open(place.path());
    for cost_usd in [0.25, 0.5] {
        let turn = AgentCompleted {
            subtype: "success".into(),
            is_error: false,
            terminal_reason: None,
            structured_output: true,
            num_turns: 1,
            cost_usd,
            input_tokens: 1,
            output_tokens: 1,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            duration_ms: 1,
        };
        spool.record(at(1), Some(Phase::Explore), Event::AgentCompleted(turn)).await.unwrap();
    }
    spool.close().await;
    let (_, found) = Spool::open(place.path(), Redactor::default()).unwrap();
    assert!((found.fold.cost_usd - 0.75).abs() < 1e-9);
}

/// What can happen to a spool.
#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Ship { limit: usize, reply_lost: bool },
    Crash { torn: Vec<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u8..6).prop_map(Step::Append),
        4 => (1_usize..5, any::<bool>())
            .prop_map(|(limit, reply_lost)| Step::Ship { limit, reply_lost }),
        1 => proptest::collection::vec(any::<u8>().prop_filter("a torn line has no end", |byte| *byte != b'\n'), 0..40)
            .prop_map(|torn| Step::Crash { torn }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_the_server_holds_every_fact_once_and_in_order(
        steps in proptest::collection::vec(step(), 1..25),
    ) {
        let place = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut appended: Vec<String> = Vec::new();
            let mut server: Vec<String> = Vec::new();
            let (mut spool, found) = open(place.path());
            let mut reader = spool.reader(found.acked);
            for step in steps {
                match step {
                    Step::Append(count) => {
                        for _ in 0..count {
                            let text = format!("fact {}", appended.len() + 1);
                            let number = spool.record(at(1), None, progress(&text)).await.unwrap();
                            appended.push(text);
                            assert_eq!(number, appended.len() as u64);
                        }
                    }
                    Step::Ship { limit, reply_lost } => {
                        let durable = *spool.durable().borrow();
                        for event in reader.batch(durable, limit, usize::MAX).unwrap() {
                            // The server's rule: a known number changes nothing, a gap is refused.
                            assert!(event.seq <= server.len() as u64 + 1, "a gap");
                            if event.seq == server.len() as u64 + 1 {
                                server.push(event.data["message"].as_str().unwrap().to_owned());
                            }
                        }
                        if !reply_lost {
                            reader.acknowledge(server.len() as u64).unwrap();
                        }
                    }
                    Step::Crash { torn } => {
                        spool.close().await;
                        append_raw(place.path(), &torn);
                        let (again, found) = open(place.path());
                        assert_eq!(found.last, appended.len() as u64);
                        assert!(found.acked <= server.len() as u64);
                        reader = again.reader(found.acked);
                        spool = again;
                    }
                }
            }
            assert_eq!(&server[..], &appended[..server.len()]);
        });
    }
}
