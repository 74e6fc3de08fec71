//! `GET /tickets?spec_id=`: the tickets of a spec, in an order that respects dependencies.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::SpecId;
use specwright_shared::wire::Page;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::ticket::TicketView;

use crate::app::App;
use crate::auth::Person;
use crate::extract::{Limit, Params};
use crate::problem::{Refusal, impl_answer};
use crate::store::ticket::Filter;
use crate::store::{self, StoreError};

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the tickets could not be read")]
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

/// The query. A spec has a bounded number of them, so the list is given whole; `limit` and `after`
/// are taken, so that one loop reads every list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    spec_id: SpecId,
    #[serde(default, rename = "limit")]
    _limit: Limit,
    #[serde(default, rename = "after")]
    _after: Option<String>,
}

/// Lists them.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Params(query): Params<Query>,
) -> Result<Json<Page<TicketView>>, ListError> {
    let mut session = app.store.read().await?;
    let filter = Filter { spec: Some(query.spec_id), ..Filter::default() };
    let items = store::ticket::list(&mut session, person.sight(), filter).await?;
    Ok(Json(Page { items, next: None }))
}
