//! `GET /specs/{id}`

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SpecId;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::SpecView;

use crate::app::App;
use crate::extract::PathId;
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShowError {
    #[error("there is no spec {0}")]
    NotFound(SpecId),
    #[error("the spec could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for ShowError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(ShowError);

/// Shows it.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<SpecId>,
) -> Result<Json<SpecView>, ShowError> {
    let mut session = app.store.read().await?;
    let spec = store::spec::find(&mut session, id).await?.ok_or(ShowError::NotFound(id))?;
    Ok(Json(spec.into()))
}
