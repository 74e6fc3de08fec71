//! `GET /tokens`: one's own, oldest first; what opens anything is not among it.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::wire::Page;
use specwright_shared::wire::access::TokenView;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::auth::Person;
use crate::extract::{Cursor, Limit, Params, page};
use crate::problem::{Refusal, impl_answer};
use crate::store::{self, StoreError};

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the tokens could not be read")]
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
    pub(crate) limit: Limit,
    pub(crate) after: Option<Cursor>,
}

/// Lists a page.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Params(query): Params<Query>,
) -> Result<Json<Page<TokenView>>, ListError> {
    let mut session = app.store.read().await?;
    let after = query.after.map(|cursor| cursor.0);
    let limit = query.limit.and_one();
    let tokens = store::token::list(&mut session, person.user, after, limit).await?;
    Ok(Json(page(tokens, query.limit, |token| token.id.0)))
}
