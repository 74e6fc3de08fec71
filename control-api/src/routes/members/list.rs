//! `GET /projects/{id}/members`: by name.

use axum::Json;
use axum::extract::State;
use specwright_shared::id::ProjectId;
use specwright_shared::wire::Page;
use specwright_shared::wire::access::MemberView;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::extract::{Params, PathId, WholeList};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the members could not be read")]
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

/// Lists them.
pub(crate) async fn handler(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    Params(_): Params<WholeList>,
) -> Result<Json<Page<MemberView>>, ListError> {
    let mut session = app.store.read().await?;
    let items = store::member::list(&mut session, id).await?;
    Ok(Json(Page { items, next: None }))
}
