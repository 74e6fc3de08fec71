//! Reading what `git diff-tree` says of two trees. All three forms come in the same order.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use specwright_shared::wire::event::FileChange;

/// One file that differs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) change: FileChange,
    pub(super) from: Option<PathBuf>,
    /// Another kind of thing than before (a link for a file): the patch has two sections for it.
    pub(super) kind_changed: bool,
}

/// Reads `--raw -z`. What is not understood ends the list: the rest cannot be told apart.
pub(super) fn entries(raw: &[u8]) -> Vec<Entry> {
    let mut fields = raw.split(|byte| *byte == 0);
    let mut entries = Vec::new();
    while let Some(about) = fields.next() {
        let Some(status) = about.rsplit(|byte| *byte == b' ').next().and_then(|s| s.first()) else {
            break;
        };
        let mut path = || fields.next().map(|path| PathBuf::from(OsStr::from_bytes(path)));
        let Some(first) = path() else { break };
        let (change, from) = match status {
            b'A' | b'C' => (FileChange::Created, None),
            b'M' | b'T' => (FileChange::Modified, None),
            b'D' => (FileChange::Deleted, None),
            b'R' => (FileChange::Renamed, Some(first.clone())),
            _ => break,
        };
        let path = match (&from, status) {
            (Some(_), _) | (None, b'C') => match path() {
                Some(second) => second,
                None => break,
            },
            _ => first,
        };
        entries.push(Entry { path, change, from, kind_changed: *status == b'T' });
    }
    entries
}

/// Reads `--numstat -z`: lines added and removed; `None`: binary.
pub(super) fn numbers(numstat: &[u8]) -> Vec<Option<(u64, u64)>> {
    let mut records = numstat.split(|byte| *byte == 0);
    let mut numbers = Vec::new();
    while let Some(record) = records.next() {
        let mut fields = record.splitn(3, |byte| *byte == b'\t');
        let mut number = || std::str::from_utf8(fields.next()?).ok();
        let (Some(added), Some(removed)) = (number(), number()) else { break };
        // The two paths of a rename follow in records of their own.
        if fields.next().is_some_and(<[u8]>::is_empty) {
            records.by_ref().take(2).for_each(drop);
        }
        numbers.push(added.parse().ok().zip(removed.parse().ok()));
    }
    numbers
}

/// The sections of a patch, one for each entry. Lines of content begin with ` `, `+`, `-` or `\`, so
/// a line that begins with `diff --git ` is never one of them.
pub(super) fn patches(entries: &[Entry], patch: &[u8]) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for line in patch.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"diff --git ") {
            sections.push(String::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push_str(&String::from_utf8_lossy(line));
        }
    }
    let mut sections = sections.into_iter();
    entries
        .iter()
        .map(|entry| {
            let of_it = if entry.kind_changed { 2 } else { 1 };
            sections.by_ref().take(of_it).collect()
        })
        .collect()
}
