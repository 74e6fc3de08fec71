//! The place where the agent works: a clone of ours, or a directory that was there already.
//!
//! What holds:
//! - the user's work tree and `.git` are read, never written: the last commit of a local repository
//!   is cloned over git's own protocol (nothing is linked that could be written through), what is
//!   uncommitted is copied over and committed as a snapshot in the clone only;
//! - a path means the work tree as it stands, with what is uncommitted; a URL, also a `file://` one,
//!   means what is committed there, so that it may lead to a repository without a work tree;
//! - the clone has no remote and no credentials;
//! - planning changes nothing: the place is compared before and after each attempt; a clone is put
//!   back, a directory that we did not clone is not touched, its changes are named.
//!
//! Deliberately absent: submodules (not fetched) and the history of a local repository.

mod beside;
mod clone;
mod fingerprint;
mod git;
mod lend;
mod overlay;
mod push;
mod remote;
pub(crate) mod rescue;
mod shadow;
mod status;
pub(crate) mod watch;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Instant;

use specwright_shared::redact::Redactor;
use specwright_shared::wire::event::{WorkKept, WorkSaved};

use crate::agent::User;
use crate::config::Config;

pub(crate) use fingerprint::Fingerprint;
use git::Git;
pub use git::GitError;
pub use push::PushError;
use push::may_push;
use remote::Remote;
use rescue::Rescue;
use shadow::Shadow;

/// Where a clone comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// A work tree on this machine, as it stands.
    Local(PathBuf),
    /// What is committed at a URL.
    Remote { remote: Remote, branch: Option<String> },
}

/// Why there is no workspace.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The job names no repository and there is nothing to work in.
    #[error(
        "the job names no repository and the directory `{0}` does not exist; name a repository, or \
         make the directory"
    )]
    NoDirectory(PathBuf),
    /// The repository's path leads nowhere.
    #[error("the repository `{0}` does not exist; give the path of a git repository or a URL")]
    Missing(PathBuf),
    /// The path is no repository, or git refuses to open it.
    #[error("`{path}` is not a git repository that can be read; git says: {says}")]
    NotARepository {
        /// The path.
        path: PathBuf,
        /// Git's own words.
        says: String,
    },
    /// A repository without a work tree.
    #[error(
        "`{0}` is a repository without a work tree; give the path of one that has files checked out, \
         or plan for what is committed there with the URL `file://{0}`"
    )]
    Bare(PathBuf),
    /// Its HEAD names a branch that is not there, so that a clone of it has no files.
    #[error(
        "`{url}` has branches ({branches}), but its HEAD names none of them; set BASE_BRANCH to one, \
         or mend HEAD there with `git symbolic-ref HEAD refs/heads/NAME`"
    )]
    NoDefaultBranch {
        /// Where.
        url: String,
        /// Some of the branches that are there.
        branches: String,
    },
    /// The branch to start from is not there.
    #[error(
        "{url} has no branch `{branch}`; set BASE_BRANCH to one that is there, or leave it out for \
         the default branch"
    )]
    NoBranch {
        /// Where.
        url: String,
        /// The name.
        branch: String,
    },
    /// Git took the work, and does not have it.
    #[error("git was given `{0}` and has another commit there")]
    NotKept(String),
    /// An address of a kind that is not cloned.
    #[error("`{0}` cannot be cloned; an absolute path or an https, http, ssh, git or file URL can")]
    Address(String),
    /// The place for the clone is in use.
    #[error("`{0}` is not empty and not a clone of ours; WORKSPACE_DIR must be empty or new")]
    InUse(PathBuf),
    /// A directory that is too large to be compared before and after.
    #[error(
        "`{path}` has more than {limit} files, too many to compare before and after an attempt; \
         name it as the job's repository, so that a clone is used"
    )]
    TooManyFiles {
        /// The directory.
        path: PathBuf,
        /// The bound.
        limit: usize,
    },
    /// The branch that the work is meant for cannot be pushed.
    #[error("the work could not be handed in")]
    Push(#[from] PushError),
    /// The clone cannot be made the agent's.
    #[error("`{path}` could not be lent to the agent's user {user}: {why}")]
    Lend {
        /// The clone.
        path: PathBuf,
        /// The user.
        user: String,
        /// What the system said.
        why: String,
    },
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The disk failed.
    #[error("`{path}` could not be prepared: {why}")]
    Disk {
        /// What was being written or read.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
}

impl WorkspaceError {
    fn disk(path: &Path, error: &std::io::Error) -> Self {
        Self::Disk { path: path.to_path_buf(), why: error.to_string() }
    }
}

/// The prepared place.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Where it is.
    pub(crate) directory: PathBuf,
    /// The commit that it stands on, without our snapshot.
    pub(crate) commit: Option<String>,
    /// Things that a person should know about how it was made.
    pub(crate) notes: Vec<String>,
    /// The agent's user, where it is not ours.
    lent_to: Option<User>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A clone of ours; `snapshot` is the commit that it is put back to.
    Clone { git: Git, snapshot: String, remote: Option<Remote> },
    /// A directory that was there.
    Directory,
}

