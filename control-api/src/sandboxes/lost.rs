//! Ending a run that can no longer report for itself: its sandbox, its spec, and an event that says
//! so in the place of the report that never came.

use specwright_shared::id::SandboxId;
use specwright_shared::outcome::Outcome;

use crate::app::Api;
use crate::run::Run;
use crate::store::StoreError;

/// Ends a run from outside. `false`: it had ended already, and nothing changed.
pub(crate) async fn end_unreported(
    app: &Api,
    sandbox: SandboxId,
    outcome: Outcome,
    message: &str,
) -> Result<bool, StoreError> {
    // It may quote the end of a log.
    let message = &*app.redactor.text(message);
    let mut write = app.store.write().await?;
    let Some(mut run) = Run::lock(&mut write, sandbox, app.now()).await? else {
        return Ok(false);
    };
    if !run.end_unreported(&mut write, outcome, message).await? {
        return Ok(false);
    }
    run.save(&mut write).await?;
    write.commit().await?;
    app.wakes.wake(run.spec.id.0);
    app.wakes.wake(sandbox.0);
    tracing::warn!(%sandbox, spec = %run.spec.id, %outcome, message, "a run was ended from outside");
    Ok(true)
}
