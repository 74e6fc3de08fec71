//! Settings that are a choice between kinds of things.

use std::fmt;
use std::path::PathBuf;

use specwright_shared::phase::Phase;

use super::secret::Secret;

/// Where the phases begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Where the control API says: the first phase without an accepted output.
    AsTheJobSays,
    /// At this phase.
    At(Phase),
}

/// The agent that is driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentChoice {
    /// The Claude CLI, found on `PATH`.
    Claude {
        /// Where it was found.
        program: PathBuf,
    },
    /// No model: our own program that speaks the same protocol.
    Rehearsal,
    /// Another program that speaks the same protocol.
    Program(PathBuf),
}

impl fmt::Display for AgentChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claude { .. } => f.write_str("claude"),
            Self::Rehearsal => f.write_str("rehearsal"),
            Self::Program(program) => program.display().fmt(f),
        }
    }
}

/// What opens the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// `ANTHROPIC_API_KEY`
    ApiKey(Secret),
    /// `CLAUDE_CODE_OAUTH_TOKEN`
    OAuth(Secret),
}

impl Credential {
    /// The variable that it came from, for sentences about it.
    #[must_use]
    pub const fn variable(&self) -> &'static str {
        match self {
            Self::ApiKey(_) => "ANTHROPIC_API_KEY",
            Self::OAuth(_) => "CLAUDE_CODE_OAUTH_TOKEN",
        }
    }

    /// Its value.
    pub(super) const fn secret(&self) -> &Secret {
        match self {
            Self::ApiKey(secret) | Self::OAuth(secret) => secret,
        }
    }
}

/// Access to a repository on GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHub {
    /// Its address without a slash at the end (`GITHUB_URL`); the token goes nowhere else.
    pub url: String,
    /// `owner/name`; cloned when the job names no repository.
    pub repo: Option<String>,
    /// Opens it; reaches git through a credential helper only.
    pub token: Option<Secret>,
    /// The branch that the work will go to.
    pub branch_name: Option<String>,
    /// The branch to start from; absent: the repository's default.
    pub base_branch: Option<String>,
}
