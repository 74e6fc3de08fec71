//! What changed in a clone since it was last looked at, by git's own view of it.
//!
//! What holds: a repository of our own, outside of the clone, borrows the clone's objects and starts
//! from its index; looking compares the files with that index, writes a tree, and gives the
//! difference of two trees. So changes by shell commands, deletes and renames show as well as edits;
//! nothing is taken from what a tool said. The clone's own `.git` is neither written nor are its
//! settings obeyed. Large and binary files are named without content, secrets are redacted before a
//! diff is cut, and a look is bounded in files and bytes.
//!
//! Deliberately absent: who made a change. Whether a tool call was open is the watcher's to say.

mod difference;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use specwright_shared::excerpt::Excerpt;
use specwright_shared::redact::Redactor;
use specwright_shared::wire::event::{FileChange, FileEdited, Unshown};

use super::git::{Git, GitError};
use super::{WorkspaceError, beside};
use difference::{Entry, entries, numbers, patches};

/// Files over this are named without content: no person reads a diff of them in a timeline.
const CONTENT_MAX_BYTES: u64 = 256 * 1024;
/// The most bytes of one diff in an event.
const DIFF_MAX_BYTES: usize = 8 * 1024;
/// Over so many files in one look none is shown with content.
const SHOWN_MAX: usize = 100;
/// The most events of one look; the rest is counted.
const EVENTS_MAX: usize = 400;

/// The repository beside the clone.
pub(crate) struct Shadow {
    clone: PathBuf,
    /// The clone's until it is opened, then its own.
    git: Git,
    directory: PathBuf,
    redactor: Redactor,
    /// The tree of the last look.
    tree: String,
    /// Files that are named without content, as they were when they were named.
    named: HashMap<PathBuf, (u64, i64, i64)>,
}

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files that changed, a bounded number of them.
    pub(crate) files: Vec<FileEdited>,
    /// How many more there are.
    pub(crate) more: u64,
}

impl Shadow {
    /// A shadow of a clone; nothing is made before [`Shadow::open`].
    pub(super) fn of(clone: &Git, state_dir: &Path, redactor: Redactor) -> Self {
        let directory = state_dir.join("watch.git");
        let work_tree = clone.directory().to_path_buf();
        let git = clone.clone();
        let (tree, named) = (String::new(), HashMap::new());
        Self { clone: work_tree, git, directory, redactor, tree, named }
    }

    /// Makes it. What differs from the clone's index from then on is a change.
    pub(crate) async fn open(&mut self) -> Result<(), WorkspaceError> {
        self.git = beside::make(&self.git, &self.directory).await?;
        self.tree = self.write_tree().await?;
        Ok(())
    }

    async fn run<const N: usize>(&self, arguments: [&str; N]) -> Result<Vec<u8>, GitError> {
        self.git.run(["-c", "core.bare=false"].into_iter().chain(arguments)).await
    }

    async fn write_tree(&self) -> Result<String, GitError> {
        let id = self.run(["write-tree"]).await?;
        Ok(String::from_utf8_lossy(&id).trim().to_owned())
    }

    /// What changed since the last look. `hinted` are paths that a watcher saw: those that the
    /// repository ignores are named too.
    pub(crate) async fn look(&mut self, hinted: &BTreeSet<PathBuf>) -> Result<Found, GitError> {
        // Says which files need an update by failing; that is asked for below.
        self.run(["update-index", "-q", "--refresh"]).await.ok();
        let changed =
            self.run(["diff-files", "-z", "--name-only", "--ignore-submodules=all"]).await?;
        let new = self.run(["ls-files", "-z", "--others", "--exclude-standard"]).await?;
        let paths: BTreeSet<PathBuf> = split(&changed)
            .chain(split(&new))
            .filter(|path| !beside::is_beyond_a_link(&self.clone, path))
            .collect();
        let new: BTreeSet<PathBuf> = split(&new).collect();
        let mut files = self.set_aside(&paths, &new);
        let mut update = Vec::new();
        for path in paths.iter().filter(|path| !self.named.contains_key(*path)) {
            update.extend_from_slice(path.as_os_str().as_bytes());
            update.push(0);
        }
        if !update.is_empty() {
            let arguments = ["-c", "core.bare=false", "update-index", "--add", "--remove"];
            let arguments = arguments.into_iter().chain(["--replace", "-z", "--stdin"]);
            self.git.run_with_input(arguments, update).await?;
        }
        let tree = self.write_tree().await?;
        if tree != self.tree {
            files.extend(self.difference(&tree).await?);
            self.tree = tree;
        }
        files.extend(self.ignored(hinted, &paths).await);
        let more = files.len().saturating_sub(EVENTS_MAX) as u64;
        files.truncate(EVENTS_MAX);
        Ok(Found { files, more })
    }

