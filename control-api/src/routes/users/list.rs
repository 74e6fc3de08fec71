//! `GET /users`: all of them, oldest first.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::wire::Page;
use specwright_shared::wire::access::UserView;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::extract::{Cursor, Limit, Params, page};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the users could not be read")]
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

/// Lists a page.
pub(crate) async fn handler(
    State(app): State<App>,
    Params(query): Params<Query>,
) -> Result<Json<Page<UserView>>, ListError> {
    let mut session = app.store.read().await?;
    let after = query.after.map(|cursor| cursor.0);
    let users = store::user::list(&mut session, after, query.limit.and_one()).await?;
    Ok(Json(page(users, query.limit, |user| user.id.0)))
}
