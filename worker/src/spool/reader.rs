//! Reading forward, behind what is acknowledged.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use specwright_shared::wire::event::RawEvent;

use super::{ACKED_FILE, line, segment};

/// As many as the largest number has.
const ACKED_DIGITS: usize = 20;

/// Reads forward, from behind the acknowledged number.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    directory: PathBuf,
    /// The highest acknowledged number.
    acked: u64,
    /// Where it is written down; open from the first time on.
    written: Option<File>,
    /// The same for the writer, who deletes what is behind it.
    shared: Arc<AtomicU64>,
    /// Where, in which segment, a line begins whose number is at most `acked + 1`.
    place: (u64, u64),
}

impl SpoolReader {
    pub(super) fn new(directory: PathBuf, acked: u64, shared: Arc<AtomicU64>) -> Self {
        shared.store(acked, Ordering::Release);
        Self { directory, acked, written: None, shared, place: (0, 0) }
    }

    pub(crate) const fn acked(&self) -> u64 {
        self.acked
    }

    /// The events behind the acknowledged number, up to `durable`, within the limits; always at
    /// least one if there is one. The files are read afresh each time: the page cache holds them,
    /// and nothing that waits for the network is kept in memory.
    pub(crate) fn batch(
        &mut self,
        durable: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> io::Result<Vec<RawEvent>> {
        let mut events: Vec<RawEvent> = Vec::new();
        if durable <= self.acked {
            return Ok(events);
        }
        let firsts = segment::list(&self.directory)?;
        let from = firsts.partition_point(|first| *first <= self.acked + 1).saturating_sub(1);
        let (mut bytes, mut size) = (Vec::new(), 0);
        for first in firsts.into_iter().skip(from) {
            let mut file = match File::open(segment::path(&self.directory, first)) {
                Ok(file) => file,
                // Acknowledged and deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let mut offset = if self.place.0 == first { self.place.1 } else { 0 };
            file.seek(SeekFrom::Start(offset))?;
            let mut lines = BufReader::new(file);
            loop {
                if events.len() == max_events {
                    return Ok(events);
                }
                bytes.clear();
                let length = lines.read_until(b'\n', &mut bytes)?;
                if length == 0 {
                    break;
                }
                let Some(event) = bytes.strip_suffix(b"\n").and_then(line::read) else {
                    return Ok(events);
                };
                if event.seq <= self.acked {
                    offset += length as u64;
                    self.place = (first, offset);
                    continue;
                }
                size += length;
                if event.seq > durable || (size > max_bytes && !events.is_empty()) {
                    return Ok(events);
                }
                events.push(event);
            }
        }
        Ok(events)
    }

    /// Everything up to this number is stored by the control API.
    pub(crate) fn acknowledge(&mut self, acked: u64) -> io::Result<()> {
        self.acked = acked;
        self.shared.store(acked, Ordering::Release);
        let file = match &mut self.written {
            Some(file) => file,
            none => {
                let path = self.directory.join(ACKED_FILE);
                none.insert(OpenOptions::new().create(true).truncate(false).write(true).open(path)?)
            }
        };
        // In place and always of the same length, so that no other number can stand there half-way: a
        // file that is made and renamed for each batch costs more than to make the batch durable.
        file.write_all_at(format!("{acked:0ACKED_DIGITS$}\n").as_bytes(), 0)
    }

    /// The control API expects this number next: what it had acknowledged, it has lost.
    pub(crate) fn go_back_before(&mut self, expected: u64) {
        self.acked = expected.saturating_sub(1);
        self.shared.store(self.acked, Ordering::Release);
        self.place = (0, 0);
    }

    pub(super) fn directory(&self) -> &std::path::Path {
        &self.directory
    }
}