    /// Names what is too large for content, or no file, once for each state of it.
    fn set_aside(&mut self, paths: &BTreeSet<PathBuf>, new: &BTreeSet<PathBuf>) -> Vec<FileEdited> {
        let mut files = Vec::new();
        for path in paths {
            let state = state(&self.clone.join(path));
            // A path that ends in `/` is a repository inside the repository.
            let nested = path.as_os_str().as_bytes().ends_with(b"/");
            match state.filter(|(size, ..)| nested || *size > CONTENT_MAX_BYTES) {
                Some(state) => {
                    let before = self.named.insert(path.clone(), state);
                    if before != Some(state) {
                        let first = before.is_none() && new.contains(path);
                        let change = if first { FileChange::Created } else { FileChange::Modified };
                        files.push(unshown(path, change, Unshown::Huge));
                    }
                }
                // It is small again, or gone: git says what that means.
                None => drop(self.named.remove(path)),
            }
        }
        let clone = &self.clone;
        self.named.retain(|path, _| {
            let there = state(&clone.join(path)).is_some();
            if !there && !paths.contains(path) {
                files.push(unshown(path, FileChange::Deleted, Unshown::Huge));
            }
            there
        });
        files
    }

    async fn difference(&self, tree: &str) -> Result<Vec<FileEdited>, GitError> {
        let (from, to) = (self.tree.as_str(), tree);
        let raw = self.run(["diff-tree", "-r", "-M", "--raw", "-z", from, to]).await?;
        let entries = entries(&raw);
        let counts = self.run(["diff-tree", "-r", "-M", "--numstat", "-z", from, to]).await?;
        let counts = numbers(&counts);
        let patches = if entries.len() <= SHOWN_MAX {
            let (color, ext, conv) = ("--no-color", "--no-ext-diff", "--no-textconv");
            let patch = self.run(["diff-tree", "-r", "-M", "-p", color, ext, conv, from, to]);
            Some(patches(&entries, &patch.await?))
        } else {
            None
        };
        Ok(entries
            .iter()
            .enumerate()
            .map(|(at, entry)| {
                let counts = counts.get(at).copied().flatten();
                let patch = patches.as_ref().map(|patches| patches.get(at));
                self.edited(entry, counts, patch)
            })
            .collect())
    }

    fn edited(
        &self,
        entry: &Entry,
        counts: Option<(u64, u64)>,
        patch: Option<Option<&String>>,
    ) -> FileEdited {
        let (diff, why) = match (counts, patch) {
            (None, _) => (None, Some(Unshown::Binary)),
            (Some(_), None) => (None, Some(Unshown::TooMany)),
            (Some(_), Some(patch)) => {
                let safe = patch.map(|patch| self.redactor.text(patch));
                (safe.map(|diff| Excerpt::within(&diff, DIFF_MAX_BYTES)), None)
            }
        };
        FileEdited {
            path: shown(&entry.path),
            change: entry.change,
            from: entry.from.as_deref().map(shown),
            lines_added: counts.map(|(added, _)| added),
            lines_removed: counts.map(|(_, removed)| removed),
            diff,
            unshown: why,
            during_tool: None,
        }
    }

    /// Watched paths that the repository ignores.
    async fn ignored(
        &self,
        hinted: &BTreeSet<PathBuf>,
        listed: &BTreeSet<PathBuf>,
    ) -> Vec<FileEdited> {
        let mut input = Vec::new();
        // Git refuses the whole question for one path behind a link.
        let asked = |path: &&PathBuf| {
            !listed.contains(*path) && !beside::is_beyond_a_link(&self.clone, path)
        };
        for path in hinted.iter().filter(asked) {
            input.extend_from_slice(path.as_os_str().as_bytes());
            input.push(0);
        }
        if input.is_empty() {
            return Vec::new();
        }
        let arguments = ["-c", "core.bare=false", "check-ignore", "-z", "--stdin"];
        // None of them is ignored: that is how it says so.
        let Ok(ignored) = self.git.run_with_input(arguments, input).await else {
            return Vec::new();
        };
        let there = |path: &Path| self.clone.join(path).symlink_metadata();
        split(&ignored)
            .filter(|path| there(path).map_or(true, |about| !about.is_dir()))
            .map(|path| {
                let gone = there(&path).is_err();
                let change = if gone { FileChange::Deleted } else { FileChange::Modified };
                unshown(&path, change, Unshown::Ignored)
            })
            .collect()
    }
}

/// Marks what changed while a tool call was open, as the watcher saw it.
pub(super) fn mark(files: &mut [FileEdited], seen: &BTreeMap<PathBuf, bool>) {
    for file in files {
        file.during_tool = seen.get(Path::new(&file.path)).copied();
    }
}

fn unshown(path: &Path, change: FileChange, why: Unshown) -> FileEdited {
    FileEdited { unshown: Some(why), ..named(path, change) }
}

/// A change of which only the name is known.
pub(super) fn named(path: &Path, change: FileChange) -> FileEdited {
    FileEdited {
        path: shown(path),
        change,
        from: None,
        lines_added: None,
        lines_removed: None,
        diff: None,
        unshown: None,
        during_tool: None,
    }
}

fn state(path: &Path) -> Option<(u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt as _;
    let about = path.symlink_metadata().ok()?;
    Some((about.len(), about.mtime(), about.mtime_nsec()))
}

pub(super) fn split(list: &[u8]) -> impl Iterator<Item = PathBuf> {
    list.split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(|path| PathBuf::from(OsStr::from_bytes(path)))
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
