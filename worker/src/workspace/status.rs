//! Reading `git status --porcelain=v2 -z`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Paths in a status, as bytes of the file system; the second paths of renames are not asked for
/// (`--no-renames`). A path that ends in `/` is a repository inside the repository.
pub(super) fn paths(status: &[u8]) -> Vec<PathBuf> {
    status.split(|byte| *byte == 0).filter_map(path).map(|path| path.into()).collect()
}

fn path(record: &[u8]) -> Option<&OsStr> {
    // How many fields stand before the path in each kind of record.
    let fields = match record.first()? {
        b'1' => 8,
        b'u' => 10,
        b'?' | b'!' => 1,
        _ => return None,
    };
    let path = record.splitn(fields + 1, |byte| *byte == b' ').nth(fields)?;
    Some(OsStr::from_bytes(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_record_gives_its_path() {
        let status = b"1 .M N... 100644 100644 100644 aa bb a file\n2\0\
            u UU N... 1 2 3 4 aa bb cc both\0? new dir/x\0! ignored\0# branch.oid x\0";
        let expected = ["a file\n2", "both", "new dir/x", "ignored"].map(PathBuf::from);
        assert_eq!(paths(status), expected);
    }
}
