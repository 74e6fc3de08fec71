//! `POST /specs/{id}/pause`: the run ends after the phase at work, and the spec is a draft that can
//! be resumed. What is at work is not disturbed; a pause is not taken back.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use specwright_shared::id::SpecId;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::SpecView;

use crate::app::App;
use crate::extract::PathId;
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why nothing will pause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PauseError {
    #[error("there is no spec {0}")]
    NotFound(SpecId),
    #[error("the spec is `{0}`; only one that is being executed can pause")]
    NotExecuting(specwright_shared::phase::SpecStatus),
    #[error("the pause could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for PauseError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::NotExecuting(_) => ProblemType::IllegalTransition,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(PauseError);

/// Asks. 202: the worker is told, and ends when its phase does.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SpecId>,
) -> Result<(StatusCode, Json<SpecView>), PauseError> {
    let mut write = app.store.write().await?;
    let spec = store::spec::lock(&mut write, id).await?.ok_or(PauseError::NotFound(id))?;
    let sandbox = spec.sandbox_id.ok_or(PauseError::NotExecuting(spec.status))?;
    store::sandbox::request_pause(&mut write, sandbox).await?;
    write.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(spec.into())))
}
