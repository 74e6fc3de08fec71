//! `POST /specs/{id}/execute`: runs a spec, or goes on with it. Starts at the first phase without an
//! accepted output, or at `from`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use specwright_shared::id::SpecId;
use specwright_shared::wire::spec::{Launched, RunOptions};

use crate::app::App;
use crate::auth::Owner;
use crate::execution::{self, ExecuteError};
use crate::extract::{Body, PathId};
use crate::reconcile;
use crate::store::{self, StoreError};

/// Executes.
pub(crate) async fn handler(
    State(app): State<App>,
    Owner(owner): Owner,
    PathId(id): PathId<SpecId>,
    Body(options): Body<RunOptions>,
) -> Result<(StatusCode, Json<Launched>), ExecuteError> {
    end_dead_sandbox(&app, id).await?;
    let mut write = app.store.write().await?;
    let spec = store::spec::lock(&mut write, id)
        .await?
        .filter(|spec| spec.owner == owner)
        .ok_or(ExecuteError::NotFound(id))?;
    let requested = execution::request(&app, &mut write, spec, options).await?;
    write.commit().await?;
    let launched = execution::start(&app, requested).await?;
    Ok((StatusCode::ACCEPTED, Json(launched)))
}

/// After a crash of everything the spec still counts as executing. Who resumes it should not have to
/// wait until the reconciler has looked.
async fn end_dead_sandbox(app: &App, id: SpecId) -> Result<(), StoreError> {
    let mut session = app.store.read().await?;
    let Some(spec) = store::spec::find(&mut session, id).await? else { return Ok(()) };
    let Some(sandbox) = spec.sandbox_id else { return Ok(()) };
    let Some(sandbox) = store::sandbox::find(&mut session, sandbox).await? else { return Ok(()) };
    drop(session);
    reconcile::end_if_gone(app, &sandbox).await?;
    Ok(())
}
