//! `GET /specs`: the specs that one sees, newest first.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::ProjectId;
use specwright_shared::phase::SpecStatus;
use specwright_shared::wire::Page;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::spec::SpecView;

use crate::app::App;
use crate::auth::Person;
use crate::extract::{Cursor, Limit, Params, page};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the specs could not be read")]
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
    project_id: Option<ProjectId>,
    status: Option<SpecStatus>,
    #[serde(default)]
    limit: Limit,
    after: Option<Cursor>,
}

/// Lists a page.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Params(query): Params<Query>,
) -> Result<Json<Page<SpecView>>, ListError> {
    let mut session = app.store.read().await?;
    let filter = store::spec::Filter {
        project_id: query.project_id,
        status: query.status,
        after: query.after.map(|cursor| cursor.0),
    };
    let specs =
        store::spec::list(&mut session, person.sight(), &filter, query.limit.and_one()).await?;
    let views = specs.into_iter().map(SpecView::from).collect();
    Ok(Json(page(views, query.limit, |spec| spec.id.0)))
}
