//! `POST /specs/{id}/breaker/reset`: what the spec has used so far no longer counts against its caps.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SpecId;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::SpecView;

use crate::app::App;
use crate::extract::PathId;
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why nothing was reset.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResetError {
    #[error("there is no spec {0}")]
    NotFound(SpecId),
    #[error("the reset could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for ResetError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(ResetError);

/// Resets it.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SpecId>,
) -> Result<Json<SpecView>, ResetError> {
    let now = app.now();
    let mut write = app.store.write().await?;
    let spec = store::spec::lock(&mut write, id).await?.ok_or(ResetError::NotFound(id))?;
    store::start::reset_counts(&mut write, id, now).await?;
    write.commit().await?;
    Ok(Json(spec.into()))
}
