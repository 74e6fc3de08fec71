//! `GET` and `POST /users/{id}/tokens`: a user's tokens, for administrators.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use specwright_shared::id::UserId;
use specwright_shared::wire::Page;
use specwright_shared::wire::access::{NewToken, TokenMade, TokenView};

use crate::app::App;
use crate::auth::{About, Person};
use crate::extract::{Body, Params, PathId, page};
use crate::routes::tokens::create::{self, CreateError};
use crate::routes::tokens::list::{ListError, Query};
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
    Params(query): Params<Query>,
) -> Result<Json<Page<TokenView>>, ListError> {
    let mut session = app.store.read().await?;
    let after = query.after.map(|cursor| cursor.0);
    let tokens = store::token::list(&mut session, id, after, query.limit.and_one()).await?;
    Ok(Json(page(tokens, query.limit, |token| token.id.0)))
}
