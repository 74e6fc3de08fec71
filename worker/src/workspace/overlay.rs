//! The user's uncommitted state, copied into the clone: what is gone is removed, what is new or
//! changed is copied, links as links.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::WorkspaceError;

/// A file beyond this is left out and named: planning reads code, not data sets.
const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// What is copied in all.
const TOTAL_MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// The most things left out that are named one by one.
const NAMED_MAX: usize = 20;

/// Brings these paths of `from` to `to`. Gives a note for each thing that was left out.
pub(super) fn apply(
    from: &Path,
    to: &Path,
    paths: &[PathBuf],
) -> Result<Vec<String>, WorkspaceError> {
    let mut left_out = Vec::new();
    let mut total = 0;
    let (there, gone): (Vec<_>, Vec<_>) = paths
        .iter()
        .filter(|path| path.components().all(|part| matches!(part, Component::Normal(_))))
        .partition(|path| from.join(path).symlink_metadata().is_ok());
    // First what is gone: a directory may stand where a file or a link was.
    for path in gone {
        remove(&to.join(path)).map_err(|error| WorkspaceError::disk(path, &error))?;
    }
    for path in there {
        let source = from.join(path);
        match copy(&source, to, path, &mut total) {
            Ok(None) => {}
            Ok(Some(why)) => left_out.push(format!("Left out of the clone: {path:?}, {why}.")),
            // Gone between the listing and now: the user goes on working meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(WorkspaceError::disk(&source, &error)),
        }
    }
    let more = left_out.len().saturating_sub(NAMED_MAX);
    left_out.truncate(NAMED_MAX);
    if more > 0 {
        left_out.push(format!("Left out of the clone: {more} more."));
    }
    Ok(left_out)
}

/// Copies one path; `Some` says why it was left out.
fn copy(
    source: &Path,
    to: &Path,
    path: &Path,
    total: &mut u64,
) -> io::Result<Option<&'static str>> {
    let about = source.symlink_metadata()?;
    if about.is_dir() {
        return Ok(Some("a repository of its own"));
    }
    if !about.is_file() && !about.is_symlink() {
        return Ok(Some("not a file"));
    }
    if about.is_file() && about.len() > FILE_MAX_BYTES {
        return Ok(Some("larger than 64 MiB"));
    }
    if about.is_file() && *total + about.len() > TOTAL_MAX_BYTES {
        return Ok(Some("beyond 1 GiB of uncommitted files"));
    }
    let target = to.join(path);
    make_parents(to, path)?;
    remove(&target)?;
    if about.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(source)?, &target)?;
    } else {
        *total += fs::copy(source, &target)?;
    }
    Ok(None)
}

/// Makes the directories above a path. What stands in the way inside the clone (a file, or a link
/// that would lead out of it) is replaced.
fn make_parents(to: &Path, path: &Path) -> io::Result<()> {
    let mut directory = to.to_path_buf();
    for part in path.parent().into_iter().flat_map(Path::components) {
        directory.push(part);
        match directory.symlink_metadata() {
            Ok(about) if about.is_dir() => {}
            Ok(_) => {
                fs::remove_file(&directory)?;
                fs::create_dir(&directory)?;
            }
            Err(_) => fs::create_dir(&directory)?,
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        // A parent that is gone, or no longer a directory, took it along.
        Err(_) => Ok(()),
    }
}
