//! `GET /projects/{id}/credentials` and `GET /credentials` (one's own): what there is, not what it is.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::ProjectId;
use specwright_shared::wire::Page;
use specwright_shared::wire::credential::CredentialView;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::auth::Person;
use crate::extract::{Params, PathId, WholeList};
use crate::problem::{Refusal, impl_answer};
use crate::store::credential::Holder;
use crate::store::{self, StoreError};

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the credentials could not be read")]
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

/// One's own.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Params(_): Params<WholeList>,
) -> Result<Json<Page<CredentialView>>, ListError> {
    list(&app, Holder::User(person.user)).await
}

/// A project's.
pub(crate) async fn project_handler(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    Params(_): Params<WholeList>,
) -> Result<Json<Page<CredentialView>>, ListError> {
    list(&app, Holder::Project(id)).await
}

async fn list(app: &App, holder: Holder) -> Result<Json<Page<CredentialView>>, ListError> {
    let mut session = app.store.read().await?;
    let found = store::credential::list(&mut session, holder).await?;
    let items = found.into_iter().map(CredentialView::from).collect();
    Ok(Json(Page { items, next: None }))
}
