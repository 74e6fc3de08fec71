//! What happens here, counted for Prometheus.
//!
//! What holds: labels are routes of the table, statuses, problem types, duties and living sandboxes,
//! never what a client sent, so that their number is bounded. What this process does is counted where
//! it happens; what the database knows is read when somebody asks ([`exposition`]), and is the same
//! at every replica.

pub(crate) mod exposition;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::response::Response;
use http::Method;
use opentelemetry::trace::{Status, TraceContextExt as _};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use specwright_shared::wire::problem::ProblemType;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::auth::{Access, Gate};

/// From a look into memory to the longest wait of a route, in seconds.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// A route and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: &'static str,
    status: u16,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    method: &'static str,
    route: &'static str,
}

/// Why a batch was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    problem: &'static str,
}

/// What this process counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<Answered, Counter>,
    /// Until the head of the answer, in seconds.
    took: Family<OfRoute, Histogram, fn() -> Histogram>,
    /// Those without the head of an answer.
    requests_open: Gauge,
    batches: Counter,
    events: Counter,
    batches_refused: Family<Refused, Counter>,
    streams_open: Gauge,
    streams_lagged: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            took: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            requests_open: Gauge::default(),
            batches: Counter::default(),
            events: Counter::default(),
            batches_refused: Family::default(),
            streams_open: Gauge::default(),
            streams_lagged: Counter::default(),
        }
    }
}

impl Metrics {
    fn answered(&self, method: &'static str, route: &'static str, status: u16, took: Duration) {
        self.took.get_or_create(&OfRoute { method, route }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Answered { method, route, status }).inc();
    }

    /// A batch of events was taken in; those that were there already are counted, too.
    pub(crate) fn batch_taken(&self, events: u32) {
        self.batches.inc();
        self.events.inc_by(events.into());
    }

    /// A batch of events was not taken in.
    pub(crate) fn batch_refused(&self, kind: ProblemType) {
        self.batches_refused.get_or_create(&Refused { problem: kind.as_str() }).inc();
    }

    /// A subscriber was cut off.
    pub(crate) fn stream_lagged(&self) {
        self.streams_lagged.inc();
    }

    /// A stream is open for as long as this is kept.
    pub(crate) fn stream_opened(&self) -> Open {
        Open::counted(&self.streams_open)
    }
}

/// Something that is under way, counted for as long as it is.
#[derive(Debug)]
pub(crate) struct Open(Gauge);

impl Open {
    fn counted(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The methods that routes have.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// Counts the requests of one route, and logs them.
pub(crate) async fn counted<F>(
    &Gate { ref app, access, path: route }: &Gate,
    request: Request,
    answered: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let (method, begin) = (request.method().clone(), Instant::now());
    let open = Open::counted(&app.metrics.requests_open);
    let span = tracing::Span::current();
    span.record("route", route);
    let context = span.context();
    let exported = context.span();
    if exported.span_context().is_valid() {
        exported.update_name(format!("{method} {route}"));
    }
    let response = answered(request).await;
    drop(open);
    let (status, took) = (response.status().as_u16(), begin.elapsed());
    let word = word(&method);
    app.metrics.answered(word, route, status, took);
    span.set_attribute("http.request.method", word);
    span.set_attribute("http.route", route);
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    // Readers and workers ask all the time.
    if method.is_safe() || access == Access::OwnSandbox {
        tracing::debug!(status, took_ms, "answered");
    } else {
        tracing::info!(status, took_ms, "answered");
    }
    // HEAD is answered by GET's handler.
    #[cfg(test)]
    assert!(
        method == Method::HEAD || crate::openapi::declared(&method, route, status),
        "{method} {route} answered {status}, which the OpenAPI document does not list"
    );
    response
}
