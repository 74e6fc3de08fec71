//! `GET /sandboxes/{id}/events?after=&type=&limit=&wait_ms=`: what one sandbox reported, in its
//! worker's order, as a page that waits for more when asked to; `GET …/events/stream?after=&type=`:
//! as a stream.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use specwright_shared::id::SandboxId;
use specwright_shared::wire::Page;

use crate::app::App;
use crate::extract::{Params, PathId};
use crate::store;
use crate::store::event::log::{Line, Log};
use crate::stream::facts::{self, PageQuery, ReadError, StreamQuery};

/// Reads a page, or waits for one.
pub(crate) async fn page_handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<Line>>, ReadError> {
    facts::page(&app, log(&app, id).await?, query).await
}

/// Opens a stream.
pub(crate) async fn stream_handler(
    State(app): State<App>,
    PathId(id): PathId<SandboxId>,
    Params(query): Params<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    facts::stream(&app, log(&app, id).await?, query, &headers).await
}

async fn log(app: &App, id: SandboxId) -> Result<Log, ReadError> {
    let mut session = app.store.read().await?;
    let found = store::sandbox::find(&mut session, id).await?;
    found.map(|_| Log::Sandbox(id)).ok_or(ReadError::NotFound("sandbox", id.0))
}
