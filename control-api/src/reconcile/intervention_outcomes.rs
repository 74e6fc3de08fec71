//! Interventions whose observation is over get their outcome: what the agent did in the time before,
//! beside what it did since.
//!
//! What holds: before and after are told apart by the sandbox's own numbers, not by two clocks; an
//! outcome and its event are one transaction, and neither is written twice.

use specwright_shared::guardian::{Ended, assess};
use specwright_shared::outcome::Outcome;
use specwright_shared::time::Timestamp;
use specwright_shared::trajectory::Fold;
use specwright_shared::wire::event::{Decoded, Event, OutcomeSeen, RawEvent};
use specwright_shared::wire::intervention::Assessment;

use super::tally::Tally;
use crate::app::App;
use crate::run::Run;
use crate::store::intervention::Stored;
use crate::store::{self, Session, StoreError};

/// How many events of the time before are looked at, at most.
const BEFORE: u64 = 1000;

/// Looks once.
pub(super) async fn round(app: &App) -> Result<u64, StoreError> {
    let now = app.now();
    let mut session = app.store.read().await?;
    let due = store::intervention::to_judge(&mut session, now).await?;
    drop(session);
    let mut tally = Tally::default();
    for intervention in due {
        tally.add(intervention.view.sandbox_id, judge(app, &intervention, now).await);
    }
    tally.end()
}

async fn judge(app: &App, intervention: &Stored, now: Timestamp) -> Result<bool, StoreError> {
    let mut session = app.store.read().await?;
    let assessment = assessment(&mut session, intervention).await?;
    drop(session);
    let view = &intervention.view;
    let mut write = app.store.write().await?;
    let Some(mut run) = Run::lock(&mut write, view.sandbox_id, now).await? else {
        return Ok(false);
    };
    if !store::intervention::judged(&mut write, view.id, &assessment).await? {
        return Ok(false);
    }
    let event = Event::OutcomeSeen(OutcomeSeen {
        intervention_id: view.id,
        sandbox_id: view.sandbox_id,
        kind: view.kind,
        assessment,
    });
    run.record_own(&event, Some(view.phase));
    run.save(&mut write).await?;
    write.commit().await?;
    Ok(true)
}

async fn assessment(
    session: &mut Session,
    intervention: &Stored,
) -> Result<Assessment, StoreError> {
    let view = &intervention.view;
    // As long before as it was observed since.
    let observed = view.judged_by.since(view.at).as_micros();
    let from = view.at.as_micros().saturating_sub(i64::try_from(observed).unwrap_or(i64::MAX));
    let from = Timestamp::from_micros(from);
    let behind = intervention.seq.saturating_sub(BEFORE);
    let events = store::event::recent::behind(session, view.sandbox_id, behind, Some(from)).await?;
    let mut fold = Fold::default();
    let after = events.partition_point(|event| event.seq <= intervention.seq);
    events[..after].iter().for_each(|event| fold.take(event));
    let before = fold.activity();
    events[after..].iter().for_each(|event| fold.take(event));
    let ended = store::sandbox::find(session, view.sandbox_id)
        .await?
        .and_then(|sandbox| sandbox.outcome)
        .map(|outcome| ended(outcome, &events[after..]));
    let since = fold.activity().since(&before);
    Ok(assess(view.kind, view.message.as_ref(), before, since, ended))
}

/// How a run ended, by what it said of it.
fn ended(outcome: Outcome, events: &[RawEvent]) -> Ended {
    let mut known = events.iter().rev().filter_map(|event| match event.decode() {
        Ok(Decoded::Known(event)) => Some(*event),
        _ => None,
    });
    let report = known.find_map(|event| match event {
        Event::ExecutionFailed(_) => Some(None),
        Event::ExecutionCompleted(report) => Some(report.paused_after),
        _ => None,
    });
    Ended { outcome, reported: report.is_some(), paused: report.flatten().is_some() }
}
