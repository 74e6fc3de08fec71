//! The one thread that writes: takes what is queued, numbers it, writes once, syncs once, answers.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use specwright_shared::redact::Redactor;
use specwright_shared::wire::event::RawEvent;
use tokio::sync::{mpsc, watch};

use super::{Entry, SpoolError, line};

/// The most facts in one group: a whole batch of the wire.
pub(super) const GROUP_MAX: usize = 100;
/// The most bytes in one group, checked after each fact.
const GROUP_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Opens the file for appending after its good lines, and cuts the rest away.
pub(super) fn open_cut(path: &Path, good_bytes: u64) -> io::Result<File> {
    let fresh = !path.exists();
    let mut file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    if file.metadata()?.len() != good_bytes {
        file.set_len(good_bytes)?;
        file.sync_all()?;
    }
    file.seek(SeekFrom::End(0))?;
    if fresh && let Some(directory) = path.parent() {
        // The file's name must survive a power cut as its lines do.
        File::open(directory)?.sync_all()?;
    }
    Ok(file)
}

/// Runs until every sender is gone.
pub(super) fn run(
    mut file: File,
    mut last: u64,
    redactor: &Redactor,
    mut queue: mpsc::Receiver<Entry>,
    durable: &watch::Sender<u64>,
) {
    let mut broken: Option<SpoolError> = None;
    let mut lines = Vec::new();
    while let Some(first) = queue.blocking_recv() {
        lines.clear();
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(entry) = next {
            let number = last + 1 + group.len() as u64;
            let fact = raw(&entry, number, redactor);
            if let Err(error) = line::write(&fact, &mut lines) {
                broken.get_or_insert(SpoolError::Write { why: error.to_string() });
            }
            group.push(entry.reply);
            let room = group.len() < GROUP_MAX && lines.len() < GROUP_MAX_BYTES;
            next = if room { queue.try_recv().ok() } else { None };
        }
        if broken.is_none()
            && let Err(error) = file.write_all(&lines).and_then(|()| file.sync_data())
        {
            tracing::error!(%error, "the spool cannot be written");
            broken = Some(SpoolError::Write { why: error.to_string() });
        }
        let first_number = last + 1;
        if broken.is_none() {
            last += group.len() as u64;
            durable.send_replace(last);
        }
        for (number, reply) in (first_number..).zip(group) {
            let answer = broken.clone().map_or(Ok(number), Err);
            // A caller that does not wait for its number is no error.
            drop(reply.send(answer));
        }
    }
}

fn raw(entry: &Entry, seq: u64, redactor: &Redactor) -> RawEvent {
    let mut data = entry.event.data();
    redactor.value(&mut data);
    RawEvent {
        seq,
        id: entry.id,
        kind: entry.event.kind().to_owned(),
        at: entry.at,
        phase: entry.phase,
        data,
    }
}
