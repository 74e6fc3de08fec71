//! `explore`: the repository as it stands, and what the idea touches.

/// What the agent is asked.
pub(super) const PROMPT: &str = include_str!("prompts/explore.md");
