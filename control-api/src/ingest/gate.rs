//! An accepted output, checked again: the worker's word is not taken for it.
//!
//! The same functions judged it in the worker; here they judge it against the outputs that this
//! store holds. Only which files the repository has is not known here, so the worker's score stands
//! where it is lower.

use specwright_shared::documents::{Accepted, DOCUMENT_MAX_BYTES, Document};
use specwright_shared::gate::{Verdict, judge};
use specwright_shared::phase::{Phase, PhaseStatus};
use specwright_shared::redact::Redactor;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::{Decoded, Event, PhaseCompleted, RawEvent};
use specwright_shared::wire::spec::Coverage;

use super::{Fault, Refusal};
use crate::run::Run;
use crate::store::plan::{self, Plan};
use crate::store::{self, Write};

/// How many findings a refusal quotes: enough to act on, in a sentence that stays readable.
const FINDINGS_QUOTED: usize = 5;

/// Takes secrets out of an event. An output's digest is the worker's, over what it has: it is judged
/// over that, and what is kept gets a digest of its own. From there on the kept output is *the*
/// output: it is what the gate judges, and what later digests are compared with.
pub(super) fn redact(redactor: &Redactor, event: &mut RawEvent) -> Result<(), Fault> {
    // Read only where there can be one: this is done for every event.
    let claimed = event.data.get("output").and_then(|_| claimed(event));
    redactor.value(&mut event.data);
    let Some((phase, claimed)) = claimed else { return Ok(()) };
    if event.data.get("output") == claimed.output.as_ref() {
        return Ok(());
    }
    let digest = read(phase, &claimed)?.digest();
    check_digest(&claimed, &digest)?;
    if let Some(kept) = event.data.get("output") {
        // An output that is none without its secret (a name that must be spelt so) is refused.
        let kept = Document::parse(phase, kept).map_err(|why| Fault::Gate(why.to_string()))?;
        event.data["digest"] = kept.digest().into();
    }
    Ok(())
}

/// The output that an event claims. What does not decode is refused after this, in words that quote
/// nothing unredacted.
fn claimed(event: &RawEvent) -> Option<(Phase, PhaseCompleted)> {
    let Ok(Decoded::Known(body)) = event.decode() else { return None };
    match *body {
        Event::PhaseCompleted(body) if body.output.is_some() => Some((event.phase?, body)),
        _ => None,
    }
}

fn check_digest(body: &PhaseCompleted, digest: &str) -> Result<(), Fault> {
    if body.digest.as_deref() == Some(digest) {
        return Ok(());
    }
    let theirs = body.digest.as_deref().unwrap_or("absent");
    Err(Fault::Gate(format!("the digest is {digest}, not {theirs}")))
}

/// Accepts a phase's output, or refuses it with the findings.
pub(super) async fn phase_completed(
    write: &mut Write,
    run: &mut Run,
    phase: Phase,
    body: PhaseCompleted,
    cost_micro_usd: i64,
) -> Result<(), Refusal> {
    let phases: Vec<_> = run.phases.values().cloned().collect();
    let mut accepted = store::phase::accepted(&phases)?;
    if phase > accepted.first_missing() {
        return Err(Fault::Gate(format!(
            "`{phase}` cannot be accepted before `{}`",
            accepted.first_missing()
        ))
        .into());
    }
    let known = run.phases.get(&phase).and_then(|record| record.digest.clone());
    let (document, digest) = match phase {
        Phase::Complete => {
            if body.output.is_some() {
                return Err(Fault::Invalid("`complete` has no output; send none".to_owned()).into());
            }
            (None, None)
        }
        _ => {
            let document = read(phase, &body)?;
            let digest = document.digest();
            check_digest(&body, &digest)?;
            if known.is_some_and(|known| known != digest) {
                return Err(Fault::Gate(format!(
                    "`{phase}` has another accepted output; execute the spec from there to set it \
                     aside"
                ))
                .into());
            }
            (Some(document), Some(digest))
        }
    };

    let mut score = body.score;
    if let Some(document) = &document {
        // Judged against what came before it, also when it is reported a second time.
        let mut earlier = accepted.clone();
        earlier.forget_from(phase);
        let verdict = judge(document, &earlier, None);
        if !verdict.passes() {
            return Err(Fault::Gate(in_words(&verdict)).into());
        }
        score = score.min(verdict.score);
        accepted.insert(document.clone());
    }
    let was_accepted = run.status(phase) == PhaseStatus::Accepted;
    if !was_accepted {
        let record = run.phase(phase);
        record.status = PhaseStatus::Accepted;
        record.attempts = body.attempt;
        record.score = Some(score.clamp(0.0, 1.0));
        record.duration_ms = body.duration_ms;
        record.cost_micro_usd = cost_micro_usd;
        record.digest = digest;
        record.output = document.as_ref().map(Document::to_value);
        record.findings = body.findings;
        run.spec.current_phase = phase.next().unwrap_or(Phase::Complete);
    }
    if phase == Phase::Sync {
        synchronise(write, run, &accepted).await?;
    }
    Ok(())
}

fn read(phase: Phase, body: &PhaseCompleted) -> Result<Document, Fault> {
    let Some(output) = &body.output else {
        return Err(Fault::Invalid(format!("`{phase}` is completed by an `output`")));
    };
    let bytes = output.to_string().len();
    if bytes > DOCUMENT_MAX_BYTES {
        return Err(Fault::Gate(format!(
            "the output has {bytes} bytes; at most {DOCUMENT_MAX_BYTES} are taken"
        )));
    }
    Document::parse(phase, output).map_err(|finding| Fault::Gate(finding.to_string()))
}

/// What the gate says, worst first, in one sentence after another.
fn in_words(verdict: &Verdict) -> String {
    let quoted: Vec<String> =
        verdict.findings.iter().take(FINDINGS_QUOTED).map(ToString::to_string).collect();
    let more = verdict.findings.len() - quoted.len();
    let mut why = format!("score {:.2}: {}", verdict.score, quoted.join(" · "));
    if more > 0 {
        why.push_str(&format!(" · and {more} more"));
    }
    why
}

/// Makes the tickets of an accepted `sync`, and says so as an event.
async fn synchronise(write: &mut Write, run: &mut Run, accepted: &Accepted) -> Result<(), Refusal> {
    let (Some(requirements), Some(tasks), Some(sync)) =
        (&accepted.requirements, &accepted.tasks, &accepted.sync)
    else {
        return Err(Fault::Gate(
            "`sync` needs the accepted outputs of `requirements` and `tasks`".to_owned(),
        )
        .into());
    };
    run.spec.coverage =
        Some(Coverage { requirements: sync.totals.requirements, covered: sync.totals.covered });
    let plan = Plan { requirements, tasks, sync };
    let now: Timestamp = run.now();
    let made = plan::materialise(write, &run.spec, plan, now).await?;
    run.record_own(&Event::TicketsCreated(made), Some(Phase::Sync));
    Ok(())
}
