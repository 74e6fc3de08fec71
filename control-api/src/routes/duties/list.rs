//! `GET /duties`: who does which background duty, when it was done, what it did, what failed.

use axum::Json;
use axum::extract::State;
use specwright_shared::wire::duty::DutyView;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the duties could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for ListError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(ListError);

/// Lists them.
pub(crate) async fn handler(State(app): State<App>) -> Result<Json<Vec<DutyView>>, ListError> {
    let mut session = app.store.read().await?;
    Ok(Json(store::duty::list(&mut session).await?))
}
