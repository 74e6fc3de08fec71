//! The phases: what the agent is asked in each, and what code computes.
//!
//! What holds: the agent gets one prompt per phase with the job as data, never as instructions; its
//! output is parsed and judged by code; findings go back to it verbatim. Prompts are files
//! (`prompts/`), filled in one pass: a value is never read again for markers.

mod computed;
mod context;
mod design;
mod documents;
mod explore;
mod prompt;
mod requirements;
mod tasks;

#[cfg(test)]
mod tests;

use serde_json::Value;
use specwright_shared::finding::Finding;
use specwright_shared::phase::Phase;
use specwright_shared::wire::sandbox::SpecJob;

pub(crate) use computed::{Computed, compute};
pub(crate) use documents::write as write_documents;

/// The tools of a planning agent: reading only.
pub(crate) const READING_TOOLS: [&str; 3] = ["Read", "Glob", "Grep"];

/// The system prompt, the same for every phase: it is an argument, so it is short and constant.
pub(crate) const SYSTEM_PROMPT: &str = include_str!("phases/prompts/system.md");

/// What an agent is asked in a phase.
pub(crate) struct Question {
    /// The prompt.
    pub(crate) prompt: String,
    /// The schema of the answer.
    pub(crate) schema: Value,
}

/// The question of a phase; `None` where code computes.
pub(crate) fn question(phase: Phase, job: &SpecJob) -> Option<Question> {
    let template = match phase {
        Phase::Explore => explore::PROMPT,
        Phase::Requirements => requirements::PROMPT,
        Phase::Design => design::PROMPT,
        Phase::Tasks => tasks::PROMPT,
        Phase::Sync | Phase::Complete => return None,
    };
    let schema = specwright_shared::documents::schema(phase)?;
    let data = context::block(job, phase);
    Some(Question { prompt: prompt::fill(template, &[("job", &data)]), schema })
}

/// The message that makes a resumed conversation go on.
pub(crate) fn go_on(phase: Phase) -> String {
    prompt::fill(include_str!("phases/prompts/go_on.md"), &[("phase", phase.as_str())])
}

/// The message that follows an output that was not accepted, in the same conversation.
pub(crate) fn repair(phase: Phase, findings: &[Finding]) -> String {
    let mut list = String::new();
    for finding in findings {
        list.push_str(&format!("- {finding}\n"));
    }
    prompt::fill(
        include_str!("phases/prompts/repair.md"),
        &[("phase", phase.as_str()), ("findings", list.trim_end())],
    )
}
