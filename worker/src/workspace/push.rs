//! The one door to a remote: what may be pushed, whether it can be, and pushing it.
//!
//! What holds: everything goes to a [`Pushable`] branch, never by force, from a repository of our own
//! without settings of anybody else's, with the token in that one process only. The default branch,
//! and branches by the usual names of protected ones, are refused; where the default branch is
//! unknown, nothing is pushed. Whether a job's branch can be pushed is asked before the first call of
//! the model, and asking sends nothing: it is the dry run of an empty commit. A rule of the server
//! that only a real push would meet cannot be known before.

use std::path::{Path, PathBuf};

use super::git::{Git, GitError};
use super::remote::Remote;
use crate::config::Config;

/// Names that branches have where a team merges, whatever the server says about them.
const PROTECTED: [&str; 8] =
    ["main", "master", "trunk", "develop", "development", "production", "staging", "gh-pages"];
/// And beginnings of such names.
const PROTECTED_FAMILIES: [&str; 2] = ["release/", "hotfix/"];

/// The tree without files: the same in every repository.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Why nothing can be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// A branch that nobody pushes to from a sandbox.
    #[error("`{0}` is a branch that is never pushed from here; set BRANCH_NAME to one of its own")]
    Protected(String),
    /// The branch that everything is merged into.
    #[error(
        "`{0}` is the default branch of {1}, which is never pushed; set BRANCH_NAME to another"
    )]
    Default(String, String),
    /// It is not known which branch that is.
    #[error("the default branch of {0} is not known, so nothing can be pushed safely")]
    DefaultUnknown(String),
    /// The server cannot be asked.
    #[error("{repository} cannot be read")]
    Unreadable {
        /// The repository's address.
        repository: String,
        /// Git's words.
        #[source]
        source: GitError,
    },
    /// The server refuses.
    #[error("`{branch}` of {repository} may not be pushed; check GITHUB_TOKEN's rights")]
    Refused {
        /// The branch.
        branch: String,
        /// The repository's address.
        repository: String,
        /// Git's words.
        #[source]
        source: GitError,
    },
    /// It was taken, and is not there.
    #[error("{repository} took `{branch}`, and says that it has another commit there or none")]
    NotThere {
        /// The branch.
        branch: String,
        /// The repository's address.
        repository: String,
    },
    /// The place to ask from could not be made.
    #[error("a repository to ask from cannot be made in `{path}`: {why}")]
    Place {
        /// Where.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Git failed on this machine.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// A branch that may be pushed to, as far as its name and the remote's default branch say. Nothing is
/// pushed but to one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pushable(String);

impl Pushable {
    /// Asks the remote for its default branch, and refuses that one and protected ones.
    pub(super) async fn ask(git: &Git, remote: &Remote, branch: &str) -> Result<Self, PushError> {
        if is_protected(branch) {
            return Err(PushError::Protected(branch.to_owned()));
        }
        let arguments = ["ls-remote", "--symref", "--", &remote.url, "HEAD"];
        let said = git.run_remote(arguments, remote.access.as_ref()).await;
        let said = said
            .map_err(|source| PushError::Unreadable { repository: remote.url.clone(), source })?;
        match default_branch(&String::from_utf8_lossy(&said)) {
            Some(default) if default == branch => {
                Err(PushError::Default(branch.to_owned(), remote.url.clone()))
            }
            Some(_) => Ok(Self(branch.to_owned())),
            None => Err(PushError::DefaultUnknown(remote.url.clone())),
        }
    }

    fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

/// Pushes a commit and asks the remote whether it has it. Never by force: what is there stays.
pub(super) async fn push(
    git: &Git,
    remote: &Remote,
    commit: &str,
    branch: &Pushable,
) -> Result<(), PushError> {
    let (access, reference) = (remote.access.as_ref(), branch.reference());
    let refused = |source| PushError::Refused {
        branch: branch.0.clone(),
        repository: remote.url.clone(),
        source,
    };
    let what = format!("{commit}:{reference}");
    let arguments = ["push", "--no-verify", "--porcelain", "--", &remote.url, &what];
    git.run_remote(arguments, access).await.map_err(refused)?;
    let said = git.run_remote(["ls-remote", "--", &remote.url, &reference], access).await;
    let said = said.map_err(refused)?;
    if String::from_utf8_lossy(&said).split_whitespace().next() == Some(commit) {
        return Ok(());
    }
    Err(PushError::NotThere { branch: branch.0.clone(), repository: remote.url.clone() })
}

/// Asks whether the job's branch may be pushed. `Ok` without asking when no repository or no branch
/// is named: then nothing is meant to be pushed.
pub(crate) async fn may_push(config: &Config) -> Result<(), PushError> {
    let (Some(repository), Some(branch)) = (&config.github.repo, &config.github.branch_name) else {
        return Ok(());
    };
    if is_protected(branch) {
        return Err(PushError::Protected(branch.clone()));
    }
    let place = config.state_dir.join("push.git");
    let git = own_repository(&place, config).await?;
    let remote = Remote::on_github(config, repository);
    let branch = Pushable::ask(&git, &remote, branch).await?;
    let commit = empty_commit(&git).await?;
    // Forced, or the dry run of an existing branch would fail for the history that it does not have.
    let what = format!("+{commit}:{}", branch.reference());
    let arguments = ["push", "--dry-run", "--no-verify", "--porcelain", "--", &remote.url, &what];
    let said = git.run_remote(arguments, remote.access.as_ref()).await;
    let url = remote.url;
    said.map(drop).map_err(|source| PushError::Refused {
        branch: branch.0,
        repository: url,
        source,
    })
}

fn is_protected(branch: &str) -> bool {
    let branch = branch.to_ascii_lowercase();
    PROTECTED.contains(&branch.as_str())
        || PROTECTED_FAMILIES.iter().any(|family| branch.starts_with(family))
}

/// From the answer of `ls-remote --symref … HEAD`.
fn default_branch(said: &str) -> Option<&str> {
    said.lines().find_map(|line| {
        line.strip_prefix("ref: refs/heads/")?
            .strip_suffix("\tHEAD")
            .filter(|name| !name.is_empty())
    })
}

async fn own_repository(place: &Path, config: &Config) -> Result<Git, PushError> {
    let failed = |error: &std::io::Error| PushError::Place {
        path: place.to_path_buf(),
        why: error.to_string(),
    };
    match std::fs::remove_dir_all(place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&error)),
        _ => {}
    }
    std::fs::create_dir_all(place).map_err(|error| failed(&error))?;
    let git = Git::new(place, config);
    git.run(["init", "--quiet", "--bare", "--template=", "."]).await?;
    Ok(git)
}

async fn empty_commit(git: &Git) -> Result<String, GitError> {
    git.run_with_input(["hash-object", "-w", "-t", "tree", "--stdin"], Vec::new()).await?;
    let mut arguments = super::clone::SIGNATURE.to_vec();
    arguments.extend(["commit-tree", "-m", "May this be pushed?", EMPTY_TREE]);
    let id = git.run(arguments).await?;
    Ok(String::from_utf8_lossy(&id).trim().to_owned())
}

#[cfg(test)]
mod tests;
