//! Paths inside a repository, as a model names them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A path relative to the repository's root: `/`-separated, no `..`, no leading `/`, at most 400
/// characters. It can be joined to a directory without leaving it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoPath(String);

/// The longest [`RepoPath`], in characters.
pub const PATH_MAX: usize = 400;

/// Why a path was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {why}; give a path relative to the repository's root, like `src/lib.rs`")]
pub struct RepoPathError {
    /// The path's beginning.
    pub path: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl RepoPath {
    /// Checks and takes a path; a leading `./` is dropped.
    ///
    /// # Errors
    /// [`RepoPathError`] when it is empty, absolute, too long, or would leave the repository.
    pub fn new(path: impl Into<String>) -> Result<Self, RepoPathError> {
        let path = path.into();
        let inner = path.strip_prefix("./").unwrap_or(&path);
        let why = if inner.trim().is_empty() {
            "is empty"
        } else if inner.starts_with('/') || inner.starts_with('~') {
            "is absolute"
        } else if inner.contains('\\') {
            "has a backslash"
        } else if inner.chars().any(char::is_control) {
            "has a control character"
        } else if inner.split('/').any(|part| part == "..") {
            "leads out of the repository"
        } else if inner.chars().count() > PATH_MAX {
            "is longer than 400 characters"
        } else {
            return Ok(Self(inner.to_owned()));
        };
        Err(RepoPathError { path: path.chars().take(80).collect(), why })
    }
}

impl TryFrom<String> for RepoPath {
    type Error = RepoPathError;
    fn try_from(path: String) -> Result<Self, RepoPathError> {
        Self::new(path)
    }
}

impl From<RepoPath> for String {
    fn from(path: RepoPath) -> Self {
        path.0
    }
}

impl Deref for RepoPath {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl JsonSchema for RepoPath {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "RepoPath".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": PATH_MAX,
            "description": "A path relative to the repository's root, like src/lib.rs",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_the_repository() {
        for bad in ["", "/etc/passwd", "../x", "a/../../b", "~/x", "a\\b", "a\0b"] {
            assert!(RepoPath::new(bad).is_err(), "{bad:?} was taken");
        }
        for good in ["src/lib.rs", "./src", "a..b/c", "Makefile"] {
            assert!(RepoPath::new(good).is_ok(), "{good:?} was refused");
        }
    }
}
