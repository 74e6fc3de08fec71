//! `GET /users`: all of them, oldest first.

use axum::Json;
use axum::extract::State;
use specwright_shared::wire::Page;
use specwright_shared::wire::access::UserView;

use crate::app::App;
use crate::extract::{Behind, Params, page};
use crate::problem::Unreadable;
use crate::store;

/// Lists a page.
pub(crate) async fn handler(
    State(app): State<App>,
    Params(query): Params<Behind>,
) -> Result<Json<Page<UserView>>, Unreadable> {
    let mut session = app.store.read().await?;
    let users = store::user::list(&mut session, query.after(), query.limit.and_one()).await?;
    Ok(Json(page(users, query.limit, |user| user.id.0)))
}
