//! `GET /docs`: the same for people, as a page that loads nothing.

use std::sync::LazyLock;

use axum::response::{Html, IntoResponse, Response};
use http::header::CONTENT_SECURITY_POLICY;

use crate::openapi::{self, page};

/// Made once: it is the same for the life of the process.
static PAGE: LazyLock<String> = LazyLock::new(|| page::render(&openapi::document()));

/// Gives it.
pub(crate) async fn handler() -> Response {
    ([(CONTENT_SECURITY_POLICY, page::POLICY)], Html(PAGE.as_str())).into_response()
}
