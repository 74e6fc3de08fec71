//! Making the clone, or finding it again after a restart.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::git::Git;
use super::{Kind, Remote, Source, Workspace, WorkspaceError, overlay};
use crate::config::Config;

/// The file in STATE_DIR that says what we made in WORKSPACE_DIR.
const MARK_FILE: &str = "workspace.json";

/// The most branches that an error names.
const BRANCHES_NAMED_MAX: usize = 10;

/// Who signs the snapshot.
pub(super) const SIGNATURE: [&str; 6] = [
    "-c",
    "user.name=Specwright",
    "-c",
    "user.email=specwright@localhost",
    "-c",
    "commit.gpgsign=false",
];

/// What stands in the mark.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
enum Mark {
    /// A clone was begun; what is there may be half of it.
    Begun,
    /// It is complete.
    Made { commit: Option<String>, snapshot: String },
}

pub(super) async fn prepare(config: &Config, source: &Source) -> Result<Workspace, WorkspaceError> {
    let directory = &config.workspace_dir;
    let git = Git::new(directory, config);
    let mark_path = config.state_dir.join(MARK_FILE);
    let remote = match source {
        Source::Remote { remote, .. } => Some(remote.clone()),
        Source::Local(_) => None,
    };
    match read_mark(&mark_path) {
        Some(Mark::Made { commit, snapshot }) if directory.join(".git").is_dir() => {
            git.restore(&snapshot).await?;
            let kind = Kind::Clone { git, snapshot, remote };
            return Ok(Workspace {
                directory: directory.clone(),
                commit,
                notes: vec!["The clone of the run before is used again.".to_owned()],
                lent_to: config.agent_user.clone(),
                kind,
            });
        }
        Some(_) => empty(directory)?,
        None if !is_empty_or_missing(directory)? => {
            return Err(WorkspaceError::InUse(directory.clone()));
        }
        None => {}
    }
    std::fs::create_dir_all(directory).map_err(|error| WorkspaceError::disk(directory, &error))?;
    write_mark(&mark_path, &Mark::Begun)?;
    let (commit, notes) = match source {
        Source::Local(path) => from_local(config, &git, path).await?,
        Source::Remote { remote: Remote { url, access }, branch } => {
            let mut arguments = vec!["clone", "--quiet", "--no-tags", "--template="];
            if let Some(branch) = branch {
                arguments.extend(["--branch", branch]);
            }
            arguments.extend(["--", url, "."]);
            git.run_remote(arguments, access.as_ref()).await.map_err(|error| match branch {
                // The words of `git clone`, which has no code of its own for it.
                Some(branch) if error.says().contains("Remote branch") => {
                    WorkspaceError::NoBranch { url: url.clone(), branch: branch.clone() }
                }
                _ => error.into(),
            })?;
            let commit = head(&git).await;
            if commit.is_none() {
                no_branches_or_refused(&git, url).await?;
            }
            (commit, Vec::new())
        }
    };
    git.run(["remote", "remove", "origin"]).await?;
    let snapshot = snapshot(&git).await?;
    write_mark(&mark_path, &Mark::Made { commit: commit.clone(), snapshot: snapshot.clone() })?;
    Ok(Workspace {
        directory: directory.clone(),
        commit,
        notes,
        lent_to: config.agent_user.clone(),
        kind: Kind::Clone { git, snapshot, remote },
    })
}

