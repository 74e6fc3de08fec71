//! Ending a run that can no longer report for itself: its sandbox, its spec, and an event that says
//! so in the place of the report that never came.

use specwright_shared::id::SandboxId;
use specwright_shared::outcome::Outcome;

use super::restart::{self, Restart};
use crate::app::App;
use crate::reconcile;
use crate::run::Run;
use crate::store::StoreError;

/// Ends a run from outside; or only its sandbox, where another one is to go on. `false`: it had ended already, and nothing changed.
pub(crate) async fn end_unreported(
    app: &App,
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
    // A person's end is what the person says.
    let (outcome, message) = &match outcome {
        Outcome::Lost => run.as_intended(&mut write, outcome, message).await?,
        _ => (outcome, message.to_owned()),
    };
    let (outcome, mut message) = (*outcome, message.clone());
    let restart = restart::wanted(app, &mut write, &run, outcome).await?;
    if let Restart::Refused(why) = &restart {
        message = format!("{message}; it is not started again: {why}");
    }
    let message = message.as_str();
    if let Restart::In(next, restart) = restart {
        if !run.restart(&mut write, (outcome, message), &next, restart).await? {
            return Ok(false);
        }
        run.save(&mut write).await?;
        write.commit().await?;
        // At once; when we end before it is made, the duty does it.
        app.tasks.spawn(reconcile::make_place(app.clone(), next.id));
        tracing::warn!(%sandbox, spec = %run.spec.id, %outcome, message, "a run is started again");
        return Ok(true);
    }
    if !run.end_unreported(&mut write, outcome, message).await? {
        return Ok(false);
    }
    run.save(&mut write).await?;
    write.commit().await?;
    tracing::warn!(%sandbox, spec = %run.spec.id, %outcome, message, "a run was ended from outside");
    Ok(true)
}
