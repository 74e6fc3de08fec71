//! The repository that is planned for: a git work tree on this machine, or a URL.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Check;
use super::program::{self, AskError};
use crate::exit::{Exit, Failure};

/// The schemes that a sandbox can clone from.
const SCHEMES: [&str; 4] = ["https://", "ssh://", "git://", "file://"];

/// The same on this machine only: elsewhere, what it brings can be changed on the way.
const SCHEMES_HERE: [&str; 3] = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];

/// Why a repository cannot be planned for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepositoryError {
    /// There is nothing there.
    #[error("there is nothing at {}; give a git work tree or a URL with --repo", .0.display())]
    Missing(PathBuf),
    /// It cannot be looked at.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not in a git work tree.
    #[error(
        "{} is not in a git work tree; go into one or give one with --repo, or make it one with \
         `git init`",
        .0.display()
    )]
    NotARepository(PathBuf),
    /// It is git's own data, without a work tree.
    #[error(
        "{path} is a git repository without a work tree; give one with --repo, or plan for what is \
         committed there with --repo file://{path}",
        path = .0.display()
    )]
    NoWorkTree(PathBuf),
    /// git refuses for a reason of its own.
    #[error("git does not read {}; it says: {said}", path.display())]
    Refused {
        /// Where.
        path: PathBuf,
        /// git's words.
        said: String,
    },
    /// A URL that a sandbox cannot clone.
    #[error("`{0}` is not a URL to clone; it starts with https://, ssh://, git:// or file://")]
    Scheme(String),
    /// ssh in the short form of scp.
    #[error("`{given}` is ssh's short form, and a sandbox clones from a URL; write {url}")]
    ShortSsh {
        /// What was given.
        given: String,
        /// The same as a URL.
        url: String,
    },
    /// The current directory is no place that a control API elsewhere knows.
    #[error("the control API is on another machine; say what to plan for with --repo URL")]
    Elsewhere,
    /// A path that is no text.
    #[error("{} is not UTF-8; the control API takes paths as text", .0.display())]
    NotText(PathBuf),
    /// There is no git.
    #[error("git is not on PATH; install it (Debian: apt-get install git)")]
    NoGit,
    /// git gave no answer.
    #[error("git gave no answer")]
    Git(#[source] AskError),
}

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Self {
        let exit = match error {
            RepositoryError::NoGit | RepositoryError::Git(_) => Exit::NotReady,
            RepositoryError::Missing(_)
            | RepositoryError::Unreadable { .. }
            | RepositoryError::NotARepository(_)
            | RepositoryError::NoWorkTree(_)
            | RepositoryError::Refused { .. }
            | RepositoryError::Scheme(_)
            | RepositoryError::ShortSsh { .. }
            | RepositoryError::Elsewhere
            | RepositoryError::NotText(_) => Exit::Usage,
        };
        Self::of(exit, error)
    }
}

/// What `--repo` means: the top of a work tree, or a URL as it stands. Without it, the work tree
/// around `here`. `same_machine`: whether sandboxes see the files that we see.
pub(crate) async fn resolve(
    repo: Option<&str>,
    here: &Path,
    same_machine: bool,
    path: &OsStr,
) -> Result<String, RepositoryError> {
    if let Some(given) = repo
        && let Some(url) = short_ssh(given)
        && !(same_machine && here.join(given).exists())
    {
        return Err(RepositoryError::ShortSsh { given: given.to_owned(), url });
    }
    let place = match repo {
        Some(url) if url.contains("://") => {
            let mut known = SCHEMES.iter().chain(&SCHEMES_HERE);
            let known = known.any(|scheme| url.starts_with(scheme));
            return known.then(|| url.to_owned()).ok_or(RepositoryError::Scheme(url.to_owned()));
        }
        Some(place) if same_machine => here.join(place),
        // A path there: only that machine can judge it.
        Some(place) if place.starts_with('/') => return Ok(place.to_owned()),
        None if same_machine => here.to_owned(),
        Some(_) | None => return Err(RepositoryError::Elsewhere),
    };
    let top = work_tree(&place, path).await?;
    top.into_os_string().into_string().map_err(|top| RepositoryError::NotText(top.into()))
}

/// `git@host:owner/name` as the URL that means the same.
fn short_ssh(given: &str) -> Option<String> {
    let (account, path) = given.split_once(':')?;
    let (user, host) = account.split_once('@')?;
    let plain = !user.is_empty() && !host.is_empty() && !account.contains('/');
    (plain && !path.starts_with("//"))
        .then(|| format!("ssh://{account}/{}", path.trim_start_matches('/')))
}

/// The top of the work tree around a place.
pub(crate) async fn work_tree(place: &Path, path: &OsStr) -> Result<PathBuf, RepositoryError> {
    let meta = place.metadata().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            RepositoryError::Missing(place.to_owned())
        }
        _ => RepositoryError::Unreadable { path: place.to_owned(), source },
    })?;
    if !meta.is_dir() {
        return Err(RepositoryError::NotARepository(place.to_owned()));
    }
    let answer = git(place, &["rev-parse", "--show-toplevel"], path).await?;
    if answer.status.success() {
        // The path may hold any byte but its own end.
        let top = answer.stdout.strip_suffix(b"\n").unwrap_or(&answer.stdout);
        return Ok(PathBuf::from(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(top)));
    }
    let said = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
    let place = place.to_owned();
    Err(if said.contains("not a git repository") {
        RepositoryError::NotARepository(place)
    } else if said.contains("must be run in a work tree") {
        RepositoryError::NoWorkTree(place)
    } else {
        RepositoryError::Refused { path: place, said }
    })
}

