//! Programs: where they are, and what they say when asked something short.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// How long a program may take for a short answer. A large Node program on a cold disk needs some
/// seconds for its `--version`.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Variables of a surrounding git command (a hook, an alias) that would point ours elsewhere.
const GIT_VARIABLES: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
];

/// A program that gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// It cannot be started.
    #[error("{program} cannot be started")]
    Start {
        /// Which.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It took too long.
    #[error("{program} did not answer within {} seconds", ANSWER_TIMEOUT.as_secs())]
    TimedOut {
        /// Which.
        program: String,
    },
}

/// Asks a program something short and takes all that it says.
pub(crate) async fn ask(program: &Path, args: &[&OsStr]) -> Result<Output, AskError> {
    let name = || program.display().to_string();
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    for variable in GIT_VARIABLES {
        command.env_remove(variable);
    }
    // Looking must not write: no refreshed index, no question on the terminal, no translation.
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, command.output()).await;
    answer
        .map_err(|_| AskError::TimedOut { program: name() })?
        .map_err(|source| AskError::Start { program: name(), source })
}

/// Where a program is, on a search path like `$PATH`.
pub(crate) fn on_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        // An empty entry means the current directory: that is no place to take programs from.
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
}

/// Whether a file can be run as a program.
pub(crate) fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_an_executable_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("a"), dir.path().join("b"));
        for directory in [&first, &second] {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("claude"), "#!/bin/sh\n").unwrap();
        }
        fs::create_dir(first.join("git")).unwrap();
        let path = std::env::join_paths([Path::new(""), &first, &second]).unwrap();
        assert_eq!(on_path("claude", &path), None);
        let found = second.join("claude");
        fs::set_permissions(&found, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(on_path("claude", &path), Some(found));
        assert_eq!(on_path("git", &path), None);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = ask(Path::new("/nowhere/claude"), &[]).await.unwrap_err();
        assert_eq!(error.to_string(), "/nowhere/claude cannot be started");
    }
}
