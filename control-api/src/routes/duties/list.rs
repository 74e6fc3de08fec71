//! `GET /duties`: who does which background duty, when it was done, what it did, what failed.

use axum::Json;
use axum::extract::State;
use specwright_shared::wire::duty::DutyView;

use crate::app::App;
use crate::problem::Unreadable;
use crate::store;

/// Lists them.
pub(crate) async fn handler(State(app): State<App>) -> Result<Json<Vec<DutyView>>, Unreadable> {
    let mut session = app.store.read().await?;
    Ok(Json(store::duty::list(&mut session).await?))
}
