//! A run in a few thousand words: what a supervising model needs, in bounded size.
//!
//! What holds: the same facts give the same bytes; nothing in it depends on the moment at which it is
//! asked for. What is settled stands before what changes, and the text of a step does not change when
//! newer steps arrive, but for the newest one (a call that is made again at once is counted there,
//! under the number of its last event). Steps leave at the old end in whole blocks of numbers, so that
//! the beginning stays the same for as long as possible. Whatever is reported, it has at most
//! [`MAX_BYTES`] as JSON.
//!
//! Deliberately absent: thoughts and whole answers. They are in the events.

mod fit;
mod fold;
mod words;

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::guardian::Activity;
use crate::id::{SandboxId, SpecId};
use crate::outcome::Outcome;
use crate::phase::{Phase, PhaseStatus, SandboxState};
use crate::price::Tokens;
use crate::time::Timestamp;
use crate::wire::event::RawEvent;
use crate::wire::intervention::{InterventionKind, InterventionOutcome, InterventionView};
use crate::wire::message::MessageStatus;
use crate::wire::watch::Judged;

pub use fold::Fold;

use fit::{cost, fit};

/// The most bytes of a trajectory as JSON: some eight thousand tokens, which a supervising model can
/// be given every minute.
pub const MAX_BYTES: usize = 32 * 1024;
/// What of that is for steps.
const STEPS_MAX_BYTES: usize = 18 * 1024;
/// Steps leave in blocks of so many event numbers. A block of the longest steps fits
/// [`STEPS_MAX_BYTES`].
const BLOCK: u64 = 64;
/// The most bytes of the goal.
const GOAL_BYTES: usize = 2000;
/// The most bytes of other texts.
const LINE_BYTES: usize = 180;
/// The most lines of each short list.
const LIST: usize = 6;
/// The most interventions, the newest.
const INTERVENTIONS: usize = 8;
/// From so often on a call counts as repeated: twice is looking again.
const REPEATED: u32 = 3;

/// `GET /sandboxes/{id}/trajectory`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trajectory {
    /// Which sandbox.
    pub sandbox_id: SandboxId,
    /// The spec that it plans.
    pub spec_id: SpecId,
    /// The agent: `claude`, `rehearsal`, or a path.
    pub agent: String,
    /// The spec's title.
    pub title: String,
    /// The idea, or its beginning.
    pub goal: String,
    /// What was done, oldest first; from `begins` on, or behind the cursor that was given.
    pub steps: Vec<Step>,
    /// The cursor for `?since=`: steps behind it are new or have grown.
    pub next: String,
    /// The number of the first event that the steps, lists and counts rest on.
    pub begins: u64,
    /// Steps behind the cursor are left out up to this event number: for want of room, or because they
    /// are older than what the steps rest on; `/events` has them. Absent: none are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out_to: Option<u64>,
    /// Where the run stands.
    pub state: SandboxState,
    /// The phase at work, or the next one to do.
    pub phase: Phase,
    /// The phases that were begun, in their order.
    pub plan: Vec<PlanItem>,
    /// How the run ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Calls without an answer.
    pub open: Vec<String>,
    /// Calls that were made again and again with the same answer, the most frequent first.
    pub repeated: Vec<Counted>,
    /// The newest errors, each once, the newest first.
    pub errors: Vec<Counted>,
    /// What was done, in numbers.
    pub activity: Activity,
    /// What it cost.
    pub spend: Spend,
    /// The newest change of the verdict, or step because of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Judged>,
    /// What guardians did, oldest first; the newest of them.
    pub interventions: Vec<PastIntervention>,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The number of its (last) event.
    pub seq: u64,
    /// When, in which phase, and what, in one line.
    pub text: String,
}

/// A phase that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanItem {
    /// Which.
    pub phase: Phase,
    /// Where it stands.
    pub status: PhaseStatus,
    /// Attempts so far.
    pub attempts: u8,
    /// The score of its output, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// Something that happened several times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counted {
    /// How often.
    pub times: u32,
    /// What.
    pub text: String,
}

/// What a run costs.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Spend {
    /// So far, in US dollars.
    pub cost_usd: f64,
    /// The job's budget, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,
    /// Since anything new: an answer that was not seen before, a file, an accepted phase.
    pub without_progress_usd: f64,
    /// Tokens since `begins`.
    pub tokens: Tokens,
}

