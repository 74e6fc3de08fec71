//! `tasks`: tickets for the board, and the spec tasks in them.

/// What the agent is asked.
pub(super) const PROMPT: &str = include_str!("prompts/tasks.md");
