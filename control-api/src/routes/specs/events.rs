//! `GET /specs/{id}/events?after=&limit=&wait_ms=`: events in commit order; waits for new ones when
//! asked to.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use specwright_shared::id::SpecId;
use specwright_shared::wire::Page;
use specwright_shared::wire::event::EventView;
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::auth::Owner;
use crate::extract::{Limit, Params, PathId};
use crate::problem::{Refusal, impl_answer};
use crate::routes::WAIT_MAX;
use crate::store::{self, StoreError};
use crate::wake::Find;

/// Why it cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventsError {
    #[error("there is no spec {0}")]
    NotFound(SpecId),
    #[error("the spec could not be read")]
    Store(#[from] StoreError),
}

impl Refusal for EventsError {
    fn kind(&self) -> ProblemType {
        match self {
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Store(_) => ProblemType::Internal,
        }
    }
}
impl_answer!(EventsError);

/// The query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// The position behind which to read; what `next` of an earlier page said.
    #[serde(default)]
    after: u64,
    #[serde(default)]
    limit: Limit,
    /// How long to wait when there is nothing yet; cut to [`WAIT_MAX`].
    #[serde(default)]
    wait_ms: u64,
}

impl Find for Vec<EventView> {
    fn is_found(&self) -> bool {
        !self.is_empty()
    }
}

/// Reads a page, or waits for one.
pub(crate) async fn handler(
    State(app): State<App>,
    Owner(owner): Owner,
    PathId(id): PathId<SpecId>,
    Params(query): Params<Query>,
) -> Result<Json<Page<EventView>>, EventsError> {
    let mut session = app.store.read().await?;
    store::spec::find(&mut session, id)
        .await?
        .filter(|spec| spec.owner == owner)
        .ok_or(EventsError::NotFound(id))?;
    drop(session);
    let limit = i64::try_from(query.limit.items()).unwrap_or(i64::MAX);
    let wait = Duration::from_millis(query.wait_ms).min(WAIT_MAX);
    let look = async || {
        let mut session = app.store.read().await?;
        store::event::list(&mut session, id, query.after, limit).await
    };
    let items = app.wakes.until_found(id.0, wait, &app.shutdown, look).await?;
    let next = items.last().map_or(query.after, |last| last.position);
    Ok(Json(Page { items, next: Some(next.to_string()) }))
}
