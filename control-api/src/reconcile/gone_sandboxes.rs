//! Finds sandboxes that are gone without a report, has what they left delivered, and ends them.
//!
//! Two facts prove it: the worker's process is gone (where it can be seen from here), or its place
//! cannot be seen from here, the lease ran out while a control API was there to renew it, the verdict by
//! the project's limits is lost, and nobody holds it. A worker whose process is seen alive is
//! never called lost for its silence alone: it may be a laptop that slept.

use specwright_shared::id::SandboxId;
use specwright_shared::liveness::{Verdict, VerdictKind};
use specwright_shared::outcome::Outcome;

use super::liveness;
use super::tally::Tally;
use crate::app::App;
use crate::sandboxes::{Life, salvage};
use crate::store::sandbox::Sandbox;
use crate::store::sandbox::list::Placed;
use crate::store::{self, StoreError};

/// Looks once.
pub(super) async fn round(app: &App) -> Result<u64, StoreError> {
    let mut session = app.store.ask().await?;
    let places = store::sandbox::list::places(&mut session).await?;
    drop(session);
    let may_be_gone = |placed: &Placed| match app.provider.life(placed.id, placed.place.as_ref()) {
        Life::Alive => false,
        Life::Gone(_) => true,
        Life::Unknown => app.has_run_out(placed.lease_expires_at),
    };
    // Side by side: one whose facts are delivered must not keep the others waiting.
    let looks = places
        .into_iter()
        .filter(may_be_gone)
        .map(async |placed| (placed.id, look(app, placed.id).await));
    let looks: Vec<_> = looks.collect();
    let mut tally = Tally::default();
    for (sandbox, looked) in futures_util::future::join_all(looks).await {
        tally.add(sandbox, looked);
    }
    tally.end()
}

/// Looks closer: as it is now, and with all that is known of it.
async fn look(app: &App, id: SandboxId) -> Result<bool, StoreError> {
    let mut session = app.store.ask().await?;
    let sandbox = store::sandbox::find(&mut session, id).await?;
    drop(session);
    match sandbox.filter(|sandbox| sandbox.ended_at.is_none()) {
        Some(sandbox) => end_if_gone(app, &sandbox).await,
        None => Ok(false),
    }
}

/// Ends a sandbox when it is proven to be gone: by its own report if that was left in its place, else
/// as lost. Says whether it was lost.
pub(crate) async fn end_if_gone(app: &App, sandbox: &Sandbox) -> Result<bool, StoreError> {
    if salvage::is_under_way(app, sandbox) {
        return Ok(false);
    }
    let why = match app.provider.life(sandbox.id, sandbox.place.as_ref()) {
        Life::Alive => return Ok(false),
        Life::Gone(why) => format!("{why}, without a report"),
        Life::Unknown => match lost(app, sandbox).await? {
            Some(verdict) => {
                let silence = verdict.evidence.first().map_or(0, |fact| fact.age_ms / 1000);
                format!("nothing was heard of the sandbox for {silence} seconds")
            }
            None => return Ok(false),
        },
    };
    // A worker that is gone may have left its agent, when nobody was there to see it end.
    app.provider.end(app, sandbox.id, sandbox.place.as_ref()).await;
    salvage::then_end(app, sandbox.id, Outcome::Lost, &why).await
}

/// Whether a place that cannot be seen from here is given up, and for what.
async fn lost(app: &App, sandbox: &Sandbox) -> Result<Option<Verdict>, StoreError> {
    if !app.has_run_out(sandbox.lease_expires_at) {
        return Ok(None);
    }
    let now = app.now();
    let mut session = app.store.read().await?;
    let Some(spec) = store::spec::find(&mut session, sandbox.spec_id).await? else {
        return Ok(None);
    };
    let settings = app.settings_of(&mut session, spec.project_id).await?;
    let watched = store::liveness::find(&mut session, sandbox.id).await?;
    if watched.and_then(|watched| watched.hold).is_some_and(|hold| hold.until > now) {
        return Ok(None);
    }
    let verdict = liveness::verdict(app, sandbox, &settings, now);
    Ok((verdict.kind == VerdictKind::Lost).then_some(verdict))
}
