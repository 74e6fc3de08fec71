//! `design`: how it will be built, on what is there.

/// What the agent is asked.
pub(super) const PROMPT: &str = include_str!("prompts/design.md");
