//! The gateway's own answers, in the shape of the API's errors, so that the agent understands them.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

/// Why the gateway itself answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such route.
    NoSuchRoute,
    /// The key is not the dummy.
    WrongKey,
    /// The API has refused the real key, with this status.
    KeyRefused(StatusCode),
    /// The request is too large.
    TooLarge,
    /// The API could not be reached, or broke off before it answered.
    Unreachable,
    /// The job's budget is spent.
    BudgetSpent,
    /// More calls are under way than the ledger has room for.
    TooManyCalls,
    /// The gateway is being stopped.
    Stopping,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, kind, message) = match self {
            Self::NoSuchRoute => (
                StatusCode::NOT_FOUND,
                "not_found_error",
                "the gateway serves POST /v1/messages only",
            ),
            Self::WrongKey => {
                (StatusCode::UNAUTHORIZED, "authentication_error", "this is not the gateway's key")
            }
            Self::KeyRefused(status) => (
                status,
                if status == StatusCode::FORBIDDEN {
                    "permission_error"
                } else {
                    "authentication_error"
                },
                "the model API has refused the run's key; no call is made any more",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "request_too_large",
                "the request is larger than the gateway passes on",
            ),
            Self::Unreachable => {
                (StatusCode::BAD_GATEWAY, "api_error", "the model API cannot be reached")
            }
            // A status that the agent neither repeats for long nor takes for a refused key.
            Self::BudgetSpent => (
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "the job's budget is spent (MAX_BUDGET_USD); no call is made any more",
            ),
            // The agent tries again by itself.
            Self::TooManyCalls => (
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded_error",
                "too many calls of the model are under way at once",
            ),
            Self::Stopping => {
                (StatusCode::SERVICE_UNAVAILABLE, "api_error", "the gateway is being stopped")
            }
        };
        let body = json!({"type": "error", "error": {"type": kind, "message": message}});
        (status, Json(body)).into_response()
    }
}

/// Answers whatever has no route.
pub(crate) async fn no_such_route() -> Refusal {
    Refusal::NoSuchRoute
}
