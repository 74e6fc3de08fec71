//! Git as a subprocess: no shell, no prompt, a clean environment, bounded in time.
//!
//! What holds: git's own words are without secrets before they are cut, or a secret across the cut
//! would leave its beginning.

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use specwright_shared::excerpt::Excerpt;
use specwright_shared::redact::Redactor;
use tokio::process::Command;

use crate::config::{Config, Secret};

/// How long a command on this machine may take: a checkout of a large repository on a slow disk.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a clone over the network may take.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(900);
/// The most bytes of git's words that stand in an error.
const SAID_MAX_BYTES: usize = 1000;

/// Settings that hold for every command. A repository may not make us run its programs (hooks,
/// monitors), wait for a person, or write to a repository that we only read.
const SETTINGS: [&str; 8] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.untrackedCache=false",
    "-c",
    "protocol.ext.allow=never",
];

/// Answers git's question for the server's password from a variable of that one process. The text is
/// constant; nothing of a job stands in it.
const CREDENTIAL_HELPER: &str = "!f() { test \"$1\" = get && \
    printf 'username=x-access-token\\npassword=%s\\n' \"$SPECWRIGHT_GIT_TOKEN\"; }; f";

/// What git says, in English, when a server refuses who is asking.
const REFUSALS: [&str; 4] =
    ["Authentication failed", "could not read Username", "error: 401", "error: 403"];

/// A token, and the one server that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    /// Its address without a path.
    pub(super) server: String,
    pub(super) token: Secret,
}

/// Why a git command failed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No program.
    #[error("git could not be started ({0}); install git")]
    Start(String),
    /// It said no.
    #[error("`git {command}` failed; it says: {says}")]
    Failed {
        /// The subcommand.
        command: String,
        /// Its own words.
        says: String,
    },
    /// The server does not take the token.
    #[error(
        "GITHUB_TOKEN was refused by {server}; set one that is valid and has the rights that are \
         needed (git says: {says})"
    )]
    TokenRefused {
        /// The server.
        server: String,
        /// Git's words.
        says: String,
    },
    /// It took too long.
    #[error("`git {command}` took longer than {secs} s and was ended")]
    TimedOut {
        /// The subcommand.
        command: String,
        /// The limit.
        secs: u64,
    },
}

impl GitError {
    /// Git's own words, if it spoke.
    pub(super) fn says(&self) -> String {
        match self {
            Self::Failed { says, .. } | Self::TokenRefused { says, .. } => says.clone(),
            Self::Start(_) | Self::TimedOut { .. } => self.to_string(),
        }
    }
}

/// Git in one directory.
#[derive(Debug, Clone)]
pub(super) struct Git {
    directory: PathBuf,
    environment: Vec<(OsString, OsString)>,
    redactor: Redactor,
}

impl Git {
    pub(super) fn new(directory: &Path, config: &Config) -> Self {
        Self {
            directory: directory.to_path_buf(),
            environment: config.environment.clone(),
            redactor: config.redactor(),
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs a command and gives its stdout.
    pub(super) async fn run<I, S>(&self, arguments: I) -> Result<Vec<u8>, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.finish(self.command(arguments), LOCAL_TIMEOUT).await
    }

    /// The same with more variables.
    pub(super) fn with(mut self, more: &[(&str, &OsStr)]) -> Self {
        self.environment.extend(more.iter().map(|(name, value)| (name.into(), (*value).into())));
        self
    }

    /// Runs a command that reads `input`, and gives its stdout.
    pub(super) async fn run_with_input<I, S>(
        &self,
        arguments: I,
        input: Vec<u8>,
    ) -> Result<Vec<u8>, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        // A file takes any size and cannot block, as a pipe in both directions can.
        let file = tokio::task::spawn_blocking(move || -> std::io::Result<std::fs::File> {
            let mut file = tempfile::tempfile()?;
            file.write_all(&input)?;
            file.rewind()?;
            Ok(file)
        });
        let file = file.await.map_err(std::io::Error::other).and_then(|file| file);
        let file = file.map_err(|error| GitError::Start(error.to_string()))?;
        let mut command = self.command(arguments);
        command.stdin(file);
        self.finish(command, LOCAL_TIMEOUT).await
    }

    /// Runs a command that reaches the network, with a token for one server if there is one.
    pub(super) async fn run_remote<I, S>(
        &self,
        arguments: I,
        access: Option<&Access>,
    ) -> Result<Vec<u8>, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut all: Vec<OsString> = Vec::new();
        if let Some(Access { server, .. }) = access {
            // The empty helper forgets those of the machine: they could store the token.
            all.extend(["-c".into(), "credential.helper=".into()]);
            all.push("-c".into());
            all.push(format!("credential.{server}.helper={CREDENTIAL_HELPER}").into());
        }
        all.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        let mut command = self.command(all);
        let Some(Access { server, token }) = access else {
            return self.finish(command, NETWORK_TIMEOUT).await;
        };
        command.env("SPECWRIGHT_GIT_TOKEN", token.reveal());
        self.finish(command, NETWORK_TIMEOUT).await.map_err(|error| match error {
            GitError::Failed { says, .. } if REFUSALS.iter().any(|one| says.contains(one)) => {
                GitError::TokenRefused { server: server.clone(), says }
            }
            other => other,
        })
    }

    /// Puts a clone back to a commit: tracked files, new files, ignored files.
    pub(super) async fn restore(&self, commit: &str) -> Result<(), GitError> {
        self.run(["reset", "--quiet", "--hard", commit]).await?;
        self.run(["clean", "-ffdxq"]).await?;
        Ok(())
    }

    fn command<I, S>(&self, arguments: I) -> Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new("git");
        command
            .args(SETTINGS)
            .args(arguments)
            .current_dir(&self.directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "true")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("GIT_ADVICE", "0")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn finish(&self, mut command: Command, limit: Duration) -> Result<Vec<u8>, GitError> {
        let name = command
            .as_std()
            .get_args()
            .skip(SETTINGS.len())
            .map(OsStr::to_string_lossy)
            .find(|argument| {
                argument.starts_with(|c: char| c.is_ascii_lowercase())
                    && !argument.contains(['=', '.'])
            })
            .unwrap_or_default()
            .into_owned();
        let output = match tokio::time::timeout(limit, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(GitError::Start(error.to_string())),
            Err(_) => return Err(GitError::TimedOut { command: name, secs: limit.as_secs() }),
        };
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let says = Excerpt::within(&self.redactor.text(said.trim()), SAID_MAX_BYTES).text;
        let says = if says.is_empty() { output.status.to_string() } else { says };
        Err(GitError::Failed { command: name, says })
    }
}
