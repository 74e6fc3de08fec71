//! Reading forward, behind what is acknowledged.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use specwright_shared::wire::event::RawEvent;

use super::{ACKED_FILE, line, segment};

/// Reads forward, from behind the acknowledged number.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    directory: PathBuf,
    /// The highest acknowledged number.
    acked: u64,
    /// The same for the writer, who deletes what is behind it.
    shared: Arc<AtomicU64>,
    /// Where, in which segment, a line begins whose number is at most `acked + 1`.
    place: (u64, u64),
}

impl SpoolReader {
    pub(super) fn new(directory: PathBuf, acked: u64, shared: Arc<AtomicU64>) -> Self {
        shared.store(acked, Ordering::Release);
        Self { directory, acked, shared, place: (0, 0) }
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
        let mut aside = tempfile::NamedTempFile::new_in(&self.directory)?;
        writeln!(aside, "{acked}")?;
        aside.persist(self.directory.join(ACKED_FILE)).map_err(|error| error.error)?;
        Ok(())
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
