//! `GET /projects/{id}/members`: by name.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::ProjectId;
use specwright_shared::wire::Page;
use specwright_shared::wire::access::MemberView;

use crate::app::App;
use crate::extract::{Params, PathId, WholeList};
use crate::problem::Unreadable;
use crate::store;

/// Lists them.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    Params(_): Params<WholeList>,
) -> Result<Json<Page<MemberView>>, Unreadable> {
    let mut session = app.store.read().await?;
    let items = store::member::list(&mut session, id).await?;
    Ok(Json(Page { items, next: None }))
}
