//! Reading forward, behind what is acknowledged.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
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
    /// Where the last batch began: most often the next one stands in the same segment.
    place: Option<Place>,
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Stretch {
    pub(crate) events: Vec<RawEvent>,
    /// Of their lines.
    pub(crate) bytes: usize,
}

/// How far is read.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    acked: u64,
    durable: u64,
    max_events: usize,
    max_bytes: usize,
}

/// Where, in which segment, a line begins before which all is acknowledged.
#[derive(Debug)]
struct Place {
    first: u64,
    offset: u64,
}

impl Place {
    /// Reads on behind what is acknowledged; whether the next segment may have more. The file is opened
    /// each time: the page cache holds it, and one that is deleted to make room gives its room back.
    fn read(&mut self, directory: &Path, bounds: Bounds, into: &mut Stretch) -> io::Result<bool> {
        let mut file = match File::open(segment::path(directory, self.first)) {
            Ok(file) => file,
            // Acknowledged and deleted meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        while into.events.len() < bounds.max_events {
            line.clear();
            let length = lines.read_until(b'\n', &mut line)?;
            if length == 0 {
                return Ok(true);
            }
            let Some(event) = line.strip_suffix(b"\n").and_then(line::read) else {
                return Ok(false);
            };
            if event.seq <= bounds.acked {
                self.offset += length as u64;
                continue;
            }
            let bytes = into.bytes + length;
            if event.seq > bounds.durable || (bytes > bounds.max_bytes && !into.events.is_empty()) {
                return Ok(false);
            }
            into.bytes = bytes;
            into.events.push(event);
        }
        Ok(false)
    }
}

impl SpoolReader {
    pub(super) fn new(directory: PathBuf, acked: u64, shared: Arc<AtomicU64>) -> Self {
        shared.store(acked, Ordering::Release);
        Self { directory, acked, written: None, shared, place: None }
    }

    pub(crate) const fn acked(&self) -> u64 {
        self.acked
    }

    /// The events behind the acknowledged number, up to `durable`, within the limits; always at
    /// least one if there is one.
    pub(crate) fn batch(
        &mut self,
        durable: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> io::Result<Stretch> {
        let mut stretch = Stretch::default();
        if durable <= self.acked {
            return Ok(stretch);
        }
        let bounds = Bounds { acked: self.acked, durable, max_events, max_bytes };
        if let Some(place) = &mut self.place {
            place.read(&self.directory, bounds, &mut stretch)?;
            if !stretch.events.is_empty() {
                return Ok(stretch);
            }
        }
        // Nothing more is there.
        let firsts = segment::list(&self.directory)?;
        let from = firsts.partition_point(|first| *first <= self.acked + 1).saturating_sub(1);
        for first in firsts.into_iter().skip(from) {
            let mut place = Place { first, offset: 0 };
            let begins_here = stretch.events.is_empty();
            let goes_on = place.read(&self.directory, bounds, &mut stretch)?;
            if begins_here {
                self.place = Some(place);
            }
            if !goes_on {
                break;
            }
        }
        Ok(stretch)
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
        self.place = None;
    }

    pub(super) fn directory(&self) -> &std::path::Path {
        &self.directory
    }
}
