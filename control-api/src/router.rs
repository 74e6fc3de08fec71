//! The router, built from the table of routes: for each its access, its limits, its handler.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use specwright_shared::wire::problem::{Problem, ProblemType};
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::auth::{self, Gate};
use crate::problem::Answer;
use crate::{metrics, request_id, routes};

/// Builds the router.
pub(crate) fn build(app: App) -> Router {
    let mut router = Router::new();
    for route in routes::table() {
        let gate = Gate { app: app.clone(), access: route.access, path: route.path };
        // The last layer is the outermost: who may not come in waits for nothing.
        let handler = route
            .handler
            .route_layer(middleware::from_fn_with_state(route.time_max, in_time))
            .route_layer(DefaultBodyLimit::max(route.body_max))
            .route_layer(middleware::from_fn_with_state(gate, auth::guard))
            .route_layer(middleware::from_fn_with_state(
                (app.clone(), route.path, route.access),
                metrics::layer,
            ));
        tracing::trace!(method = %route.method, path = route.path, access = ?route.access, "a route");
        router = router.route(route.path, handler);
    }
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(secured))
        .layer(middleware::from_fn(request_id::layer))
        .with_state(app)
}

/// What every answer says to a browser, unless a route says it better: nothing here is a page, nothing
/// is to be kept, and nothing may frame it.
const SECURITY: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
];

async fn secured(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in SECURITY {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Answer(Problem::new(
            ProblemType::TimedOut,
            format!("It took longer than {} seconds; try again.", limit.as_secs()),
        ))
        .into_response(),
    }
}

async fn no_such_path() -> Response {
    Answer(Problem::new(ProblemType::NotFound, "No route has this path.")).into_response()
}

async fn no_such_method() -> Response {
    let detail = "The route exists, but not for this method.";
    Answer(Problem::new(ProblemType::MethodNotAllowed, detail)).into_response()
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let what = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a value that is no text");
    tracing::error!(panic = what, "a handler panicked");
    let detail = "The log of the control API says more.";
    Answer(Problem::new(ProblemType::Internal, detail)).into_response()
}