/// An intervention in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PastIntervention {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: InterventionKind,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// How far its message has come, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<MessageStatus>,
    /// What came of it; absent: not judged yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<InterventionOutcome>,
}

/// What is known of a run beside its events.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    /// The number of the last event before those that were read; 0: all were.
    pub read_behind: u64,
    /// Which sandbox.
    pub sandbox_id: SandboxId,
    /// Its spec.
    pub spec_id: SpecId,
    /// Its agent.
    pub agent: &'a str,
    /// The spec's title.
    pub title: &'a str,
    /// The spec's description.
    pub goal: &'a str,
    /// Where it stands.
    pub state: SandboxState,
    /// The phase at work.
    pub phase: Phase,
    /// The phases that were begun.
    pub plan: Vec<PlanItem>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The same in words.
    pub message: Option<&'a str>,
    /// What it has cost.
    pub cost_usd: f64,
    /// Its budget.
    pub budget_usd: Option<f64>,
    /// The newest change of its verdict.
    pub verdict: Option<Judged>,
    /// Its interventions, oldest first.
    pub interventions: &'a [InterventionView],
}

/// Puts it together: the newest events of the sandbox, in their order, and the cursor behind which
/// steps are wanted.
#[must_use]
pub fn condense(known: Known<'_>, events: &[RawEvent], since: u64) -> Trajectory {
    let mut fold = Fold::default();
    events.iter().for_each(|event| fold.take(event));
    let interventions = known.interventions;
    let newest = &interventions[interventions.len().saturating_sub(INTERVENTIONS)..];
    let (steps, shown_behind) = newest_blocks(fold.steps(), since.max(known.read_behind));
    Trajectory {
        sandbox_id: known.sandbox_id,
        spec_id: known.spec_id,
        agent: fit(known.agent, LINE_BYTES),
        title: fit(known.title, LINE_BYTES),
        goal: fit(known.goal, GOAL_BYTES),
        steps,
        next: events.last().map_or(since, |event| event.seq.max(since)).to_string(),
        begins: events.first().map_or(0, |event| event.seq),
        left_out_to: (shown_behind > since).then_some(shown_behind),
        state: known.state,
        phase: known.phase,
        plan: known.plan,
        outcome: known.outcome,
        message: known.message.map(|message| fit(message, LINE_BYTES)),
        open: fold.open(LIST),
        repeated: fold.repeated(REPEATED, LIST),
        errors: fold.errors(LIST),
        activity: fold.activity(),
        spend: Spend {
            cost_usd: known.cost_usd,
            budget_usd: known.budget_usd,
            without_progress_usd: fold.spend_without_progress().usd(),
            tokens: fold.tokens(),
        },
        verdict: known.verdict.map(shortened),
        interventions: newest.iter().map(PastIntervention::of).collect(),
    }
}

/// The steps behind a number, as many whole blocks of them as fit, and the number that they then
/// stand behind.
fn newest_blocks(steps: &[Step], since: u64) -> (Vec<Step>, u64) {
    let mut bytes = 0;
    let mut first = since;
    for step in steps.iter().rev().take_while(|step| step.seq > since) {
        bytes += cost(step);
        if bytes > STEPS_MAX_BYTES {
            // What the block holds goes as a whole.
            first = step.seq.div_ceil(BLOCK) * BLOCK;
            break;
        }
    }
    (steps.iter().filter(|step| step.seq > first).cloned().collect(), first)
}

fn shortened(judged: Judged) -> Judged {
    let mut judged = judged;
    judged.verdict.reason = fit(&judged.verdict.reason, LINE_BYTES);
    judged.verdict.evidence.truncate(LIST);
    for fact in &mut judged.verdict.evidence {
        fact.signal = fit(&fact.signal, LINE_BYTES / 4);
    }
    judged
}

impl PastIntervention {
    fn of(view: &InterventionView) -> Self {
        Self {
            at: view.at,
            kind: view.kind,
            by: fit(&view.by, LINE_BYTES / 4),
            reason: fit(&view.reason, LINE_BYTES),
            receipt: view.message.as_ref().map(|message| message.status),
            outcome: view.assessment.as_ref().map(|assessment| assessment.outcome),
        }
    }
}
