//! Finds sandboxes that are gone without a report, and ends them as `lost`.
//!
//! Two facts prove it: the worker's process is gone (where it can be seen from here), or the lease
//! ran out while this control API was there to renew it. A worker whose process is seen alive is
//! never called lost for its silence alone: it may be a laptop that slept.

use std::time::Duration;

use specwright_shared::outcome::Outcome;

use crate::app::App;
use crate::problem::chain;
use crate::sandboxes::{Life, lost};
use crate::store::sandbox::Sandbox;
use crate::store::{self, StoreError};

/// How often to look: a person who watches should not wonder for long.
const EVERY: Duration = Duration::from_secs(2);

/// Looks every two seconds until shutdown.
pub(super) async fn run(app: App) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = app.shutdown.cancelled() => return,
        }
        look(&app).await;
    }
}

/// Looks once.
pub(super) async fn look(app: &App) {
    if let Err(error) = round(app).await {
        tracing::error!(error = chain(&error), "sandboxes could not be looked after");
    }
}

async fn round(app: &App) -> Result<(), StoreError> {
    let mut session = app.store.read().await?;
    let sandboxes = store::sandbox::not_ended(&mut session).await?;
    drop(session);
    for sandbox in sandboxes {
        end_if_gone(app, &sandbox).await?;
    }
    Ok(())
}

/// Ends a sandbox as lost when it is proven to be gone. Says whether it was.
pub(crate) async fn end_if_gone(app: &App, sandbox: &Sandbox) -> Result<bool, StoreError> {
    let lease_ran_out = app.leases_can_be_judged() && sandbox.lease_expires_at < app.now();
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
    lost::end_unreported(app, sandbox.id, Outcome::Lost, &why).await
}
