//! The router, built from the table of routes: for each its access, its limits, its handler.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{DefaultBodyLimit, RawPathParams, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, header};
use specwright_shared::wire::problem::{Problem, ProblemType};

use crate::app::App;
use crate::auth::{self, Gate};
use crate::problem::Answer;
use crate::{metrics, request_id, routes};

/// Builds the router. There are two layers, one around everything and one around each route's handler,
/// whose steps are plain functions: what a layer costs (it and all below it are copied for each request,
/// and its future has an allocation of its own) was most of what a small request cost.
pub(crate) fn build(app: App) -> Router {
    let mut router = Router::new();
    for route in routes::table() {
        let gate = Gate { app: app.clone(), access: route.access, path: route.path };
        let bounds = Bounds { body_max: route.body_max, time_max: route.time_max };
        tracing::trace!(method = %route.method, path = route.path, access = ?route.access, "a route");
        let handler =
            route.handler.route_layer(middleware::from_fn_with_state((gate, bounds), door));
        router = router.route(route.path, handler);
    }
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(front))
        .with_state(app)
}

/// What a request may take beside its handler: what a crash left is settled first (10 s at most), and a
/// token is looked up and a deed noted, also by a database that does not answer.
const AROUND: Duration = Duration::from_secs(15);

/// What holds for the handler of a route.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    body_max: usize,
    time_max: Duration,
}

/// What every request passes, whether there is a route for it or not.
async fn front(request: Request, next: Next) -> Response {
    request_id::given(request, |request| secured(next.run(request))).await
}

/// What a request for a route passes. Who may not come in waits for nothing.
async fn door(
    State((gate, bounds)): State<(Gate, Bounds)>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let handler = move |request| in_bounds(bounds, request, next);
    let counted = gate.clone();
    let guarded = async |request| {
        let parameters = match parameters {
            Ok(parameters) => parameters,
            Err(unreadable) => return unreadable.into_response(),
        };
        in_time(bounds.time_max + AROUND, auth::guard(gate, parameters, request, handler)).await
    };
    metrics::counted(&counted, request, guarded).await
}

/// How many headers an answer is given on its way out: those below, its id and trace, what its token has
/// left, and what the server adds.
const HEADERS: usize = 11;

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

async fn secured(answer: impl Future<Output = Response>) -> Response {
    let mut response = match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => panicked(&*panic),
    };
    for (name, value) in SECURITY {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

async fn in_bounds(bounds: Bounds, mut request: Request, next: Next) -> Response {
    let Bounds { body_max, time_max } = bounds;
    DefaultBodyLimit::max(body_max).apply(&mut request);
    let mut response = in_time(time_max, next.run(request)).await;
    // At once, not step by step.
    response.headers_mut().reserve(HEADERS);
    response
}

async fn in_time(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(limit, answer).await {
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

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let what = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a value that is no text");
    tracing::error!(panic = what, "a handler panicked");
    let detail = "The log of the control API says more.";
    Answer(Problem::new(ProblemType::Internal, detail)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_like_every_other_mistake_of_ours() {
        let response = secured(async { panic!("a handler's") }).await;
        assert_eq!(response.status().as_u16(), ProblemType::Internal.status());
        assert_eq!(response.headers()[header::X_FRAME_OPTIONS], "DENY");
    }

    #[tokio::test]
    async fn who_is_kept_waiting_by_whatever_it_is_is_told_so() {
        let never = std::future::pending();
        let response = in_time(Duration::from_millis(20), never).await;
        assert_eq!(response.status().as_u16(), ProblemType::TimedOut.status());
        let longest = routes::table().iter().map(|route| route.time_max).max().unwrap();
        assert!(longest + AROUND <= Duration::from_secs(60), "proxies hang up then");
    }
}
