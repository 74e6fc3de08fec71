//! A model of all that can happen to a spool at once, against the real one on a real disk: facts of
//! three classes, shipping with lost and late answers, a refusal, segments that go, crashes with a
//! torn end, other programs that fill the disk, and the spool's own limit.
//!
//! What must hold after each step, and at the end when all was delivered:
//! - numbers rise by one, and a number given is a line that a reader finds until it is acknowledged;
//! - the server holds every fact that was taken, once, in order, and no fact that was not;
//! - every droppable fact is stored or declared, unless a crash took it before it was;
//! - a fact that must stay is stored or refused to its caller, and behind such a hole there is
//!   nothing but the end; the end is always taken;
//! - the files stay within the limit.

use proptest::prelude::*;
use specwright_shared::wire::event::RawEvent;

use super::full::{SmallDisk, dropped, end, error, open_within, tiny};
use super::*;

const LIMIT: u64 = 48 * 1024;

#[derive(Debug, Clone)]
enum Step {
    Talk {
        count: u8,
        bytes: usize,
    },
    Fact {
        bytes: usize,
    },
    Ship {
        limit: usize,
        reply_lost: bool,
    },
    /// An answer from long ago arrives now.
    LateAnswer,
    /// The server does not want the next event: something else goes out under its number.
    Refuse,
    Crash {
        torn: Vec<u8>,
        note_lost: bool,
    },
    DiskFull,
    DiskFree,
}

fn step() -> impl Strategy<Value = Step> {
    let torn = proptest::collection::vec(
        any::<u8>().prop_filter("a torn line has no end", |byte| *byte != b'\n'),
        0..40,
    );
    prop_oneof![
        4 => (1_u8..6, 10_usize..3000).prop_map(|(count, bytes)| Step::Talk { count, bytes }),
        4 => (10_usize..3000).prop_map(|bytes| Step::Fact { bytes }),
        4 => (1_usize..20, any::<bool>())
            .prop_map(|(limit, reply_lost)| Step::Ship { limit, reply_lost }),
        1 => Just(Step::LateAnswer),
        1 => Just(Step::Refuse),
        1 => (torn, any::<bool>()).prop_map(|(torn, note_lost)| Step::Crash { torn, note_lost }),
        1 => Just(Step::DiskFull),
        1 => Just(Step::DiskFree),
    ]
}

/// The server's side: what it has stored.
#[derive(Default)]
struct Server {
    stored: Vec<RawEvent>,
}

impl Server {
    /// The wire's rule: a known number changes nothing, a gap is refused.
    fn take(&mut self, events: Vec<RawEvent>) {
        for event in events {
            assert!(event.seq <= self.acked() + 1, "a gap before {}", event.seq);
            if event.seq == self.acked() + 1 {
                self.stored.push(event);
            } else {
                let known = &self.stored[usize::try_from(event.seq).unwrap() - 1];
                assert_eq!(known.id, event.id, "a number was given twice");
            }
        }
    }

    fn acked(&self) -> u64 {
        self.stored.len() as u64
    }
}

#[derive(Default)]
struct Taken {
    /// Facts that must stay, by their text, in order.
    facts: Vec<String>,
    /// Droppable facts that the spool answered for.
    talk: u64,
    lost: bool,
    last: u64,
    next_text: u64,
}

impl Taken {
    fn text(&mut self, bytes: usize) -> String {
        self.next_text += 1;
        format!("{:06} {}", self.next_text, "x".repeat(bytes))
    }
}

/// A tmpfs for all cases, or an ordinary directory that is then never full.
fn with_place(disk: Option<&SmallDisk>) -> tempfile::TempDir {
    match disk {
        Some(disk) => tempfile::tempdir_in(disk.0.path()).unwrap(),
        None => tempfile::tempdir().unwrap(),
    }
}

