//! `requirements`: what is wanted, as EARS sentences with acceptance criteria.

/// What the agent is asked.
pub(super) const PROMPT: &str = include_str!("prompts/requirements.md");
