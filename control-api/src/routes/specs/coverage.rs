//! `GET /specs/{id}/coverage`: the accepted output of `sync`.

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use specwright_shared::id::SpecId;
use specwright_shared::phase::Phase;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::extract::PathId;
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CoverageError {
    #[error("there is no spec {0}")]
    NotFound(SpecId),
    #[error("the spec {0} has no coverage yet; it is computed in the phase `sync`")]
    NotYet(SpecId),
    #[error("the spec could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for CoverageError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) | Self::NotYet(_) => ProblemType::NotFound,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(CoverageError);

/// Shows it.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SpecId>,
) -> Result<Json<Value>, CoverageError> {
    let mut session = app.store.read().await?;
    store::spec::find(&mut session, id).await?.ok_or(CoverageError::NotFound(id))?;
    let phases = store::phase::list(&mut session, id).await?;
    phases
        .into_iter()
        .find(|record| record.phase == Phase::Sync)
        .and_then(|record| record.output)
        .map(Json)
        .ok_or(CoverageError::NotYet(id))
}
