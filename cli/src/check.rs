//! What a run needs, checked before anything starts: `launch` asks for the repository and the agent,
//! `doctor` for everything.
//!
//! The only place of this crate that starts processes: `git` and `claude --version`, without a shell,
//! bounded in time.

pub(crate) mod agent;
pub(crate) mod place;
pub(crate) mod program;
pub(crate) mod repository;

use serde::Serialize;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What.
    pub(crate) name: &'static str,
    /// Whether it is as a run needs it.
    pub(crate) ok: bool,
    /// Whether a run with the chosen agent needs it.
    pub(crate) needed: bool,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

impl Check {
    /// It is there.
    pub(crate) fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, ok: true, needed: true, found: found.into(), remedy: None }
    }

    /// It is not.
    pub(crate) fn bad(
        name: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { name, ok: false, needed: true, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// The same, but a run can do without.
    pub(crate) fn optional(self) -> Self {
        Self { needed: false, ..self }
    }

    /// Whether it keeps a run from starting.
    pub(crate) const fn blocks(&self) -> bool {
        self.needed && !self.ok
    }
}
