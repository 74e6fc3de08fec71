//! `DELETE /tokens/{id}`: it opens nothing from the next request on. Revoking again changes nothing.

use axum::extract::State;
use http::StatusCode;
use specwright_shared::id::TokenId;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::extract::PathId;
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why it was not revoked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevokeError {
    #[error("the revocation could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for RevokeError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(RevokeError);

/// Revokes.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<TokenId>,
) -> Result<StatusCode, RevokeError> {
    let mut write = app.store.write().await?;
    store::token::revoke(&mut write, id, app.now()).await?;
    write.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
