//! `GET /projects`: the projects that one sees, oldest first.

use axum::Json;
use axum::extract::State;
use specwright_shared::wire::Page;
use specwright_shared::wire::spec::ProjectView;

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
) -> Result<Json<Page<ProjectView>>, Unreadable> {
    let mut session = app.store.read().await?;
    let projects =
        store::project::list(&mut session, person.sight(), query.after(), query.limit.and_one())
            .await?;
    Ok(Json(page(projects, query.limit, |project| project.id.0)))
}
