//! `POST /users/{id}/disable` and `…/enable`: whether a user's tokens open anything. What the user
//! made stays.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::UserId;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::access::UserView;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::extract::PathId;
use crate::problem::{Refusal, impl_answer};
use crate::store::user::{OWNER, OWNER_ID};
use crate::store::{self, StoreError};

/// Why nothing changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DisableError {
    #[error("there is no user {0}")]
    NotFound(UserId),
    #[error("`{OWNER}` cannot be disabled: its token is in a file of this machine; change that")]
    Owner,
    #[error("the user could not be stored")]
    Store(#[from] StoreError),
}

impl Refusal for DisableError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Owner => ProblemType::InvalidRequest,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(DisableError);

/// Disables.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<UserId>,
) -> Result<Json<UserView>, DisableError> {
    if id == OWNER_ID {
        return Err(DisableError::Owner);
    }
    let now = app.now();
    set(&app, id, Some(now)).await
}

/// Enables again.
pub(crate) async fn enable_handler(
    State(app): State<App>,
    PathId(id): PathId<UserId>,
) -> Result<Json<UserView>, DisableError> {
    set(&app, id, None).await
}

async fn set(
    app: &App,
    id: UserId,
    since: Option<Timestamp>,
) -> Result<Json<UserView>, DisableError> {
    let mut write = app.store.write().await?;
    store::user::set_disabled(&mut write, id, since).await?;
    let user = store::user::find(&mut write, id).await?.ok_or(DisableError::NotFound(id))?;
    write.commit().await?;
    Ok(Json(user))
}
