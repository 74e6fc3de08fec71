//! `GET /tokens`: one's own, oldest first; what opens anything is not among it.

use axum::Json;
use axum::extract::State;
use specwright_shared::wire::Page;
use specwright_shared::wire::access::TokenView;

use crate::app::App;
use crate::auth::Person;
use crate::extract::{Behind, Params, page};
use crate::problem::Unreadable;
use crate::store;

/// Lists a page.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Params(query): Params<Behind>,
) -> Result<Json<Page<TokenView>>, Unreadable> {
    let mut session = app.store.read().await?;
    let limit = query.limit.and_one();
    let tokens = store::token::list(&mut session, person.user, query.after(), limit).await?;
    Ok(Json(page(tokens, query.limit, |token| token.id.0)))
}
