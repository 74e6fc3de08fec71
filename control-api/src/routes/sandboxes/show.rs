//! `GET /sandboxes/{id}`: with a verdict about its liveness, judged now from what it last said, and
//! the earlier ones.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SandboxId;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::SandboxView;

use super::view;
use crate::app::App;
use crate::extract::PathId;
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// How many earlier verdicts are shown with it.
const VERDICTS_SHOWN: i64 = 50;

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
    PathId(id): PathId<SandboxId>,
) -> Result<Json<SandboxView>, ShowError> {
    let mut session = app.store.read().await?;
    let sandbox = store::sandbox::find(&mut session, id).await?.ok_or(ShowError::NotFound(id))?;
    let view = view::of(&app, &mut session, sandbox).await?;
    let verdicts = store::liveness::history(&mut session, id, VERDICTS_SHOWN).await?;
    Ok(Json(SandboxView { verdicts, ..view }))
}
