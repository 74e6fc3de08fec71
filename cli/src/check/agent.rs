//! The agent: whether the one that was asked for can work here.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use super::Check;
use super::program::{self, AskError};
use crate::config::{Config, MODEL_KEYS};
use crate::exit::{Exit, Failure};

/// The first version of the Claude CLI whose protocol is known to be the one that workers speak.
const MINIMUM: Version = Version(2, 1, 330);

/// What else to do when there is no Claude CLI or no key.
const OR_REHEARSE: &str =
    "or try `--agent rehearsal`, which needs neither the Claude CLI nor a key";

/// Which agent was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Agent {
    /// The Claude CLI on PATH.
    Claude,
    /// Ours, without a model.
    Rehearsal,
    /// A program that speaks the same protocol; made absolute.
    Program(PathBuf),
}

/// A version of the Claude CLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32, u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Version {
    /// From what `claude --version` prints: `2.1.330 (Claude Code)`.
    fn parse(said: &str) -> Option<Self> {
        let mut numbers = said.split_whitespace().next()?.split('.').map(str::parse::<u32>);
        let mut next = || numbers.next()?.ok();
        Some(Self(next()?, next()?, next()?))
    }
}

/// Why the agent cannot work here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// There is no Claude CLI.
    #[error(
        "the Claude CLI is missing: there is no `claude` on PATH; install it (npm install -g \
         @anthropic-ai/claude-code@2.1.330), {OR_REHEARSE}"
    )]
    NoClaude,
    /// It does not say its version.
    #[error("{} does not say its version; install it again, {OR_REHEARSE}", .0.display())]
    Broken(PathBuf, #[source] Option<AskError>),
    /// It is too old.
    #[error(
        "{} is version {found}, and at least {MINIMUM} is needed; update it (npm install -g \
         @anthropic-ai/claude-code@2.1.330), {OR_REHEARSE}",
        path.display()
    )]
    TooOld {
        /// Where it is.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// There is no key.
    #[error(
        "a key for the model is missing; set {} or {} (`claude setup-token` makes one), \
         {OR_REHEARSE}",
        MODEL_KEYS[0], MODEL_KEYS[1]
    )]
    NoKey,
    /// The program that was named cannot be run.
    #[error(
        "the agent {} is not a program that can be run; --agent takes `claude`, `rehearsal` or the \
         path of one",
        .0.display()
    )]
    NotAProgram(PathBuf),
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        Self::of(Exit::NotReady, error)
    }
}

impl Agent {
    /// What `--agent` means; a path is relative to `here`.
    pub(crate) fn named(word: &str, here: &Path) -> Self {
        match word {
            "claude" => Self::Claude,
            "rehearsal" => Self::Rehearsal,
            path => Self::Program(here.join(path)),
        }
    }

    /// The name on the wire.
    pub(crate) fn wire_name(&self) -> String {
        match self {
            Self::Claude => "claude".to_owned(),
            Self::Rehearsal => "rehearsal".to_owned(),
            Self::Program(path) => path.display().to_string(),
        }
    }

    /// Whether it can work here; says what is missing before anything is started.
    ///
    /// Of a named program only that it is one: the worker checks what it says about itself before it
    /// gets any work, and whether it needs a key nobody here knows.
    pub(crate) async fn ready(&self, config: &Config) -> Result<(), AgentError> {
        match self {
            Self::Rehearsal => Ok(()),
            Self::Claude => {
                claude(&config.path).await?;
                config.model_key.map(|_| ()).ok_or(AgentError::NoKey)
            }
            Self::Program(path) if program::is_executable(path) => Ok(()),
            Self::Program(path) => Err(AgentError::NotAProgram(path.clone())),
        }
    }
}

