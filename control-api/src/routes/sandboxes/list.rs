//! `GET /sandboxes`: newest first; with `spec_id`, those of one spec.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::SpecId;
use specwright_shared::wire::Page;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::SandboxView;

use super::view;
use crate::app::App;
use crate::auth::Person;
use crate::extract::{Cursor, Limit, Params, page};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the sandboxes could not be read")]
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
    spec_id: Option<SpecId>,
    #[serde(default)]
    limit: Limit,
    after: Option<Cursor>,
}

/// Lists a page.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Params(query): Params<Query>,
) -> Result<Json<Page<SandboxView>>, ListError> {
    let mut session = app.store.read().await?;
    let after = query.after.map(|cursor| cursor.0);
    let limit = query.limit.and_one();
    let sandboxes =
        store::sandbox::list(&mut session, person.sight(), query.spec_id, after, limit).await?;
    let mut views = Vec::with_capacity(sandboxes.len());
    for sandbox in sandboxes {
        views.push(view::of(&app, &mut session, sandbox).await?);
    }
    Ok(Json(page(views, query.limit, |sandbox| sandbox.id.0)))
}
