//! `DELETE /projects/{id}/credentials/{name}` and `DELETE /credentials/{name}` (one's own).

use axum::extract::State;
use http::StatusCode;
use specwright_shared::id::ProjectId;
use specwright_shared::wire::credential::CredentialKind;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::auth::Person;
use crate::extract::{PathId, PathName};
use crate::problem::{Refusal, impl_answer};
use crate::store::credential::Holder;
use crate::store::{self, StoreError};

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoveError {
    #[error("there is no `{0}` here")]
    NotFound(CredentialKind),
    #[error("the credential could not be removed")]
    Store(#[from] StoreError),
}

impl Refusal for RemoveError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(RemoveError);

/// One's own.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    PathName(kind): PathName<CredentialKind>,
) -> Result<StatusCode, RemoveError> {
    remove(&app, Holder::User(person.user), kind).await
}

/// A project's.
pub(crate) async fn project_handler(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    PathName(kind): PathName<CredentialKind>,
) -> Result<StatusCode, RemoveError> {
    remove(&app, Holder::Project(id), kind).await
}

async fn remove(
    app: &App,
    holder: Holder,
    kind: CredentialKind,
) -> Result<StatusCode, RemoveError> {
    let mut write = app.store.write().await?;
    if !store::credential::remove(&mut write, holder, kind).await? {
        return Err(RemoveError::NotFound(kind));
    }
    write.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
