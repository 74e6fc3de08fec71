//! `GET /specs/{id}/documents` and `…/documents/{name}`: the first without contents, the second with.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::SpecId;
use specwright_shared::text::Line;
use specwright_shared::wire::Page;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::DocumentView;

use crate::app::App;
use crate::extract::{Params, PathId, PathName, WholeList};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentsError {
    #[error("there is no spec {0}")]
    NotFound(SpecId),
    #[error("the spec {spec} has no document `{name}`; `GET /specs/{spec}/documents` lists them")]
    NoDocument { spec: SpecId, name: String },
    #[error("the documents could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for DocumentsError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) | Self::NoDocument { .. } => ProblemType::NotFound,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(DocumentsError);

/// All of a spec.
pub(crate) async fn list_handler(
    State(app): State<App>,
    PathId(id): PathId<SpecId>,
    Params(_): Params<WholeList>,
) -> Result<Json<Page<DocumentView>>, DocumentsError> {
    let mut session = app.store.read().await?;
    store::spec::find(&mut session, id).await?.ok_or(DocumentsError::NotFound(id))?;
    let items = store::document::list(&mut session, id).await?;
    Ok(Json(Page { items, next: None }))
}

/// One, with its content.
pub(crate) async fn show_handler(
    State(app): State<App>,
    PathId(id): PathId<SpecId>,
    PathName(name): PathName<String>,
) -> Result<Json<DocumentView>, DocumentsError> {
    let mut session = app.store.read().await?;
    store::spec::find(&mut session, id).await?.ok_or(DocumentsError::NotFound(id))?;
    let document = store::document::find(&mut session, id, &name).await?;
    document.map(Json).ok_or_else(|| DocumentsError::NoDocument { spec: id, name: shown(&name) })
}

fn shown(name: &str) -> String {
    Line::fitted(name).map(|name| name.to_string()).unwrap_or_default()
}
