//! `GET /specs/{id}/events?after=&type=&limit=&wait_ms=`: a spec's events in commit order, as a page
//! that waits for new ones when asked to; `GET …/events/stream?after=&type=`: as a stream.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use specwright_shared::id::SpecId;
use specwright_shared::wire::Page;

use crate::app::App;
use crate::extract::{Params, PathId};
use crate::store;
use crate::store::event::log::{Line, Log};
use crate::stream::facts::{self, PageQuery, ReadError, StreamQuery};

/// Reads a page, or waits for one.
pub(crate) async fn page_handler(
    State(app): State<App>,
    PathId(id): PathId<SpecId>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<Line>>, ReadError> {
    facts::page(&app, log(&app, id).await?, query).await
}

/// Opens a stream.
pub(crate) async fn stream_handler(
    State(app): State<App>,
    PathId(id): PathId<SpecId>,
    Params(query): Params<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    facts::stream(&app, log(&app, id).await?, query, &headers).await
}

async fn log(app: &App, id: SpecId) -> Result<Log, ReadError> {
    let mut session = app.store.read().await?;
    let found = store::spec::find(&mut session, id).await?;
    found.map(|_| Log::Spec(id)).ok_or(ReadError::NotFound("spec", id.0))
}
