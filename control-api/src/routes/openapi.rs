//! `GET /openapi.json`: what this control API takes and gives, for programs.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use crate::openapi;

/// Made once: it is the same for the life of the process.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| openapi::document().to_string());

/// Gives it.
pub(crate) async fn handler() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}
