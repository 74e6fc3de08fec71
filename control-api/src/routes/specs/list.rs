//! `GET /specs`: the specs that one sees, newest first.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use specwright_shared::id::ProjectId;
use specwright_shared::phase::SpecStatus;
use specwright_shared::wire::Page;
use specwright_shared::wire::spec::SpecView;

use crate::app::App;
use crate::auth::Person;
use crate::extract::{Cursor, Limit, Params, page};
use crate::problem::Unreadable;
use crate::store;

/// The query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    project_id: Option<ProjectId>,
    status: Option<SpecStatus>,
    #[serde(default)]
    limit: Limit,
    after: Option<Cursor>,
}

/// Lists a page.
pub(crate) async fn handler(
    State(app): State<App>,
    person: Person,
    Params(query): Params<Query>,
) -> Result<Json<Page<SpecView>>, Unreadable> {
    let mut session = app.store.read().await?;
    let filter = store::spec::list::Filter {
        project_id: query.project_id,
        status: query.status,
        after: query.after.map(|cursor| cursor.0),
    };
    let specs =
        store::spec::list::page(&mut session, person.sight(), &filter, query.limit.and_one())
            .await?;
    let views = specs.into_iter().map(SpecView::from).collect();
    Ok(Json(page(views, query.limit, |spec| spec.id.0)))
}
