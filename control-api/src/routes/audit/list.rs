//! `GET /audit` (all) and `GET /projects/{id}/audit` (of one project): newest first.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::ProjectId;
use specwright_shared::wire::Page;
use specwright_shared::wire::access::AuditEntry;

use crate::app::App;
use crate::extract::{Behind, Params, PathId, page};
use crate::problem::Unreadable;
use crate::store;

/// Of everything.
pub(crate) async fn handler(
    State(app): State<App>,
    Params(query): Params<Behind>,
) -> Result<Json<Page<AuditEntry>>, Unreadable> {
    list(&app, None, query).await
}

/// Of a project.
pub(crate) async fn project_handler(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    Params(query): Params<Behind>,
) -> Result<Json<Page<AuditEntry>>, Unreadable> {
    list(&app, Some(id), query).await
}

async fn list(
    app: &App,
    project: Option<ProjectId>,
    query: Behind,
) -> Result<Json<Page<AuditEntry>>, Unreadable> {
    let mut session = app.store.read().await?;
    let entries =
        store::audit::list(&mut session, project, query.after(), query.limit.and_one()).await?;
    Ok(Json(page(entries, query.limit, |entry| entry.id)))
}
