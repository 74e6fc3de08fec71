//! Finds sandboxes that are gone without a report, has what they left delivered, and ends them.
//!
//! Two facts prove it: the worker's process is gone (where it can be seen from here), or the lease
//! ran out while a control API was there to renew it. A worker whose process is seen alive is
//! never called lost for its silence alone: it may be a laptop that slept.

use specwright_shared::outcome::Outcome;

use crate::app::App;
use crate::sandboxes::{Life, salvage};
use crate::store::sandbox::Sandbox;
use crate::store::{self, StoreError};

/// Looks once.
pub(super) async fn round(app: &App) -> Result<u64, StoreError> {
    let mut session = app.store.read().await?;
    let sandboxes = store::sandbox::list::not_ended(&mut session).await?;
    drop(session);
    // Side by side: one whose facts are delivered must not keep the others waiting.
    let looks = sandboxes.into_iter().map(async |sandbox| end_if_gone(app, &sandbox).await);
    let looks: Vec<_> = looks.collect();
    let mut ended = 0;
    for looked in futures_util::future::join_all(looks).await {
        ended += u64::from(looked?);
    }
    Ok(ended)
}

/// Ends a sandbox when it is proven to be gone: by its own report if that was left in its place, else
/// as lost. Says whether it was lost.
pub(crate) async fn end_if_gone(app: &App, sandbox: &Sandbox) -> Result<bool, StoreError> {
    if salvage::is_under_way(app, sandbox) {
        return Ok(false);
    }
    let lease_ran_out = app.has_run_out(sandbox.lease_expires_at);
    let why = match app.provider.life(sandbox.id, sandbox.place.as_ref()) {
        Life::Alive => return Ok(false),
        Life::Gone(why) => format!("{why}, without a report"),
        Life::Unknown if lease_ran_out => {
            format!("nothing was heard of the sandbox for {} seconds", app.lease.as_secs())
        }
        Life::Unknown => return Ok(false),
    };
    // A worker that is gone may have left its agent, when nobody was there to see it end.
    app.provider.end(app, sandbox.id, sandbox.place.as_ref()).await;
    salvage::then_end(app, sandbox.id, Outcome::Lost, &why).await
}