async fn git(
    place: &Path,
    args: &[&str],
    path: &OsStr,
) -> Result<std::process::Output, RepositoryError> {
    let git = program::on_path("git", path).ok_or(RepositoryError::NoGit)?;
    let mut all = vec![OsStr::new("-C"), place.as_os_str()];
    all.extend(args.iter().map(OsStr::new));
    program::ask(&git, &all).await.map_err(RepositoryError::Git)
}

/// The repository around `here`, for `doctor`.
pub(crate) async fn check(here: &Path, path: &OsStr) -> Check {
    const NAME: &str = "repository";
    let top = match work_tree(here, path).await {
        Ok(top) => top,
        Err(error) => {
            let remedy = "go into a git work tree, or use `launch --repo PATH|URL`";
            return Check::bad(NAME, error.to_string(), remedy).optional();
        }
    };
    let args = ["status", "--porcelain", "--branch", "-z"];
    match git(&top, &args, path).await {
        Ok(answer) if answer.status.success() => {
            let state = state(&String::from_utf8_lossy(&answer.stdout));
            Check::good(NAME, format!("{}, {state}", top.display())).optional()
        }
        Ok(answer) => {
            let said = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
            Check::bad(NAME, said, format!("try `git -C {} status`", top.display())).optional()
        }
        Err(error) => Check::bad(NAME, error.to_string(), "see the line about git").optional(),
    }
}

/// `git status --porcelain --branch -z` in words.
fn state(status: &str) -> String {
    let mut entries = status.split('\0').filter(|entry| !entry.is_empty());
    let branch = entries.next().unwrap_or_default().trim_start_matches("## ");
    let branch = branch.split("...").next().unwrap_or_default();
    match entries.count() {
        0 => format!("{branch}, clean"),
        1 => format!("{branch}, 1 uncommitted change (it is planned with)"),
        changes => format!("{branch}, {changes} uncommitted changes (they are planned with)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_short_form_of_ssh_is_refused_with_its_url() {
        let here = tempfile::tempdir().unwrap();
        for same_machine in [true, false] {
            let given = Some("git@example.org:owner/name");
            let error = resolve(given, here.path(), same_machine, &path()).await.unwrap_err();
            assert!(error.to_string().contains("ssh://git@example.org/owner/name"), "{error}");
        }
    }

    /// Where this machine has its programs.
    fn path() -> std::ffi::OsString {
        crate::config::Config::read(Some("/data".into())).unwrap().path
    }

    async fn git_init(place: &Path, bare: bool) {
        let git = program::on_path("git", &path()).unwrap();
        let mut args = vec![OsStr::new("init"), OsStr::new("-q"), place.as_os_str()];
        args.extend(bare.then_some(OsStr::new("--bare")));
        assert!(program::ask(&git, &args).await.unwrap().status.success());
    }

    #[tokio::test]
    async fn a_place_inside_a_work_tree_means_its_top() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap().join("with space\nand line");
        git_init(&top, false).await;
        let deep = top.join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        let expected = top.to_str().unwrap();
        assert_eq!(resolve(None, &deep, true, &path()).await.unwrap(), expected);
        assert_eq!(resolve(Some("../.."), &deep, true, &path()).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn what_is_no_work_tree_is_refused_with_a_sentence_and_exit_2() {
        let dir = tempfile::tempdir().unwrap();
        let bare = dir.path().join("bare.git");
        git_init(&bare, true).await;
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        for (place, words) in [
            (dir.path().join("missing"), "there is nothing at"),
            (dir.path().to_owned(), "is not in a git work tree"),
            (file, "is not in a git work tree"),
            (bare, "without a work tree"),
        ] {
            let error = resolve(place.to_str(), Path::new("/"), true, &path()).await.unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(Failure::from(error).exit, Exit::Usage);
        }
    }

    #[tokio::test]
    async fn urls_are_taken_as_they_stand_and_other_schemes_are_refused() {
        let resolve = async |repo| resolve(Some(repo), Path::new("/"), true, OsStr::new("")).await;
        let url = "https://example.org/owner/name.git";
        assert_eq!(resolve(url).await.unwrap(), url);
        for bad in ["ftp://example.org/x", "ext::sh -c id://"] {
            let error = resolve(bad).await.unwrap_err();
            assert!(matches!(error, RepositoryError::Scheme(_)), "{bad}: {error}");
        }
    }

    #[tokio::test]
    async fn a_control_api_elsewhere_does_not_know_this_directory() {
        let elsewhere = async |repo| resolve(repo, Path::new("/tmp"), false, OsStr::new("")).await;
        assert!(matches!(elsewhere(None).await, Err(RepositoryError::Elsewhere)));
        assert!(matches!(elsewhere(Some("here")).await, Err(RepositoryError::Elsewhere)));
        assert_eq!(elsewhere(Some("/srv/r")).await.unwrap(), "/srv/r");
    }

    #[test]
    fn the_state_of_a_work_tree_is_told_in_words() {
        assert_eq!(state("## main...origin/main\0"), "main, clean");
        assert_eq!(
            state("## main\0 M a\0?? b\0"),
            "main, 2 uncommitted changes (they are planned with)"
        );
    }
}
