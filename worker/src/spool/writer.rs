//! The one thread that writes: takes what is queued, numbers it, writes once, syncs once, answers.
//!
//! When there is no room, in this order: droppable facts are given up and counted; then the rest is
//! tried again for a while, as an acknowledged segment or someone else may make room; then it is
//! refused, and so is everything behind it but the terminal fact. What is refused is never refused
//! silently: the fact's own caller gets the error, and if nobody waited for that one, the next does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use specwright_shared::redact::Redactor;
use specwright_shared::wire::event::RawEvent;
use tokio::sync::{mpsc, watch};

use super::disk::Disk;
use super::drops::Drops;
use super::{Entry, SpoolError, line};

/// The most facts in one group: a whole batch of the wire.
const GROUP_MAX: usize = 100;

/// The writer.
pub(super) struct Writer {
    pub(super) disk: Disk,
    /// The highest durable number.
    pub(super) last: u64,
    pub(super) redactor: Redactor,
    pub(super) durable: watch::Sender<u64>,
    pub(super) acked: Arc<AtomicU64>,
    pub(super) drops: Drops,
    /// Set once a fact was lost that must not be.
    pub(super) lost: Option<SpoolError>,
}

/// A group as it would be written now.
struct Attempt {
    lines: Vec<u8>,
    /// The answer to each fact: its number, or for one that is given up, the last one before it.
    numbers: Vec<u64>,
    last: u64,
    drops: Drops,
}

impl Writer {
    /// Runs until every sender is gone.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Entry>) {
        while let Some(first) = queue.blocking_recv() {
            self.prune(false);
            let mut group = vec![first];
            while group.len() < GROUP_MAX {
                let Ok(entry) = queue.try_recv() else { break };
                group.push(entry);
            }
            let mut others = Vec::new();
            for entry in group {
                if entry.event.marks().terminal {
                    // The end is written by itself: it may use what the others may not.
                    self.write(std::mem::take(&mut others), false);
                    self.write(vec![entry], true);
                } else {
                    others.push(entry);
                }
            }
            self.write(others, false);
        }
    }

    fn prune(&mut self, short: bool) -> bool {
        self.disk.prune(self.acked.load(Ordering::Acquire), self.last, short)
    }

    fn write(&mut self, group: Vec<Entry>, terminal: bool) {
        if group.is_empty() {
            return;
        }
        if let (Some(lost), false) = (&self.lost, terminal) {
            return answer(group, |_| Err(lost.clone()));
        }
        let mut with_droppables = true;
        let mut tries = self.disk.limits.stall_tries;
        let why = loop {
            let stored = self
                .attempt(&group, with_droppables)
                .and_then(|attempt| self.store(&attempt, terminal).map(|()| attempt));
            let why = match stored {
                Ok(attempt) => {
                    self.drops = attempt.drops;
                    if attempt.last > self.last {
                        self.last = attempt.last;
                        self.durable.send_replace(self.last);
                    }
                    return answer(group, |index| Ok(attempt.numbers[index]));
                }
                Err(why) => why,
            };
            if std::mem::take(&mut with_droppables) || self.prune(true) {
                continue;
            }
            if group.iter().all(|entry| entry.event.marks().droppable) {
                // Not even the declaration has room: it waits for the next fact that must be kept.
                group.iter().for_each(|entry| self.drops.add(entry));
                let last = self.last;
                return answer(group, |_| Ok(last));
            }
            if terminal && self.disk.release_reserve() {
                continue;
            }
            tries = tries.saturating_sub(1);
            if tries == 0 {
                break why;
            }
            std::thread::sleep(self.disk.limits.stall_pause);
        };
        tracing::error!(error = %why, "facts are lost that must not be; the run has to end");
        self.lost = Some(why.clone());
        answer(group, |_| Err(why.clone()));
    }

    /// Numbers the group's facts and puts them into lines.
    fn attempt(&self, group: &[Entry], with_droppables: bool) -> Result<Attempt, SpoolError> {
        let mut attempt = Attempt {
            lines: Vec::new(),
            numbers: Vec::new(),
            last: self.last,
            drops: self.drops.clone(),
        };
        for entry in group {
            let droppable = entry.event.marks().droppable;
            if droppable && !with_droppables {
                attempt.give_up(entry);
                continue;
            }
            let before = attempt.lines.len();
            if !droppable {
                attempt.declare()?;
            }
            line::write(&self.raw(entry, attempt.last + 1), &mut attempt.lines).map_err(encode)?;
            let full = self.disk.used() + attempt.lines.len() as u64;
            if droppable && full > self.disk.limits.droppable_max() {
                attempt.lines.truncate(before);
                attempt.give_up(entry);
                continue;
            }
            if droppable {
                attempt.drops.over();
            }
            attempt.last += 1;
            attempt.numbers.push(attempt.last);
        }
        if attempt.drops.due() {
            attempt.declare()?;
        }
        Ok(attempt)
    }

    fn store(&mut self, attempt: &Attempt, terminal: bool) -> Result<(), SpoolError> {
        if attempt.lines.is_empty() {
            return Ok(());
        }
        let limits = self.disk.limits;
        let used = self.disk.used() + attempt.lines.len() as u64;
        if !terminal && used > limits.ordinary_max() {
            return Err(SpoolError::Full { max_bytes: limits.max_bytes });
        }
        self.disk
            .append(&attempt.lines, self.last)
            .map_err(|error| SpoolError::Write { why: error.to_string() })
    }

    fn raw(&self, entry: &Entry, seq: u64) -> RawEvent {
        let mut data = entry.event.data();
        self.redactor.value(&mut data);
        RawEvent {
            seq,
            id: entry.id,
            kind: entry.event.kind().to_owned(),
            at: entry.at,
            phase: entry.phase,
            trace_id: entry.trace_id,
            data,
        }
    }
}

impl Attempt {
    fn give_up(&mut self, entry: &Entry) {
        self.drops.add(entry);
        self.numbers.push(self.last);
    }

    fn declare(&mut self) -> Result<(), SpoolError> {
        let Some(event) = self.drops.declare(self.last + 1) else { return Ok(()) };
        line::write(&event, &mut self.lines).map_err(encode)?;
        self.last += 1;
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn encode(error: serde_json::Error) -> SpoolError {
    SpoolError::Write { why: error.to_string() }
}

fn answer(group: Vec<Entry>, answer: impl Fn(usize) -> Result<u64, SpoolError>) {
    for (index, entry) in group.into_iter().enumerate() {
        // A caller that does not wait for its number is no error.
        drop(entry.reply.send(answer(index)));
    }
}
