//! The spool's files as the writer sees them: one active segment, sealed ones behind it, what is
//! kept of deleted ones, and a reserve of real blocks.
//!
//! What holds:
//! - [`Disk::append`] either makes all its bytes durable or leaves no trace that a reader could see:
//!   a write that failed half-way is cut away before anything else is written;
//! - a segment is deleted only when all of it is acknowledged and what must outlive it is durable
//!   elsewhere;
//! - the reserve is made of written blocks, so that a disk that others filled still has them.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::kept::Kept;
use super::limits::Limits;
use super::segment;

const RESERVE_FILE: &str = "reserve";

/// A segment that is not written any more.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) bytes: u64,
}

/// The files.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) directory: PathBuf,
    pub(super) limits: Limits,
    pub(super) kept: Kept,
    pub(super) sealed: VecDeque<Sealed>,
    active: File,
    active_first: u64,
    /// Bytes of whole, durable lines.
    active_bytes: u64,
    /// Whether something may stand behind them.
    torn: bool,
    reserved: bool,
}

fn open_segment(directory: &std::path::Path, first: u64) -> io::Result<File> {
    let path = segment::path(directory, first);
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    // The file's name must survive a power cut as its lines do.
    File::open(directory)?.sync_all()?;
    Ok(file)
}

impl Disk {
    /// Opens the last segment for writing and cuts away what stands behind its good lines.
    pub(super) fn open(
        directory: PathBuf,
        kept: Kept,
        mut sealed: VecDeque<Sealed>,
    ) -> io::Result<Self> {
        let active = sealed.pop_back().unwrap_or(Sealed { first: 1, last: 0, bytes: 0 });
        let file = open_segment(&directory, active.first)?;
        if file.metadata()?.len() != active.bytes {
            file.set_len(active.bytes)?;
            file.sync_all()?;
        }
        Ok(Self {
            directory,
            limits: Limits::default(),
            kept,
            sealed,
            active: file,
            active_first: active.first,
            active_bytes: active.bytes,
            torn: false,
            reserved: false,
        })
    }

    /// What the facts take. The reserve is not in it: the marks of [`Limits`] leave room for it.
    pub(super) fn used(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|segment| segment.bytes).sum();
        sealed + self.active_bytes + self.kept.bytes
    }

    /// Makes lines durable whose first number is `last + 1`.
    pub(super) fn append(&mut self, lines: &[u8], last: u64) -> io::Result<()> {
        let length = lines.len() as u64;
        if self.active_bytes > 0 && self.active_bytes + length > self.limits.segment_bytes {
            self.rotate(last);
        }
        if self.torn {
            self.active.set_len(self.active_bytes)?;
        }
        self.torn = true;
        let written = self
            .active
            .write_all_at(lines, self.active_bytes)
            .and_then(|()| self.active.sync_data());
        if written.is_err() {
            // Gives the room back at once, if it can; else before the next write.
            self.torn = self.active.set_len(self.active_bytes).is_err();
            return written;
        }
        self.torn = false;
        self.active_bytes += length;
        Ok(())
    }

    /// Seals the active segment. Where no new file can be made, the old one grows.
    fn rotate(&mut self, last: u64) {
        if self.torn || last < self.active_first {
            return;
        }
        match open_segment(&self.directory, last + 1) {
            Ok(next) => {
                self.active = next;
                let (first, bytes) = (self.active_first, self.active_bytes);
                self.sealed.push_back(Sealed { first, last, bytes });
                (self.active_first, self.active_bytes) = (last + 1, 0);
            }
            Err(error) => tracing::warn!(%error, "no new segment could be made; the old one grows"),
        }
    }

    /// Deletes what is wholly acknowledged; says whether there is more room now. `last` is the
    /// highest number that was written: where room is short, on the disk or under our own limit, the
    /// active segment is sealed so that it can go too.
    pub(super) fn prune(&mut self, acked: u64, last: u64, short: bool) -> bool {
        let short = short || self.used() > self.limits.droppable_max() / 2;
        if short && self.active_bytes > 0 && acked >= last {
            self.rotate(last);
        }
        let before = self.sealed.len();
        while self.sealed.front().is_some_and(|segment| segment.last <= acked) {
            if let Err(error) = self.delete_first() {
                tracing::warn!(%error, "an acknowledged segment could not be deleted");
                break;
            }
        }
        self.sealed.len() < before
    }

    fn delete_first(&mut self) -> io::Result<()> {
        let Some(segment) = self.sealed.front() else { return Ok(()) };
        let path = segment::path(&self.directory, segment.first);
        if let Err(error) = self.kept.carry(&path) {
            // On a full disk the reserve pays for it, and is made again from what is freed.
            if !self.release_reserve() {
                return Err(error);
            }
            self.kept.carry(&path)?;
        }
        std::fs::remove_file(path)?;
        self.sealed.pop_front();
        self.reserve();
        Ok(())
    }

    /// Sets blocks aside for the terminal fact. Without them a run that has begun goes on: it may never
    /// need them.
    pub(super) fn reserve(&mut self) {
        if self.reserved {
            return;
        }
        let path = self.directory.join(RESERVE_FILE);
        if path.metadata().is_ok_and(|found| found.len() == self.limits.reserve_bytes) {
            self.reserved = true; // of the worker before us
            return;
        }
        let zeros = vec![0_u8; usize::try_from(self.limits.reserve_bytes).unwrap_or(0)];
        let made = File::create(&path).and_then(|mut file| {
            file.write_all(&zeros)?;
            file.sync_all()
        });
        self.reserved = made.is_ok();
        if let Err(error) = made {
            tracing::warn!(%error, "no room could be set aside for the end of the run");
            // What was written of it is room that facts need.
            drop(std::fs::remove_file(path));
        }
    }

    pub(super) const fn has_reserve(&self) -> bool {
        self.reserved
    }

    /// Gives the reserve back to the disk; says whether there was one.
    pub(super) fn release_reserve(&mut self) -> bool {
        let was = std::mem::take(&mut self.reserved);
        was && std::fs::remove_file(self.directory.join(RESERVE_FILE)).is_ok()
    }
}
