//! What the built-in guardian would do: rules over facts, no model.
//!
//! What holds: it looks only at what happened since the last intervention, so that one fact is never
//! the reason of two; it does nothing while an earlier intervention is not judged; it goes one step
//! further each time that the last one did not help, and never as far as stopping a run.

use super::Settings;
use crate::phase::Phase;
use crate::text::{Line, Text};
use crate::trajectory::Fold;
use crate::wire::intervention::{
    InterventionKind, InterventionOutcome, InterventionView, NewIntervention,
};
use crate::wire::message::MessageText;

/// What came of the interventions so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judged {
    /// How many did not help, since the last one that did.
    pub in_vain: usize,
    /// Whether one is still being observed.
    pub waiting: bool,
}

impl Judged {
    /// Of a sandbox's interventions, oldest first.
    #[must_use]
    pub fn of(interventions: &[InterventionView]) -> Self {
        let outcome = |view: &InterventionView| view.assessment.as_ref().map(|seen| seen.outcome);
        let newest_first = interventions.iter().rev().map(outcome);
        Self {
            in_vain: newest_first
                .take_while(|outcome| *outcome != Some(InterventionOutcome::Helped))
                .count(),
            waiting: interventions.iter().any(|view| view.assessment.is_none()),
        }
    }
}

/// What would be done.
pub type Proposal = NewIntervention;

/// What is wrong, what shows it, and what the agent should hear.
struct Trouble {
    what: &'static str,
    evidence: String,
    advice: &'static str,
}

/// Decides from what happened since the last intervention. `phase` is the one at work.
#[must_use]
pub fn propose(
    since: &Fold,
    judged: Judged,
    phase: Phase,
    settings: &Settings,
) -> Option<Proposal> {
    if judged.waiting {
        return None;
    }
    let trouble = trouble(since, phase, settings)?;
    let kind = match judged.in_vain {
        0 => InterventionKind::Nudge,
        1 => InterventionKind::Interrupt,
        _ => InterventionKind::Park,
    };
    let text = format!("{} ({}). {}", trouble.what, trouble.evidence, trouble.advice);
    Some(Proposal {
        kind,
        reason: Line::fitted(trouble.what)?,
        evidence: Text::fitted(&trouble.evidence)?,
        message: if kind.speaks() { MessageText::fitted(&text) } else { None },
    })
}

fn trouble(since: &Fold, phase: Phase, settings: &Settings) -> Option<Trouble> {
    if let Some(again) = since.repeated(settings.loop_repeats, 1).first() {
        return Some(Trouble {
            what: "the same call is made again and again with the same answer",
            evidence: format!("{} times: {}", again.times, again.text),
            advice: "It will not answer differently: take another way, or go on without it.",
        });
    }
    let failures = since.failures_in_a_row();
    if failures >= settings.failures_in_a_row {
        let newest = since.errors(1);
        let newest = newest.first().map_or("", |error| &error.text);
        return Some(Trouble {
            what: "one call after the other fails",
            evidence: format!("{failures} in a row, the last one: {newest}"),
            advice: "Look at what the errors have in common before you call the next tool.",
        });
    }
    let files = since.activity().files;
    if plans(phase) && files >= settings.writes_out_of_scope {
        return Some(Trouble {
            what: "files are changed in a phase that only plans",
            evidence: format!("{files} changes in the phase {phase}"),
            advice: "Change no files: what you write is put back. Your output is the document.",
        });
    }
    let spent = since.spend_without_progress().usd();
    if spent >= settings.spend_without_progress_usd {
        return Some(Trouble {
            what: "money is spent and nothing new comes of it",
            evidence: format!("{spent:.2} USD since anything new"),
            advice: "Finish with what you have.",
        });
    }
    None
}

