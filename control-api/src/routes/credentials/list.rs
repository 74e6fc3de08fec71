//! `GET /projects/{id}/credentials` and `GET /credentials` (one's own): what there is, not what it is.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::ProjectId;
use specwright_shared::wire::Page;
use specwright_shared::wire::credential::CredentialView;

use crate::app::App;
use crate::auth::Person;
use crate::extract::{Params, PathId, WholeList};
use crate::problem::Unreadable;
use crate::store;
use crate::store::credential::Holder;

/// One's own.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Params(_): Params<WholeList>,
) -> Result<Json<Page<CredentialView>>, Unreadable> {
    list(&app, Holder::User(person.user)).await
}

/// A project's.
pub(crate) async fn project_handler(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    Params(_): Params<WholeList>,
) -> Result<Json<Page<CredentialView>>, Unreadable> {
    list(&app, Holder::Project(id)).await
}

async fn list(app: &App, holder: Holder) -> Result<Json<Page<CredentialView>>, Unreadable> {
    let mut session = app.store.read().await?;
    let found = store::credential::list(&mut session, holder).await?;
    let items = found.into_iter().map(CredentialView::from).collect();
    Ok(Json(Page { items, next: None }))
}
