//! The spool's files by name: `events-<first number>.jsonl`, in the order of their numbers.

use std::io;
use std::path::{Path, PathBuf};

const PREFIX: &str = "events-";
const SUFFIX: &str = ".jsonl";

/// Where the segment lies whose facts begin at a number.
pub(super) fn path(directory: &Path, first: u64) -> PathBuf {
    // Padded, so that people see them in order too.
    directory.join(format!("{PREFIX}{first:020}{SUFFIX}"))
}

/// The first numbers of all segments, rising.
pub(super) fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let first = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse::<u64>().ok());
        firsts.extend(first);
    }
    firsts.sort_unstable();
    Ok(firsts)
}
