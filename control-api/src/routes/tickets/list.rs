//! `GET /tickets?spec_id=`: the tickets of a spec, in an order that respects dependencies.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::SpecId;
use specwright_shared::wire::Page;
use specwright_shared::wire::ticket::TicketView;

use crate::app::App;
use crate::auth::Person;
use crate::extract::{Limit, Params};
use crate::problem::Unreadable;
use crate::store;

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
) -> Result<Json<Page<TicketView>>, Unreadable> {
    let mut session = app.store.read().await?;
    let items = store::ticket::of_spec(&mut session, person.sight(), query.spec_id).await?;
    Ok(Json(Page { items, next: None }))
}
