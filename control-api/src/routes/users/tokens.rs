//! `GET` and `POST /users/{id}/tokens`: a user's tokens, for administrators.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use specwright_shared::id::UserId;
use specwright_shared::wire::Page;
use specwright_shared::wire::access::{NewToken, TokenMade, TokenView};

use crate::app::App;
use crate::auth::{About, Person};
use crate::extract::{Behind, Body, Params, PathId, page};
use crate::problem::Unreadable;
use crate::routes::tokens::create::{self, CreateError};
use crate::store;

/// Makes one.
pub(crate) async fn create_handler(
    State(app): State<App>,
    person: Person,
    PathId(id): PathId<UserId>,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Extension<About>, Json<TokenMade>), CreateError> {
    create::make(&app, &person, id, new).await
}

/// Lists a page.
pub(crate) async fn list_handler(
    State(app): State<App>,
    PathId(id): PathId<UserId>,
    Params(query): Params<Behind>,
) -> Result<Json<Page<TokenView>>, Unreadable> {
    let mut session = app.store.read().await?;
    let tokens = store::token::list(&mut session, id, query.after(), query.limit.and_one()).await?;
    Ok(Json(page(tokens, query.limit, |token| token.id.0)))
}
