//! `GET /healthz`: this process answers.

use axum::Json;
use schemars::JsonSchema;
use serde::Serialize;

/// The answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Health {
    status: &'static str,
    version: &'static str,
}

/// Answers.
pub(crate) async fn handler() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}
