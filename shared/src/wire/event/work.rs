//! Body of `worker.work_saved`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the work in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkKept {
    /// There was none: the workspace is as it was.
    Nothing,
    /// It is on a branch of the remote.
    Pushed,
    /// It is in a bundle in the place, and on no remote.
    Bundled,
    /// It stays where it is: the workspace is a directory that was there before.
    Untouched,
    /// It could not be kept.
    NotSaved,
}

/// `worker.work_saved`: recorded once, before the terminal report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkSaved {
    /// What became of it.
    pub kept: WorkKept,
    /// The whole name of the branch, e.g. `refs/heads/specwright/rescue/…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The commit, as git named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The commit of the repository that it stands on; absent in a repository without commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// How many files it changes.
    #[serde(default)]
    pub files: u64,
    /// The bundle's path in the place: `git fetch PATH REFERENCE` reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// What was left out of the commit, each with the reason; a bounded number of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Why it was not pushed, or not kept; absent where there is nothing to explain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
