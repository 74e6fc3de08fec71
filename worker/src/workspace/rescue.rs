//! Work in progress, kept before a planned end: what is different in the clone from how it was made
//! becomes a commit, the commit a bundle in STATE_DIR, and a branch of the remote where the worker's
//! token opens one.
//!
//! What holds:
//! - Clone, index, HEAD and branches stay as they are: the commit is made by plumbing in a repository
//!   beside it ([`beside`]). A user's own repository is never written: of a local one there is a
//!   clone, and the way back is `git fetch BUNDLE REFERENCE`, by the user.
//! - The bundle holds what the base commit does not, so it outlives the clone. Commit and bundle are
//!   asked of git before they are believed, and the remote is asked what it has.
//! - A file that holds a known secret is left out, and so is what is too large; both are said.
//! - It takes no longer than it may; what is kept by then stays kept.
//!
//! Deliberately absent: ignored files, repositories inside the repository, and commits that an agent
//! made: what they contain is in the work tree, where it counts.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use specwright_shared::redact::Redactor;
use specwright_shared::wire::event::{WorkKept, WorkSaved};

use super::clone::SIGNATURE;
use super::git::{Git, GitError};
use super::push::{Pushable, push};
use super::remote::Remote;
use super::{WorkspaceError, beside, shadow};
use crate::config::Config;

/// A file beyond this is left out: it is data, not work.
const FILE_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// What is kept in all.
const TOTAL_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// The most files that are kept.
const FILES_MAX: usize = 10_000;
/// The most files left out that are named one by one.
const NAMED_MAX: usize = 20;
/// The repository beside the clone, in STATE_DIR; gone when it is done.
const BESIDE: &str = "rescue.git";
/// The bundle, in STATE_DIR.
const BUNDLE: &str = "rescue.bundle";

/// What is to be kept, of which clone.
pub(super) struct Rescue<'a> {
    pub(super) config: &'a Config,
    pub(super) clone: &'a Git,
    /// What the clone was made of; absent in a repository without commits.
    pub(super) base: Option<&'a str>,
    /// The commit that the clone is put back to.
    pub(super) snapshot: &'a str,
    pub(super) remote: Option<&'a Remote>,
}

/// What was found to be different.
struct Work {
    /// Names of files, each with a NUL behind it.
    list: Vec<u8>,
    files: u64,
    left_out: Vec<String>,
}

impl Rescue<'_> {
    /// Keeps it, until `deadline`.
    pub(super) async fn keep(&self, deadline: Instant) -> WorkSaved {
        let directory = self.config.state_dir.join(BESIDE);
        let saved = self.keep_beside(&directory, deadline).await;
        if let Err(error) = std::fs::remove_dir_all(&directory)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the repository beside the clone is left");
        }
        saved
    }

    async fn keep_beside(&self, directory: &Path, deadline: Instant) -> WorkSaved {
        let kept = tokio::time::timeout_at(deadline.into(), self.bundle(directory)).await;
        let (git, mut saved) = match kept {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => return not_saved(in_words(&error)),
            Err(_) => return not_saved("there was no time left".to_owned()),
        };
        let (Some(commit), WorkKept::Bundled) = (&saved.commit, saved.kept) else { return saved };
        let Some(remote) = self.remote.filter(|remote| remote.is_ours_to_push()) else {
            saved.reason = Some("there is no remote that the worker may push to".to_owned());
            return saved;
        };
        let branch = self.branch();
        let pushed = async {
            push(&git, remote, commit, &Pushable::ask(&git, remote, &branch).await?).await
        };
        match tokio::time::timeout_at(deadline.into(), pushed).await {
            Ok(Ok(())) => saved.kept = WorkKept::Pushed,
            Ok(Err(error)) => saved.reason = Some(format!("not pushed: {}", in_words(&error))),
            Err(_) => saved.reason = Some("not pushed: there was no time left".to_owned()),
        }
        saved
    }

    /// Its own for each sandbox, so that nobody else's work is in the way.
    fn branch(&self) -> String {
        format!("specwright/rescue/{}", self.config.sandbox_id)
    }

    /// Makes commit and bundle; gives the repository that has the commit.
    async fn bundle(&self, directory: &Path) -> Result<(Git, WorkSaved), WorkspaceError> {
        let git = beside::make(self.clone, directory).await?;
        let run = async |arguments: &[&str]| -> Result<String, GitError> {
            let said = git.run(["-c", "core.bare=false"].iter().chain(arguments)).await?;
            Ok(String::from_utf8_lossy(&said).trim().to_owned())
        };
        // Merged, so that what the copied index knows of unchanged files is kept.
        if run(&["read-tree", "-m", self.snapshot]).await.is_err() {
            run(&["read-tree", self.snapshot]).await?;
        }
        let work = self.work(&git).await?;
        let mut saved = WorkSaved { left_out: work.left_out, ..nothing() };
        let update = [
            "-c",
            "core.bare=false",
            "update-index",
            "--add",
            "--remove",
            "--replace",
            "-z",
            "--stdin",
        ];
        git.run_with_input(update, work.list).await?;
        let tree = run(&["write-tree"]).await?;
        if tree == run(&["rev-parse", &format!("{}^{{tree}}", self.snapshot)]).await? {
            return Ok((git, saved));
        }
        let message = format!(
            "Work in progress of sandbox {}\n\nSaved by its worker before it ended.\n",
            self.config.sandbox_id
        );
        let commit = ["commit-tree", "-p", self.snapshot, "-m", &message, &tree];
        let commit = run(&[&SIGNATURE[..], &commit].concat()).await?;
        let reference = format!("refs/heads/{}", self.branch());
        run(&["update-ref", &reference, &commit]).await?;
        // Asked, not believed.
        let there = run(&["rev-parse", "--verify", &format!("{reference}^{{commit}}")]).await?;
        let its_tree = run(&["rev-parse", "--verify", &format!("{there}^{{tree}}")]).await?;
        if (&there, &its_tree) != (&commit, &tree) {
            return Err(WorkspaceError::NotKept(reference));
        }
        let bundle = self.config.state_dir.join(BUNDLE);
        let path = bundle.to_string_lossy().into_owned();
        let without = self.base.map(|base| format!("^{base}"));
        let mut arguments = vec!["bundle", "create", "--quiet", &path, &reference];
        arguments.extend(without.as_deref());
        run(&arguments).await?;
        let heads = run(&["bundle", "list-heads", &path]).await?;
        if heads != format!("{commit} {reference}") {
            return Err(WorkspaceError::NotKept(reference));
        }
        saved.kept = WorkKept::Bundled;
        saved.reference = Some(reference);
        saved.commit = Some(commit);
        saved.base = self.base.map(str::to_owned);
        saved.files = work.files;
        saved.bundle = Some(path);
        Ok((git, saved))
    }

    /// What is different in the work tree, without what must not, or cannot, be kept.
    async fn work(&self, git: &Git) -> Result<Work, WorkspaceError> {
        let plain = ["-c", "core.bare=false"];
        // Says which files need an update by failing; that is asked for below.
        git.run(plain.iter().chain(&["update-index", "-q", "--refresh"])).await.ok();
        let changed = ["diff-files", "-z", "--name-only", "--ignore-submodules=all"];
        let changed = git.run(plain.iter().chain(&changed)).await?;
        let new = ["ls-files", "-z", "--others", "--exclude-standard"];
        let new = git.run(plain.iter().chain(&new)).await?;
        let paths: BTreeSet<PathBuf> = shadow::split(&changed).chain(shadow::split(&new)).collect();
        let (place, redactor) = (git.directory().to_path_buf(), self.config.redactor());
        let paths: BTreeSet<PathBuf> =
            paths.into_iter().filter(|path| !beside::is_beyond_a_link(&place, path)).collect();
        tokio::task::spawn_blocking(move || sifted(&place, &paths, &redactor)).await.map_err(
            |error| WorkspaceError::Disk {
                path: self.clone.directory().to_path_buf(),
                why: error.to_string(),
            },
        )
    }
}

