//! `GET` and `PUT /projects/{id}/guardian`: how much guardians may do in a project, and whether the
//! built-in one watches. What it does not name is the control API's own.

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use specwright_shared::guardian::{Settings, SettingsError};
use specwright_shared::id::ProjectId;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::RunOptions;

use crate::app::App;
use crate::extract::{Body, PathId};
use crate::intervene::settings_of;
use crate::problem::{Refusal, impl_answer};
use crate::reconcile::Duty;
use crate::store::{self, StoreError};

/// Why they are not taken, or not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuardianError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("the settings could not be read or stored")]
    Store(#[from] StoreError),
}

impl Refusal for GuardianError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Settings(_) => ProblemType::InvalidRequest,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(GuardianError);

/// Tells what holds for the project.
pub(crate) async fn get_handler(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
) -> Result<Json<Settings>, GuardianError> {
    let mut session = app.store.read().await?;
    Ok(Json(settings_of(&app, &mut session, id, &RunOptions::default()).await?))
}

/// Takes what the project has of its own, in the place of all that it had.
pub(crate) async fn put_handler(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    Body(own): Body<Value>,
) -> Result<Json<Settings>, GuardianError> {
    let settings = app.guardian.with(&own)?;
    let mut write = app.store.write().await?;
    store::intervention::set_settings(&mut write, id, &own).await?;
    write.commit().await?;
    app.duties.nudge(Duty::Guardian);
    Ok(Json(settings))
}
