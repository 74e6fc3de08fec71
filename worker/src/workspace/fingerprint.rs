//! The state of the place, so that two moments can be compared.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::git::Git;
use super::{Changed, WorkspaceError, status};

/// The most files of a directory that is not a clone: their names are kept in memory.
const FILES_MAX: usize = 100_000;
/// The most changed paths that are named.
const NAMED_MAX: usize = 20;

/// Everything that an attempt must not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fingerprint {
    /// A clone: its commit and its status, ignored files included. It is clean to begin with, so
    /// any change shows.
    Clone { head: String, status: Vec<u8> },
    /// A directory: size, time and kind of each file.
    Directory(BTreeMap<PathBuf, (u64, i64, i64, u32)>),
}

impl Fingerprint {
    pub(super) async fn of_clone(git: &Git) -> Result<Self, WorkspaceError> {
        let head = git.run(["rev-parse", "HEAD"]).await?;
        let mut arguments = vec!["status", "--porcelain=v2", "-z", "--no-renames"];
        arguments.extend(["--ignored", "--untracked-files=all", "--ignore-submodules=all"]);
        let status = git.run(arguments).await?;
        Ok(Self::Clone { head: String::from_utf8_lossy(&head).trim().to_owned(), status })
    }

    pub(super) async fn of_directory(directory: &Path) -> Result<Self, WorkspaceError> {
        let directory = directory.to_path_buf();
        let path = directory.clone();
        tokio::task::spawn_blocking(move || walk(&directory))
            .await
            .map_err(|error| WorkspaceError::Disk { path, why: error.to_string() })?
    }

    /// What is different between two moments; `None`: nothing.
    pub(crate) fn changed_until(&self, later: &Self) -> Option<Changed> {
        if self == later {
            return None;
        }
        let mut paths: Vec<String> = match (self, later) {
            (Self::Clone { head, .. }, Self::Clone { head: now, status }) => {
                let commit = (head != now).then(|| format!("HEAD (now {now})"));
                let changed = status::paths(status);
                commit.into_iter().chain(changed.iter().map(|path| shown(path))).collect()
            }
            (Self::Directory(before), Self::Directory(after)) => {
                let gone_or_changed = before
                    .iter()
                    .filter(|(path, about)| after.get(*path) != Some(about))
                    .map(|(path, _)| path);
                let new = after.keys().filter(|path| !before.contains_key(*path));
                gone_or_changed.chain(new).map(|path| shown(path)).collect()
            }
            _ => Vec::new(),
        };
        let count = paths.len();
        paths.truncate(NAMED_MAX);
        Some(Changed { paths, count })
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn walk(directory: &Path) -> Result<Fingerprint, WorkspaceError> {
    let mut files = BTreeMap::new();
    let all = ignore::WalkBuilder::new(directory)
        .standard_filters(false)
        .follow_links(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    for entry in all {
        // A file that vanishes during the walk is a change that the next walk sees.
        let Ok(entry) = entry else { continue };
        let Ok(about) = entry.path().symlink_metadata() else { continue };
        if about.is_dir() {
            continue;
        }
        if files.len() == FILES_MAX {
            let path = directory.to_path_buf();
            return Err(WorkspaceError::TooManyFiles { path, limit: FILES_MAX });
        }
        let path = entry.path().strip_prefix(directory).unwrap_or(entry.path()).to_path_buf();
        files.insert(path, (about.len(), about.mtime(), about.mtime_nsec(), about.mode()));
    }
    Ok(Fingerprint::Directory(files))
}