/// The Claude CLI on a search path, new enough.
async fn claude(path: &OsStr) -> Result<(PathBuf, Version), AgentError> {
    let claude = program::on_path("claude", path).ok_or(AgentError::NoClaude)?;
    let answer = program::ask(&claude, &[OsStr::new("--version")]).await;
    let answer = answer.map_err(|error| AgentError::Broken(claude.clone(), Some(error)))?;
    let said = String::from_utf8_lossy(&answer.stdout);
    let version = Version::parse(&said).filter(|_| answer.status.success());
    let version = version.ok_or_else(|| AgentError::Broken(claude.clone(), None))?;
    if version < MINIMUM {
        return Err(AgentError::TooOld { path: claude, found: version.to_string() });
    }
    Ok((claude, version))
}

/// The agent and its key, for `doctor`.
pub(crate) async fn checks(agent: &Agent, config: &Config) -> Vec<Check> {
    let claude = match claude(&config.path).await {
        Ok((path, version)) => Check::good("claude", format!("{version} at {}", path.display())),
        Err(error) => {
            let install =
                "npm install -g @anthropic-ai/claude-code@2.1.330 (not for --agent rehearsal)";
            Check::bad("claude", found(&error), install)
        }
    };
    let key = config.model_key.map_or_else(
        || {
            let remedy =
                format!("set {} or {} (not for --agent rehearsal)", MODEL_KEYS[0], MODEL_KEYS[1]);
            Check::bad("model key", "none", remedy)
        },
        |name| Check::good("model key", format!("{name} is set")),
    );
    match agent {
        Agent::Claude => vec![claude, key],
        Agent::Rehearsal => vec![claude.optional(), key.optional()],
        Agent::Program(path) => {
            let program = if program::is_executable(path) {
                Check::good("agent", path.display().to_string())
            } else {
                let found = format!("{} is not a program that can be run", path.display());
                Check::bad("agent", found, "give --agent the path of one")
            };
            vec![program, claude.optional(), key.optional()]
        }
    }
}

/// What is the case, without what to do: `doctor` has a place of its own for that.
fn found(error: &AgentError) -> String {
    match error {
        AgentError::NoClaude => "not on PATH".to_owned(),
        AgentError::Broken(path, _) => format!("{} does not say its version", path.display()),
        AgentError::TooOld { path, found } => {
            format!("{found} at {}; at least {MINIMUM} is needed", path.display())
        }
        AgentError::NoKey | AgentError::NotAProgram(_) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A real program named `claude` that says this version.
    fn claude_saying(version: &str) -> (tempfile::TempDir, std::ffi::OsString) {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("claude");
        fs::write(&program, format!("#!/bin/sh\necho '{version}'\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = dir.path().as_os_str().to_owned();
        (dir, path)
    }

    #[tokio::test]
    async fn a_new_enough_claude_is_taken_and_an_older_one_named() {
        let (_dir, path) = claude_saying("2.1.330 (Claude Code)");
        assert_eq!(claude(&path).await.unwrap().1, MINIMUM);
        let (_dir, path) = claude_saying("2.1.99 (Claude Code)");
        let error = claude(&path).await.unwrap_err().to_string();
        assert!(error.contains("2.1.99") && error.contains("at least 2.1.330"), "{error}");
        let (_dir, path) = claude_saying("hello");
        assert!(matches!(claude(&path).await, Err(AgentError::Broken(_, None))));
    }

    #[tokio::test]
    async fn what_is_missing_is_said_with_the_way_out() {
        let missing = claude(OsStr::new("/nowhere")).await.unwrap_err();
        for error in [missing, AgentError::NoKey] {
            let sentence = error.to_string();
            assert!(sentence.contains("is missing"), "{sentence}");
            assert!(sentence.contains("--agent rehearsal"), "{sentence}");
            assert_eq!(Failure::from(error).exit, Exit::NotReady);
        }
    }

    #[test]
    fn a_path_is_made_absolute_and_words_are_agents() {
        let named = |word| Agent::named(word, Path::new("/here"));
        assert_eq!(named("claude"), Agent::Claude);
        assert_eq!(named("rehearsal"), Agent::Rehearsal);
        assert_eq!(named("bin/a").wire_name(), "/here/bin/a");
        assert_eq!(named("/b").wire_name(), "/b");
    }
}
