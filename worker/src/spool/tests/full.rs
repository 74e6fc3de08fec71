//! The spool when room is short: under its own limit, and on a real disk that is full.

use super::*;

/// A spool of a few kilobytes that gives up waiting at once.
pub(super) fn tiny(max_bytes: u64) -> Limits {
    Limits {
        max_bytes,
        segment_bytes: max_bytes / 8,
        reserve_bytes: 4096,
        stall_pause: std::time::Duration::from_millis(1),
        stall_tries: 3,
    }
}

pub(super) fn open_within(directory: &Path, limits: Limits) -> (Spool, Found) {
    let (recovered, found) = Spool::open(directory, Redactor::default()).unwrap();
    let spool = recovered.within(limits).start(found.acked).unwrap();
    (spool, found)
}

/// A fact that must not be dropped.
pub(super) fn error(message: &str) -> Event {
    let body = serde_json::json!({ "error": message, "stderr_tail": "" });
    let body = serde_json::from_value(body).unwrap();
    Event::AgentError(body)
}

pub(super) fn end() -> Event {
    end_because("m")
}

fn end_because(message: &str) -> Event {
    let body = serde_json::json!({
        "outcome": "worker_error", "failed_phase": null, "message": message, "cost_usd": 0.0,
        "duration_ms": 1,
    });
    Event::ExecutionFailed(serde_json::from_value(body).unwrap())
}

/// All that a reader behind nothing finds.
pub(super) fn all(spool: &Spool, acked: u64) -> Vec<specwright_shared::wire::event::RawEvent> {
    spool.reader(acked).batch(*spool.durable().borrow(), usize::MAX, usize::MAX).unwrap().events
}

pub(super) fn dropped(events: &[specwright_shared::wire::event::RawEvent], kind: &str) -> u64 {
    let declared = events.iter().filter(|event| event.kind == "worker.events_dropped");
    declared.map(|event| event.data["dropped"][kind].as_u64().unwrap_or(0)).sum()
}

fn bytes_in(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test]
async fn near_the_limit_only_droppable_facts_are_given_up_and_counted() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open_within(place.path(), tiny(32 * 1024));
    for n in 0..200 {
        spool.record(at(n), None, progress(&"x".repeat(500))).await.unwrap();
        if n % 20 == 0 {
            spool.record(at(n), None, error(&format!("kept {n}"))).await.unwrap();
        }
    }
    spool.record(at(200), None, end()).await.unwrap();
    let events = all(&spool, 0);
    let count = |kind: &str| events.iter().filter(|event| event.kind == kind).count() as u64;
    assert_eq!(count("agent.error"), 10);
    assert_eq!(count("spec.progress") + dropped(&events, "spec.progress"), 200);
    assert!(dropped(&events, "spec.progress") > 100);
    assert_eq!(events.last().unwrap().kind, "spec.execution_failed");
    assert_eq!(events[events.len() - 2].kind, "worker.events_dropped", "the hole is told first");
    assert!(count("worker.events_dropped") < 30, "a shortage costs a handful of lines");
    assert!(bytes_in(place.path()) <= 32 * 1024, "{} bytes", bytes_in(place.path()));
    assert!(events.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
}

#[tokio::test]
async fn a_fact_that_must_stay_is_refused_to_its_caller_and_only_the_end_comes_after_it() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open_within(place.path(), tiny(16 * 1024));
    let mut refused = None;
    for n in 0..40 {
        if let Err(why) = spool.record(at(n), None, error(&"x".repeat(1000))).await {
            refused = Some(why);
            break;
        }
    }
    assert!(matches!(refused, Some(SpoolError::Full { .. })), "{refused:?}");
    let small = spool.record(at(50), None, error("small enough")).await;
    assert!(matches!(small, Err(SpoolError::Full { .. })), "no hole without a word");
    // Also when it waits in a group with others.
    let before = spool.submit(at(51), None, error("before the end")).await.unwrap();
    let the_end = spool.submit(at(52), None, end()).await.unwrap();
    let after = spool.submit(at(53), None, error("after the end")).await.unwrap();
    assert!(before.await.unwrap().is_err() && after.await.unwrap().is_err());
    the_end.await.unwrap().unwrap();
    assert_eq!(all(&spool, 0).last().unwrap().kind, "spec.execution_failed");
    assert!(bytes_in(place.path()) <= 16 * 1024);
}

#[tokio::test]
async fn a_fact_whose_number_nobody_awaits_is_not_lost_silently() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open_within(place.path(), tiny(16 * 1024));
    for n in 0..40 {
        drop(spool.submit(at(n), None, error(&"x".repeat(1000))).await.unwrap());
    }
    assert!(spool.record(at(41), None, error("the next")).await.is_err());
}

