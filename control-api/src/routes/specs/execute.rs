//! `POST /specs/{id}/execute`: runs a spec, or goes on with it. Starts at the first phase without an
//! accepted output, or at `from`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use specwright_shared::id::SpecId;
use specwright_shared::phase::SandboxState;
use specwright_shared::wire::spec::{Launched, RunOptions};

use crate::app::App;
use crate::auth::Person;
use crate::execution::{self, ExecuteError};
use crate::extract::{Body, PathId};
use crate::reconcile;
use crate::sandboxes::salvage;
use crate::store::{self, StoreError};
use crate::trace::Trace;
use crate::wake::Find;

/// How long the delivery of what a lost place had left is waited for: it takes a fraction of a second.
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// Whether nothing is being delivered from the place of a lost sandbox.
struct Settled(bool);

impl Find for Settled {
    fn is_found(&self) -> bool {
        self.0
    }
}

/// Executes.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Trace(trace): Trace,
    PathId(id): PathId<SpecId>,
    Body(options): Body<RunOptions>,
) -> Result<(StatusCode, Json<Launched>), ExecuteError> {
    execution::within_reach(&person, &options)?;
    end_dead_sandbox(&app, id).await?;
    let mut write = app.store.write().await?;
    let spec = store::spec::lock(&mut write, id).await?.ok_or(ExecuteError::NotFound(id))?;
    let requested = execution::request(&app, &mut write, spec, options, trace).await?;
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
    // Somebody else may be delivering what its place had left; the run goes on from there.
    let settled = async || {
        let mut session = app.store.read().await?;
        let found = store::sandbox::find(&mut session, sandbox.id).await?;
        let delivered = found.is_none_or(|found| {
            let at_work = found.salvages > 0 || salvage::is_under_way(app, &found);
            found.state == SandboxState::Ended || !at_work
        });
        Ok::<_, StoreError>(Settled(delivered))
    };
    app.wakes.until_found(sandbox.id.0, SETTLE_MAX, &app.shutdown, settled).await?;
    Ok(())
}
