//! `GET /readyz`: the store answers, too, and its schema is one that this program can work with.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::problem::{Refusal, impl_answer};
use crate::store::StoreError;
use crate::store::schema::Standing;

/// The answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Ready {
    status: &'static str,
    /// What an operator should know all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Why it is not ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadyError {
    #[error("the store does not answer")]
    Store(#[from] StoreError),
    #[error(
        "the database's schema is behind: it lacks step {0}; start a control API of this version \
         on it, which brings it up to date"
    )]
    Behind(i64),
}

impl Refusal for ReadyError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Store(_) => ProblemType::Internal,
            Self::Behind(_) => ProblemType::Unavailable,
        }
    }
}
impl_answer!(ReadyError);

/// Asks the store. A schema that is ahead is said and no reason to leave: while replicas are changed
/// one by one, the first new one brings it there, and the others have to serve on.
pub(crate) async fn handler(State(app): State<App>) -> Result<Json<Ready>, ReadyError> {
    let note = match app.store.standing().await? {
        Standing::Equal => None,
        Standing::Behind(step) => return Err(ReadyError::Behind(step)),
        Standing::Ahead(step) => Some(format!(
            "the database's schema is ahead: it has step {step}, which this version does not know; \
             it goes on, and would not start again"
        )),
    };
    Ok(Json(Ready { status: "ready", note }))
}