/// The end of a run whose workspace is as it was.
pub(crate) fn nothing() -> WorkSaved {
    WorkSaved {
        kept: WorkKept::Nothing,
        reference: None,
        commit: None,
        base: None,
        files: 0,
        bundle: None,
        left_out: Vec::new(),
        reason: None,
    }
}

/// The end of a run whose work could not be kept.
pub(crate) fn not_saved(why: String) -> WorkSaved {
    WorkSaved { kept: WorkKept::NotSaved, reason: Some(why), ..nothing() }
}

fn sifted(place: &Path, paths: &BTreeSet<PathBuf>, redactor: &Redactor) -> Work {
    let mut work = Work { list: Vec::new(), files: 0, left_out: Vec::new() };
    let (mut total, mut more) = (0, 0);
    for path in paths {
        let kept = if work.files >= FILES_MAX as u64 {
            Err("there are too many files")
        } else {
            fits(place, path, redactor, &mut total)
        };
        match kept {
            Ok(()) => {
                work.files += 1;
                work.list.extend_from_slice(path.as_os_str().as_bytes());
                work.list.push(0);
            }
            Err(why) if work.left_out.len() < NAMED_MAX => {
                work.left_out.push(format!("{}: {why}", redactor.text(&path.to_string_lossy())));
            }
            Err(_) => more += 1,
        }
    }
    if more > 0 {
        work.left_out.push(format!("{more} more files"));
    }
    work
}

/// Whether a file may be kept; else why not.
fn fits(
    place: &Path,
    path: &Path,
    redactor: &Redactor,
    total: &mut u64,
) -> Result<(), &'static str> {
    let holds_a_secret = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        redactor.text(&text) != text
    };
    if holds_a_secret(path.as_os_str().as_bytes()) {
        return Err("its name holds a secret");
    }
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err("it is a repository of its own");
    }
    let full = place.join(path);
    // What is gone is kept as gone.
    let Ok(about) = full.symlink_metadata() else { return Ok(()) };
    let content = if about.is_symlink() {
        let target = std::fs::read_link(&full).map_err(|_| "it cannot be read")?;
        target.into_os_string().into_encoded_bytes()
    } else if !about.is_file() {
        return Err("it is no file");
    } else if about.len() > FILE_MAX_BYTES {
        return Err("it is larger than 32 MiB");
    } else {
        let file = std::fs::File::open(&full).map_err(|_| "it cannot be read")?;
        let mut bytes = Vec::new();
        file.take(FILE_MAX_BYTES).read_to_end(&mut bytes).map_err(|_| "it cannot be read")?;
        bytes
    };
    *total += content.len() as u64;
    if *total > TOTAL_MAX_BYTES {
        return Err("all files together are larger than 256 MiB");
    }
    if holds_a_secret(&content) {
        return Err("it holds a secret");
    }
    Ok(())
}

fn in_words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
