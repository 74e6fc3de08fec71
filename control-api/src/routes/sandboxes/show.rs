//! `GET /sandboxes/{id}`

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SandboxId;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::SandboxView;

use crate::app::App;
use crate::auth::Owner;
use crate::extract::PathId;
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShowError {
    #[error("there is no sandbox {0}")]
    NotFound(SandboxId),
    #[error("the sandbox could not be read")]
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
    Owner(_): Owner,
    PathId(id): PathId<SandboxId>,
) -> Result<Json<SandboxView>, ShowError> {
    let mut session = app.store.read().await?;
    let sandbox = store::sandbox::find(&mut session, id).await?.ok_or(ShowError::NotFound(id))?;
    Ok(Json(sandbox.into()))
}
