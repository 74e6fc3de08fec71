//! Reading the spool: once as a whole when it is opened, then forward, behind what is acknowledged.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use specwright_shared::wire::event::RawEvent;

use super::fold::Fold;
use super::{ACKED_FILE, FACTS_FILE, SpoolError, line};

/// What a whole file holds.
pub(super) struct Scan {
    /// Bytes up to the end of the last whole line.
    pub(super) good_bytes: u64,
    /// The highest number.
    pub(super) last: u64,
    /// What the facts add up to.
    pub(super) fold: Fold,
}

/// Reads a file as a whole. Only the last line may be broken.
pub(super) fn scan(path: &Path) -> Result<Scan, SpoolError> {
    let open =
        |error: io::Error| SpoolError::Open { path: path.to_path_buf(), why: error.to_string() };
    let mut scan = Scan { good_bytes: 0, last: 0, fold: Fold::default() };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(scan),
        Err(error) => return Err(open(error)),
    };
    let mut lines = BufReader::new(file);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let length = lines.read_until(b'\n', &mut bytes).map_err(open)?;
        if length == 0 {
            return Ok(scan);
        }
        let whole = bytes.strip_suffix(b"\n").and_then(line::read);
        let Some(event) = whole.filter(|event| event.seq > scan.last) else {
            // Bad bytes are a torn end only if nothing stands behind them.
            let at_end = lines.fill_buf().map_err(open)?.is_empty();
            return if at_end {
                Ok(scan)
            } else {
                Err(SpoolError::Damaged { path: path.to_path_buf(), offset: scan.good_bytes })
            };
        };
        scan.good_bytes += length as u64;
        scan.last = event.seq;
        scan.fold.add(&event);
    }
}

/// The acknowledged number; 0 when there is none or it cannot be read: known events are then sent
/// again, which changes nothing.
pub(super) fn read_acked(directory: &Path) -> u64 {
    std::fs::read_to_string(directory.join(ACKED_FILE))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

/// Reads forward, from behind the acknowledged number.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    directory: PathBuf,
    /// The highest acknowledged number.
    acked: u64,
    /// Where a line begins whose number is at most `acked + 1`.
    offset: u64,
}

impl SpoolReader {
    pub(super) const fn new(directory: PathBuf, acked: u64) -> Self {
        Self { directory, acked, offset: 0 }
    }

    pub(crate) const fn acked(&self) -> u64 {
        self.acked
    }

    /// The events behind the acknowledged number, up to `durable`, within the limits; always at
    /// least one if there is one. The file is read afresh each time: the page cache holds it, and
    /// nothing that waits for the network is kept in memory.
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
        let mut file = File::open(self.directory.join(FACTS_FILE))?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut lines = BufReader::new(file);
        let mut bytes = Vec::new();
        let mut size = 0;
        while events.len() < max_events {
            bytes.clear();
            let length = lines.read_until(b'\n', &mut bytes)?;
            let Some(event) = bytes.strip_suffix(b"\n").and_then(line::read) else { break };
            if event.seq <= self.acked {
                self.offset += length as u64;
                continue;
            }
            size += length;
            if event.seq > durable || (size > max_bytes && !events.is_empty()) {
                break;
            }
            events.push(event);
        }
        Ok(events)
    }

    /// Everything up to this number is stored by the control API.
    pub(crate) fn acknowledge(&mut self, acked: u64) -> io::Result<()> {
        self.acked = acked;
        let mut aside = tempfile::NamedTempFile::new_in(&self.directory)?;
        writeln!(aside, "{acked}")?;
        aside.persist(self.directory.join(ACKED_FILE)).map_err(|error| error.error)?;
        Ok(())
    }

    /// The control API expects this number next: what it had acknowledged, it has lost.
    pub(crate) const fn go_back_before(&mut self, expected: u64) {
        self.acked = expected.saturating_sub(1);
        self.offset = 0;
    }
}
