//! Reading all of a spool once, when it is opened.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use super::disk::{Disk, Sealed};
use super::fold::Fold;
use super::kept::Kept;
use super::{ACKED_FILE, Found, SpoolError, line, segment};

/// Opens the files and adds up what is in them. Only the last line of the last segment may be
/// broken.
pub(super) fn scan(directory: &Path) -> Result<(Disk, Found), SpoolError> {
    let open = |error: io::Error| SpoolError::Open {
        path: directory.to_path_buf(),
        why: error.to_string(),
    };
    std::fs::create_dir_all(directory).map_err(open)?;
    let mut fold = Fold::default();
    let kept = Kept::open(directory, &mut fold).map_err(open)?;
    let firsts = segment::list(directory).map_err(open)?;
    // What was deleted had been acknowledged, also if the note about it is older.
    let deleted = firsts.first().map_or(0, |first| first.saturating_sub(1));
    let mut last = deleted;
    let mut segments = VecDeque::new();
    for (index, first) in firsts.iter().copied().enumerate() {
        last = last.max(first.saturating_sub(1));
        let is_last = index + 1 == firsts.len();
        let path = segment::path(directory, first);
        let file = File::open(&path).map_err(open)?;
        let mut lines = BufReader::new(file);
        let (mut bytes, mut line_bytes) = (0, Vec::new());
        loop {
            line_bytes.clear();
            let length = lines.read_until(b'\n', &mut line_bytes).map_err(open)?;
            if length == 0 {
                break;
            }
            let whole = line_bytes.strip_suffix(b"\n").and_then(line::read);
            let Some(event) = whole.filter(|event| event.seq > last) else {
                // Bad bytes are a torn end only if nothing stands behind them.
                if is_last && lines.fill_buf().map_err(open)?.is_empty() {
                    break;
                }
                return Err(SpoolError::Damaged { path, offset: bytes });
            };
            bytes += length as u64;
            last = event.seq;
            if event.seq > kept.last {
                fold.add(&event);
            }
        }
        segments.push_back(Sealed { first, last, bytes });
    }
    let acked = read_acked(directory).max(deleted);
    let disk = Disk::open(directory.to_path_buf(), kept, segments).map_err(open)?;
    Ok((disk, Found { last, acked, fold }))
}

/// The acknowledged number; 0 when there is none or it cannot be read: known events are then sent
/// again, which changes nothing.
fn read_acked(directory: &Path) -> u64 {
    std::fs::read_to_string(directory.join(ACKED_FILE))
        .ok()
        .and_then(|text| text.lines().next()?.trim().parse().ok())
        .unwrap_or(0)
}