/// Whether an agent has no business with the files of the work tree.
const fn plans(phase: Phase) -> bool {
    !matches!(phase, Phase::Complete)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::id::EventId;
    use crate::time::Timestamp;
    use crate::wire::event::RawEvent;

    fn event(seq: u64, kind: &str, data: Value) -> RawEvent {
        let at = Timestamp::from_micros(1_795_000_000_000_000);
        let id = EventId(uuid::Uuid::nil());
        RawEvent { seq, id, kind: kind.into(), at, phase: None, trace_id: None, data }
    }

    fn excerpt(text: &str) -> Value {
        json!({ "text": text, "bytes": text.len(), "cut": false })
    }

    fn fold(events: &[(&str, Value)]) -> Fold {
        let mut fold = Fold::default();
        for (seq, (kind, data)) in (1..).zip(events) {
            fold.take(&event(seq, kind, data.clone()));
        }
        fold
    }

    fn call(input: &str, error: bool, answer: &str) -> [(&'static str, Value); 2] {
        let call = json!({ "tool": "Bash", "tool_use_id": "t", "input": excerpt(input) });
        let result = json!({ "tool_use_id": "t", "is_error": error, "result": excerpt(answer) });
        [("agent.tool_use", call), ("agent.tool_result", result)]
    }

    fn spent(usd: f64) -> (&'static str, Value) {
        ("agent.model_call", json!({ "call_id": uuid::Uuid::nil(), "counted_usd": usd }))
    }

    fn proposed(events: &[(&str, Value)], judged: Judged) -> Option<Proposal> {
        propose(&fold(events), judged, Phase::Explore, &Settings::default())
    }

    #[test]
    fn each_rule_names_what_is_wrong_with_its_evidence() {
        let loops = [(); 5].map(|()| call("make", false, "nothing to do")).concat();
        let storm: Vec<_> = (0..8).flat_map(|n| call(&format!("x{n}"), true, "denied")).collect();
        let file = ("agent.file_edited", json!({ "path": "src/a.rs", "change": "modified" }));
        for (events, reason, evidence) in [
            (loops, "again and again", "5 times: Bash make"),
            (storm, "fails", "8 in a row, the last one: Bash: denied"),
            (vec![file], "only plans", "1 changes in the phase explore"),
            (vec![spent(0.6), spent(0.5)], "nothing new", "1.10 USD"),
        ] {
            let found = proposed(&events, Judged::default()).unwrap();
            assert_eq!(found.kind, InterventionKind::Nudge);
            assert!(found.reason.contains(reason), "{found:?}");
            assert!(found.evidence.contains(evidence), "{found:?}");
            assert!(found.message.unwrap().contains(evidence));
        }
    }

    #[test]
    fn an_agent_that_works_is_left_alone() {
        let works: Vec<_> = (0..40)
            .flat_map(|n| call(&format!("cat {n}"), n % 3 == 0, &format!("file {n}")))
            .collect();
        assert_eq!(proposed(&works, Judged::default()), None);
        let polls = [(); 4].map(|()| call("git status", false, "clean")).concat();
        assert_eq!(proposed(&polls, Judged::default()), None);
        let new = [vec![spent(0.9)], call("ls", false, "a").to_vec(), vec![spent(0.9)]].concat();
        assert_eq!(proposed(&new, Judged::default()), None, "something new came between");
        let ignored = json!({ "path": "target/x", "change": "created", "unshown": "ignored" });
        assert_eq!(proposed(&[("agent.file_edited", ignored)], Judged::default()), None);
    }

    #[test]
    fn it_waits_for_the_outcome_and_then_goes_one_step_further_but_never_stops_a_run() {
        let loops = [(); 5].map(|()| call("make", false, "nothing to do")).concat();
        let kind = |in_vain, waiting| {
            proposed(&loops, Judged { in_vain, waiting }).map(|proposal| proposal.kind)
        };
        assert_eq!(kind(1, true), None);
        assert_eq!(kind(1, false), Some(InterventionKind::Interrupt));
        assert_eq!(kind(2, false), Some(InterventionKind::Park));
        assert_eq!(kind(9, false), Some(InterventionKind::Park));
    }
}