/// What changed during an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Paths, a bounded number of them.
    pub(crate) paths: Vec<String>,
    /// How many there are in all.
    pub(crate) count: usize,
}

impl Workspace {
    /// Prepares the place for a job. Whether its branch can be pushed is asked first: an agent's work
    /// that nobody can hand in is not worth its price.
    pub(crate) async fn prepare(
        config: &Config,
        repository: Option<&str>,
    ) -> Result<Self, WorkspaceError> {
        may_push(config).await?;
        let Some(source) = source(config, repository)? else {
            let directory = config.workspace_dir.clone();
            if !directory.is_dir() {
                return Err(WorkspaceError::NoDirectory(directory));
            }
            let git = Git::new(&directory, config);
            let commit = git.run(["rev-parse", "--verify", "--quiet", "HEAD"]).await.ok();
            let commit = commit.map(|id| String::from_utf8_lossy(&id).trim().to_owned());
            let (notes, kind) = (Vec::new(), Kind::Directory);
            return Ok(Self { directory, commit, notes, lent_to: None, kind });
        };
        let workspace = clone::prepare(config, &source).await?;
        workspace.lend().await?;
        Ok(workspace)
    }

    /// Makes the files the agent's, where it has a user of its own.
    async fn lend(&self) -> Result<(), WorkspaceError> {
        let (Some(user), Kind::Clone { git, .. }) = (&self.lent_to, &self.kind) else {
            return Ok(());
        };
        let (clone, to) = (self.directory.clone(), user.clone());
        let lent = tokio::task::spawn_blocking(move || lend::lend(&clone, &to)).await;
        lent.map_err(std::io::Error::other).and_then(|lent| lent).map_err(|error| {
            let (path, user) = (self.directory.clone(), user.name.clone());
            WorkspaceError::Lend { path, user, why: error.to_string() }
        })?;
        // Or git would read every file again each time that it is asked what changed. It fails when
        // something did.
        git.run(["update-index", "-q", "--refresh"]).await.ok();
        Ok(())
    }

    /// The state of the place now, to be compared with later.
    pub(crate) async fn fingerprint(&self) -> Result<Fingerprint, WorkspaceError> {
        match &self.kind {
            Kind::Clone { git, .. } => Fingerprint::of_clone(git).await,
            Kind::Directory => Fingerprint::of_directory(&self.directory).await,
        }
    }

    /// What tells changes in it; `None`: it is no clone of ours.
    pub(crate) fn shadow(&self, config: &Config) -> Option<Shadow> {
        let Kind::Clone { git, .. } = &self.kind else { return None };
        Some(Shadow::of(git, &config.state_dir, Redactor::new(config.secrets())))
    }

    /// Keeps what was changed in it, until `deadline` at most.
    pub(crate) async fn save(
        &self,
        config: &Config,
        changed: &Changed,
        deadline: Instant,
    ) -> WorkSaved {
        let Kind::Clone { git, snapshot, remote } = &self.kind else {
            let files = changed.count as u64;
            let why = "WORKSPACE_DIR is not a clone of ours".to_owned();
            let kept = WorkKept::Untouched;
            return WorkSaved { kept, files, reason: Some(why), ..rescue::nothing() };
        };
        let (base, remote) = (self.commit.as_deref(), remote.as_ref());
        Rescue { config, clone: git, base, snapshot, remote }.keep(deadline).await
    }

    /// Puts a clone back. `false`: it is not ours to put back.
    pub(crate) async fn restore(&self) -> Result<bool, WorkspaceError> {
        let Kind::Clone { git, snapshot, .. } = &self.kind else { return Ok(false) };
        git.restore(snapshot).await?;
        self.lend().await?;
        Ok(true)
    }
}

fn source(config: &Config, repository: Option<&str>) -> Result<Option<Source>, WorkspaceError> {
    let branch = config.github.base_branch.clone();
    let Some(repository) = repository else {
        return Ok(config
            .github
            .repo
            .as_ref()
            .map(|repo| Source::Remote { remote: Remote::on_github(config, repo), branch }));
    };
    if Path::new(repository).is_absolute() {
        return Ok(Some(Source::Local(PathBuf::from(repository))));
    }
    let known = ["https://", "http://", "ssh://", "git://", "file://"];
    if known.iter().any(|scheme| repository.starts_with(scheme)) {
        return Ok(Some(Source::Remote { remote: Remote::at(config, repository), branch }));
    }
    Err(WorkspaceError::Address(repository.to_owned()))
}