async fn from_local(
    config: &Config,
    git: &Git,
    path: &Path,
) -> Result<(Option<String>, Vec<String>), WorkspaceError> {
    if !path.is_dir() {
        return Err(WorkspaceError::Missing(path.to_path_buf()));
    }
    let users = Git::new(path, config);
    let not_a_repository = |error: super::GitError| WorkspaceError::NotARepository {
        path: path.to_path_buf(),
        says: error.says(),
    };
    let inside =
        users.run(["rev-parse", "--is-inside-work-tree"]).await.map_err(not_a_repository)?;
    if inside.trim_ascii() != b"true" {
        return Err(WorkspaceError::Bare(path.to_path_buf()));
    }
    let top = users.run(["rev-parse", "--show-toplevel"]).await?;
    // Only the newline that git adds is cut: a directory's name may end in white space.
    let top = top.strip_suffix(b"\n").unwrap_or(&top);
    let top = PathBuf::from(std::ffi::OsStr::from_bytes(top));
    let users = Git::new(&top, config);
    // Read over git's own protocol: linked or shared objects would have their times touched in the
    // user's repository. Planning needs the last commit only, so the history stays behind.
    let mut arguments: Vec<std::ffi::OsString> =
        ["clone", "--quiet", "--no-local", "--depth=1", "--no-tags", "--template=", "--"]
            .map(Into::into)
            .into();
    arguments.extend([top.clone().into_os_string(), ".".into()]);
    git.run(arguments).await?;
    let commit = head(git).await;
    let mut status: Vec<&str> = vec!["status", "--porcelain=v2", "-z", "--no-renames"];
    status.extend(["--untracked-files=all", "--ignore-submodules=all"]);
    let status = users.run(status).await?;
    let (from, to) = (top, git.directory().to_path_buf());
    let copied = tokio::task::spawn_blocking(move || {
        overlay::apply(&from, &to, &super::status::paths(&status))
    });
    let notes = copied.await.map_err(|error| WorkspaceError::Disk {
        path: path.to_path_buf(),
        why: error.to_string(),
    })??;
    Ok((commit, notes))
}

/// A clone without a commit is right only of a repository without one. Git says no more than a
/// warning when HEAD there names a missing branch, and a plan for no files would be the result.
async fn no_branches_or_refused(git: &Git, url: &str) -> Result<(), WorkspaceError> {
    let count = format!("--count={BRANCHES_NAMED_MAX}");
    let format = "--format=%(refname:lstrip=3)";
    let branches = git.run(["for-each-ref", &count, format, "refs/remotes/origin"]).await?;
    let branches = String::from_utf8_lossy(&branches).lines().collect::<Vec<_>>().join(", ");
    if branches.is_empty() {
        return Ok(());
    }
    Err(WorkspaceError::NoDefaultBranch { url: url.to_owned(), branches })
}

async fn head(git: &Git) -> Option<String> {
    let id = git.run(["rev-parse", "--verify", "--quiet", "HEAD"]).await.ok()?;
    Some(String::from_utf8_lossy(&id).trim().to_owned())
}

/// Commits what the overlay brought (or nothing at all in an empty repository), so that there is
/// always a commit to go back to.
async fn snapshot(git: &Git) -> Result<String, WorkspaceError> {
    let before = head(git).await;
    git.run(["add", "--all"]).await?;
    let staged = git.run(["status", "--porcelain", "-z", "--untracked-files=no"]).await?;
    if !staged.is_empty() || before.is_none() {
        let mut arguments = SIGNATURE.to_vec();
        arguments.extend(["commit", "--quiet", "--no-verify", "--allow-empty"]);
        arguments.extend(["--message", "Snapshot of uncommitted work, local to this clone"]);
        git.run(arguments).await?;
    }
    let id = git.run(["rev-parse", "--verify", "HEAD"]).await?;
    Ok(String::from_utf8_lossy(&id).trim().to_owned())
}

fn read_mark(path: &Path) -> Option<Mark> {
    let text = std::fs::read(path).ok()?;
    // A mark that cannot be read says that something of ours is there, not what.
    Some(serde_json::from_slice(&text).unwrap_or(Mark::Begun))
}

fn write_mark(path: &Path, mark: &Mark) -> Result<(), WorkspaceError> {
    let write = || -> std::io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let mut aside = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut aside, mark)?;
        aside.as_file().sync_data()?;
        aside.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| WorkspaceError::disk(path, &error))
}

fn is_empty_or_missing(directory: &Path) -> Result<bool, WorkspaceError> {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(WorkspaceError::disk(directory, &error)),
    }
}

/// Removes what a clone that was cut short left behind.
fn empty(directory: &Path) -> Result<(), WorkspaceError> {
    match std::fs::remove_dir_all(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(WorkspaceError::disk(directory, &error)),
    }
}
