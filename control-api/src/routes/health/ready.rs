//! `GET /readyz`: the store answers, too.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::problem::{Refusal, impl_answer};
use crate::store::StoreError;

/// The answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Ready {
    status: &'static str,
}

/// Why it is not ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadyError {
    #[error("the store does not answer")]
    Store(#[from] StoreError),
}

impl Refusal for ReadyError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(ReadyError);

/// Asks the store.
pub(crate) async fn handler(State(app): State<App>) -> Result<Json<Ready>, ReadyError> {
    app.store.answers().await?;
    Ok(Json(Ready { status: "ready" }))
}