#[tokio::test]
async fn acknowledged_segments_go_and_what_a_restart_needs_stays() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open_within(place.path(), tiny(64 * 1024));
    let mut reader = spool.reader(0);
    let seen = specwright_shared::id::MessageId(uuid::Uuid::from_u128(7));
    let step = serde_json::json!({ "message_id": seen, "status": "seen" });
    let step = Event::MessageInjected(serde_json::from_value(step).unwrap());
    let mut last = spool.record(at(0), None, step).await.unwrap();
    for n in 0..400 {
        last = spool.record(at(n), None, progress(&"x".repeat(500))).await.unwrap();
        reader.acknowledge(last).unwrap();
    }
    let events = spool.record(at(401), None, progress("y")).await.unwrap();
    assert_eq!(events, last + 1, "nothing was dropped");
    assert!(segment::list(place.path()).unwrap()[0] > 1, "the first segment is gone");
    assert!(bytes_in(place.path()) <= 64 * 1024);
    spool.close().await;
    // Also without the note about it: what was deleted was acknowledged.
    std::fs::remove_file(place.path().join(ACKED_FILE)).unwrap();
    let (spool, found) = open_within(place.path(), tiny(64 * 1024));
    assert_eq!(found.last, last + 1);
    assert!(found.acked > 300, "{}", found.acked);
    assert!(found.fold.seen.contains(&seen));
    assert_eq!(spool.record(at(1), None, progress("z")).await.unwrap(), last + 2);
}

#[tokio::test]
async fn an_empty_segment_tells_by_its_name_where_numbers_go_on() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(segment::path(place.path(), 42), "").unwrap();
    let (spool, found) = open_within(place.path(), tiny(64 * 1024));
    assert_eq!((found.last, found.acked), (41, 41));
    assert_eq!(spool.record(at(1), None, progress("x")).await.unwrap(), 42);
}

#[tokio::test]
async fn a_line_that_is_kept_and_still_in_its_segment_counts_once() {
    let place = tempfile::tempdir().unwrap();
    let (spool, _) = open_within(place.path(), tiny(64 * 1024));
    let turn = turn(0.5);
    spool.record(at(1), None, turn.clone()).await.unwrap();
    spool.record(at(2), None, turn).await.unwrap();
    spool.close().await;
    // Killed between the copy and the deletion, half-way through the copy.
    let segment = std::fs::read_to_string(active(place.path())).unwrap();
    let half = &segment[..segment.len() - 10];
    std::fs::write(place.path().join("kept.jsonl"), half).unwrap();
    let (_, found) = Spool::open(place.path(), Redactor::default()).unwrap();
    assert!((found.fold.cost_usd - 1.0).abs() < 1e-9, "{}", found.fold.cost_usd);
}

/// A file system of its own, so that it can be full without harm.
pub(super) struct SmallDisk(pub(super) tempfile::TempDir);

impl SmallDisk {
    /// `None` where this process may not mount: containers without the right, ordinary users.
    pub(super) fn mount(kilobytes: u32) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"])
            .arg(place.path())
            .stderr(std::process::Stdio::null())
            .status();
        status.is_ok_and(|status| status.success()).then(|| Self(place))
    }

    /// Takes all blocks that are left.
    pub(super) fn fill(&self) {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.0.path().join("others"))
            .unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.path().join("others").exists()
    }

    pub(super) fn free(&self) {
        drop(std::fs::remove_file(self.0.path().join("others")));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let place = self.0.path();
        drop(std::process::Command::new("umount").arg("-l").arg(place).status());
    }
}

#[tokio::test]
async fn on_a_full_disk_droppables_go_the_end_is_written_and_the_caller_is_told() {
    let Some(disk) = SmallDisk::mount(256) else {
        eprintln!("skipped: this process may not mount a tmpfs");
        return;
    };
    let directory = disk.0.path().join("spool");
    let limits = Limits { reserve_bytes: 32 * 1024, ..tiny(16 * 1024 * 1024) };
    let (spool, _) = open_within(&directory, limits);
    spool.record(at(1), None, error("before")).await.unwrap();
    disk.fill();
    let number = spool.record(at(2), None, progress(&"x".repeat(8000))).await.unwrap();
    assert!(number <= 2, "given up, at most declared");
    let refused = spool.record(at(3), None, error(&"x".repeat(8000))).await.unwrap_err();
    assert!(refused.to_string().contains("is the disk full?"), "{refused}");
    // More than the last block of the segment may have left.
    spool.record(at(4), None, end_because(&"x".repeat(12_000))).await.unwrap();
    let events = all(&spool, 0);
    assert_eq!(events.last().unwrap().kind, "spec.execution_failed");
    assert_eq!(dropped(&events, "spec.progress"), 1);
    spool.close().await;
    let (_, found) = open_within(&directory, limits);
    assert_eq!(found.last, events.last().unwrap().seq, "nothing torn is left");
    assert!(found.fold.ended.is_some());
}

#[tokio::test]
async fn when_there_is_room_again_nothing_but_droppables_was_lost() {
    let Some(disk) = SmallDisk::mount(256) else {
        eprintln!("skipped: this process may not mount a tmpfs");
        return;
    };
    let mut limits = tiny(16 * 1024 * 1024);
    limits.stall_tries = 10_000;
    let (spool, _) = open_within(&disk.0.path().join("spool"), limits);
    disk.fill();
    let pending = spool.submit(at(1), None, error(&"x".repeat(8000))).await.unwrap();
    disk.free();
    assert_eq!(pending.await.unwrap().unwrap(), 1);
}
