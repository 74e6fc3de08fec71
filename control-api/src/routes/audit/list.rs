//! `GET /audit` (all) and `GET /projects/{id}/audit` (of one project): newest first.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::ProjectId;
use specwright_shared::wire::Page;
use specwright_shared::wire::access::AuditEntry;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::extract::{Cursor, Limit, Params, PathId, page};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the audit log could not be read")]
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

/// The query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    #[serde(default)]
    limit: Limit,
    after: Option<Cursor>,
}

/// Of everything.
pub(crate) async fn handler(
    State(app): State<App>,
    Params(query): Params<Query>,
) -> Result<Json<Page<AuditEntry>>, ListError> {
    list(&app, None, query).await
}

/// Of a project.
pub(crate) async fn project_handler(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    Params(query): Params<Query>,
) -> Result<Json<Page<AuditEntry>>, ListError> {
    list(&app, Some(id), query).await
}

async fn list(
    app: &App,
    project: Option<ProjectId>,
    query: Query,
) -> Result<Json<Page<AuditEntry>>, ListError> {
    let mut session = app.store.read().await?;
    let after = query.after.map(|cursor| cursor.0);
    let entries = store::audit::list(&mut session, project, after, query.limit.and_one()).await?;
    Ok(Json(page(entries, query.limit, |entry| entry.id)))
}
