//! `GET /sandboxes`: newest first; with `spec_id`, those of one spec.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::SpecId;
use specwright_shared::wire::Page;
use specwright_shared::wire::sandbox::SandboxView;

use super::view;
use crate::app::App;
use crate::auth::Person;
use crate::extract::{Cursor, Limit, Params, page};
use crate::problem::Unreadable;
use crate::store;

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
) -> Result<Json<Page<SandboxView>>, Unreadable> {
    let mut session = app.store.read().await?;
    let after = query.after.map(|cursor| cursor.0);
    let limit = query.limit.and_one();
    let sandboxes =
        store::sandbox::list::page(&mut session, person.sight(), query.spec_id, after, limit)
            .await?;
    let mut views = Vec::with_capacity(sandboxes.len());
    for sandbox in sandboxes {
        views.push(view::of(&app, &mut session, sandbox).await?);
    }
    Ok(Json(page(views, query.limit, |sandbox| sandbox.id.0)))
}
