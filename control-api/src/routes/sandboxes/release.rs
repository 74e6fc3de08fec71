//! `POST /sandboxes/{id}/release`: nobody holds the sandbox any more; what its verdict asks for is
//! done with the next look.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SandboxId;
use specwright_shared::wire::sandbox::SandboxView;

use super::hold::{HoldError, set};
use crate::app::App;
use crate::extract::PathId;
use crate::reconcile::Duty;

/// Lets it go.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
) -> Result<Json<SandboxView>, HoldError> {
    let released = set(&app, id, None).await?;
    app.duties.nudge(Duty::Liveness);
    Ok(released)
}
