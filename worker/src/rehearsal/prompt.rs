//! What a message asks for: the first line names the phase, a data block holds the job.

use serde::Deserialize;
use serde_json::{Map, Value};
use specwright_shared::documents::{Accepted, Document};
use specwright_shared::phase::Phase;

/// How a phase's prompt begins; the phase's name follows.
const PHASE_LINE: &str = "Specwright phase: ";
/// How a repair message begins.
const REPAIR_LINE: &str = "Specwright repair";
const BLOCK_OPEN: &str = "<specwright-data name=\"job\">";
const BLOCK_CLOSE: &str = "</specwright-data>";

/// A phase to be done, and its context.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    pub phase: Phase,
    pub title: String,
    pub description: String,
    pub accepted: Accepted,
}

/// What a message asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Prompt {
    /// Do a phase.
    Phase(Box<Job>),
    /// Do the last phase again.
    Repair,
    /// Nothing that a rehearsal knows.
    Other,
    /// A phase prompt that cannot be read, with the reason.
    Broken(String),
}

impl Prompt {
    /// Reads a message.
    pub(super) fn read(text: &str) -> Self {
        let first = text.lines().next().unwrap_or_default().trim();
        if first.starts_with(REPAIR_LINE) {
            return Self::Repair;
        }
        let Some(phase) = first.strip_prefix(PHASE_LINE) else { return Self::Other };
        match Job::read(phase.trim(), text) {
            Ok(job) => Self::Phase(Box::new(job)),
            Err(why) => Self::Broken(why),
        }
    }
}

#[derive(Deserialize)]
struct Block {
    #[serde(default)]
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    accepted: Map<String, Value>,
}

impl Job {
    fn read(phase: &str, text: &str) -> Result<Self, String> {
        let phase: Phase = phase.parse().map_err(|error| format!("{error}"))?;
        if !phase.needs_agent() {
            return Err(format!("the phase {phase} is computed, not done by an agent"));
        }
        let (_, rest) = text
            .split_once(BLOCK_OPEN)
            .ok_or_else(|| format!("the prompt has no block {BLOCK_OPEN}"))?;
        let (block, _) = rest
            .split_once(BLOCK_CLOSE)
            .ok_or_else(|| format!("the block is not closed by {BLOCK_CLOSE}"))?;
        let block: Block = serde_json::from_str(block)
            .map_err(|error| format!("the block does not hold a job: {error}"))?;
        let mut accepted = Accepted::default();
        for earlier in Phase::ALL.into_iter().filter(|earlier| *earlier < phase) {
            let value = block.accepted.get(earlier.as_str()).ok_or_else(|| {
                format!("the job does not hold the accepted output of the phase {earlier}")
            })?;
            let document = Document::parse(earlier, value)
                .map_err(|finding| format!("the accepted output of {earlier}: {finding}"))?;
            accepted.insert(document);
        }
        Ok(Self { phase, title: block.title, description: block.description, accepted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_prompt_is_read_with_its_job() {
        let text = "Specwright phase: explore\nDo it.\n<specwright-data name=\"job\">\
                    {\"title\":\"a \\u003cb\",\"description\":\"\",\"accepted\":{}}</specwright-data>";
        let Prompt::Phase(job) = Prompt::read(text) else { panic!("not read") };
        assert_eq!((job.phase, job.title.as_str()), (Phase::Explore, "a <b"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let broken = |text: &str| match Prompt::read(text) {
            Prompt::Broken(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(broken("Specwright phase: sync").contains("computed"));
        assert!(broken("Specwright phase: explore").contains("no block"));
        let design = "Specwright phase: design\n<specwright-data name=\"job\">{}</specwright-data>";
        assert!(broken(design).contains("output of the phase explore"));
    }

    #[test]
    fn other_messages_are_left_alone() {
        assert_eq!(Prompt::read("Specwright repair\nfindings"), Prompt::Repair);
        assert_eq!(Prompt::read("hello\nSpecwright phase: explore"), Prompt::Other);
        assert_eq!(Prompt::read(""), Prompt::Other);
    }
}
