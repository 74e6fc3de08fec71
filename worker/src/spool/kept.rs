//! What outlives its segment: facts that a worker started again must know, copied aside before an
//! acknowledged segment is deleted.
//!
//! What holds: a line is durable here before its segment goes. A crash between the two leaves the
//! line in both places; it is then counted once, because numbers only rise ([`Kept::last`]).

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::fold::Fold;
use super::line;

/// The file's name.
const KEPT_FILE: &str = "kept.jsonl";

/// The facts that were kept.
#[derive(Debug)]
pub(super) struct Kept {
    file: File,
    /// Bytes up to the end of the last whole line.
    pub(super) bytes: u64,
    /// The highest number in it.
    pub(super) last: u64,
}

impl Kept {
    /// Opens the file and adds up what is in it. What stands behind the last whole line was not
    /// finished when its segment was still there.
    pub(super) fn open(directory: &Path, fold: &mut Fold) -> io::Result<Self> {
        let path = directory.join(KEPT_FILE);
        let file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let mut kept = Self { file, bytes: 0, last: 0 };
        let mut lines = BufReader::new(kept.file.try_clone()?);
        let mut bytes = Vec::new();
        while lines.read_until(b'\n', &mut bytes)? > 0 {
            let Some(event) = bytes.strip_suffix(b"\n").and_then(line::read) else { break };
            kept.bytes += bytes.len() as u64;
            kept.last = event.seq;
            fold.add(&event);
            bytes.clear();
        }
        kept.file.set_len(kept.bytes)?;
        Ok(kept)
    }

    /// Copies from a segment what must outlive it.
    pub(super) fn carry(&mut self, segment: &Path) -> io::Result<()> {
        let mut lines = BufReader::new(File::open(segment)?);
        let (mut bytes, mut carried, mut last) = (Vec::new(), Vec::new(), self.last);
        while lines.read_until(b'\n', &mut bytes)? > 0 {
            let Some(event) = bytes.strip_suffix(b"\n").and_then(line::read) else { break };
            if event.seq > self.last && Fold::needs(&event) {
                carried.extend_from_slice(&bytes);
                last = event.seq;
            }
            bytes.clear();
        }
        if carried.is_empty() {
            return Ok(());
        }
        let written =
            self.file.write_all_at(&carried, self.bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line gives its room back; the next try writes at the same place.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += carried.len() as u64;
        self.last = last;
        Ok(())
    }
}
