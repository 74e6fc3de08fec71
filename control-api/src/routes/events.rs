//! `GET /events?after=&type=&limit=&wait_ms=`: the events of all specs that one sees, as a page that
//! waits for new ones when asked to; `GET /events/stream?after=&type=`: as a stream. The events of
//! each spec come in their commit order.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use specwright_shared::wire::Page;

use crate::app::App;
use crate::auth::Person;
use crate::extract::Params;
use crate::store::event::log::{Line, Log};
use crate::stream::facts::{self, PageQuery, ReadError, StreamQuery};

/// Reads a page, or waits for one.
pub(crate) async fn page_handler(
    State(app): State<App>,
    person: Person,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<Line>>, ReadError> {
    facts::page(&app, Log::Seen(person.sight()), query).await
}

/// Opens a stream.
pub(crate) async fn stream_handler(
    State(app): State<App>,
    person: Person,
    Params(query): Params<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    facts::stream(&app, Log::Seen(person.sight()), query, &headers).await
}
