//! Places that nobody knows, found by their labels: the provider's list against the table.
//!
//! What holds: only places of this deployment are looked at; one whose sandbox is not ended is left
//! alone. One without a row (the database was put back to an earlier state) is ended when it is older
//! than `finished_s`, one whose run is over when it is still there so long after. The other direction, rows whose
//! place is gone, is [`super::gone_sandboxes`].

use std::time::Duration;

use crate::app::App;
use crate::store::{self, StoreError};

/// Looks once.
pub(super) async fn round(app: &App) -> Result<u64, StoreError> {
    let now = app.now();
    let grace = Duration::from_secs(app.liveness.finished_s);
    let mut ended = 0;
    for place in app.provider.list() {
        let mut session = app.store.read().await?;
        let sandbox = store::sandbox::find(&mut session, place.sandbox).await?;
        let why = match sandbox {
            None if place.age >= grace => "no sandbox of that name is known",
            Some(sandbox) => {
                let Some(ended_at) = sandbox.ended_at else { continue };
                let Some(spec) = store::spec::find(&mut session, sandbox.spec_id).await? else {
                    continue;
                };
                let settings = app.settings_of(&mut session, spec.project_id).await?;
                if now.since(ended_at) < Duration::from_secs(settings.finished_s) {
                    continue;
                }
                "its run is over"
            }
            None => continue,
        };
        drop(session);
        app.provider.end_listed(app, place.sandbox).await;
        tracing::warn!(sandbox = %place.sandbox, why, "an orphaned place was ended");
        ended += 1;
    }
    Ok(ended)
}