async fn play(steps: Vec<Step>, disk: Option<&SmallDisk>) {
    let place = with_place(disk);
    let limits = tiny(LIMIT);
    let (mut spool, _) = open_within(place.path(), limits);
    let (mut reader, mut server) = (spool.reader(0), Server::default());
    let (mut taken, mut crashed) = (Taken::default(), false);
    for step in steps {
        match step {
            Step::Talk { count, bytes } => {
                for _ in 0..count {
                    let text = taken.text(bytes);
                    match spool.record(at(1), None, progress(&text)).await {
                        Ok(number) => {
                            assert!(number >= taken.last, "a number went back");
                            taken.last = number;
                            taken.talk += 1;
                        }
                        Err(why) => assert!(taken.lost, "only behind a hole: {why}"),
                    }
                }
            }
            Step::Fact { bytes } => {
                let text = taken.text(bytes);
                match spool.record(at(1), None, error(&text)).await {
                    Ok(number) => {
                        assert!(!taken.lost, "a fact behind a hole");
                        assert!(number > taken.last, "a number given twice");
                        assert_eq!(number, *spool.durable().borrow());
                        taken.last = number;
                        taken.facts.push(text);
                    }
                    Err(_) => taken.lost = true,
                }
            }
            Step::Ship { limit, reply_lost } => {
                let durable = *spool.durable().borrow();
                let events = reader.batch(durable, limit, usize::MAX).unwrap().events;
                assert_eq!(events.is_empty(), durable == reader.acked(), "a number without a line");
                server.take(events);
                if !reply_lost {
                    // On a full disk the note cannot be written; that is no loss.
                    drop(reader.acknowledge(server.acked()));
                }
            }
            Step::LateAnswer => {
                // The courier's rule: what says less than is known changes nothing.
                let late = server.acked() / 2;
                if late > reader.acked() {
                    drop(reader.acknowledge(late));
                }
            }
            Step::Refuse => {
                let durable = *spool.durable().borrow();
                let mut events = reader.batch(durable, 1, usize::MAX).unwrap().events;
                drop(events.first().map(|event| reader.quarantine(event, "no")));
                server.take(std::mem::take(&mut events));
            }
            Step::Crash { torn, note_lost } => {
                spool.close().await;
                crashed = true;
                if disk.is_none_or(|disk| !disk.is_full()) {
                    append_raw(place.path(), &torn);
                }
                if note_lost {
                    drop(std::fs::remove_file(place.path().join(ACKED_FILE)));
                }
                let (again, found) = open_within(place.path(), limits);
                assert!(found.last >= taken.last, "a durable fact is gone");
                assert!(found.acked <= server.acked(), "the note ran ahead");
                // As after hello: the control API's number counts, too.
                reader = again.reader(found.acked.max(server.acked()));
                spool = again;
                taken.lost = false;
            }
            Step::DiskFull => disk.iter().for_each(|disk| disk.fill()),
            Step::DiskFree => disk.iter().for_each(|disk| disk.free()),
        }
        let files = std::fs::read_dir(place.path()).unwrap().map(|file| file.unwrap());
        let ours = files.filter(|file| file.file_name() != "refused.jsonl");
        let bytes: u64 = ours.filter_map(|file| file.metadata().ok()).map(|it| it.len()).sum();
        assert!(bytes <= LIMIT + 1024, "{bytes} bytes");
    }
    disk.iter().for_each(|disk| disk.free());
    spool.record(at(9), None, end()).await.expect("the end is always taken");
    while server.acked() < *spool.durable().borrow() {
        let durable = *spool.durable().borrow();
        let events = reader.batch(durable, 7, usize::MAX).unwrap().events;
        assert!(!events.is_empty(), "a number without a line");
        server.take(events);
        drop(reader.acknowledge(server.acked()));
    }
    let texts = |kind: &str, field: &str| -> Vec<String> {
        let of_kind = server.stored.iter().filter(|event| event.kind == kind);
        of_kind.map(|event| event.data[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(texts("agent.error", "error"), taken.facts, "each once, in order");
    let talk = texts("spec.progress", "message");
    assert!(talk.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
    let answered = talk.len() as u64 + dropped(&server.stored, "spec.progress");
    if crashed {
        assert!(answered <= taken.talk);
    } else {
        assert_eq!(answered, taken.talk, "stored or declared");
    }
    assert_eq!(server.stored.last().unwrap().kind, "spec.execution_failed");
    spool.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_the_server_holds_every_fact_once_and_in_order(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // Small enough to be filled often; absent where nothing may be mounted.
        let disk = SmallDisk::mount(160);
        runtime.block_on(play(steps, disk.as_ref()));
    }
}
