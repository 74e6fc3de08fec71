//! `GET` and `PUT /projects/{id}/liveness`: the limits and steps of the idle monitor for a project.
//! What it does not name is the control API's own.

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use specwright_shared::id::ProjectId;
use specwright_shared::liveness::{Settings, SettingsError};
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::extract::{Body, PathId};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why they are not taken, or not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LivenessError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("the settings could not be read or stored")]
    Store(#[from] StoreError),
}

impl Refusal for LivenessError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Settings(_) => ProblemType::InvalidRequest,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(LivenessError);

/// Tells what holds for the project.
pub(crate) async fn get_handler(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
) -> Result<Json<Settings>, LivenessError> {
    let mut session = app.store.read().await?;
    Ok(Json(app.settings_of(&mut session, id).await?))
}

/// Takes what the project has of its own, in the place of all that it had.
pub(crate) async fn put_handler(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    Body(own): Body<Value>,
) -> Result<Json<Settings>, LivenessError> {
    let settings = app.liveness.with(&own)?;
    let mut write = app.store.write().await?;
    store::liveness::set_settings(&mut write, id, &own).await?;
    write.commit().await?;
    Ok(Json(settings))
}
