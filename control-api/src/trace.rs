//! The trace of a request (W3C): taken from who asks, or begun here; in every line of its log, in its
//! answer, in what it stores, and on its way to workers and collectors.
//!
//! What holds: what is answered, logged, stored and sent to a collector is the same. A `traceparent`
//! that is none, or more than one, counts as not given. It is a name: nothing is allowed because of it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Extensions, HeaderMap};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};
use specwright_shared::trace::{TRACEPARENT, TraceContext};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use uuid::Uuid;

/// A request's own step in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace(pub(crate) TraceContext);

impl Trace {
    /// The step of a request whose span this is: below the one that is given, else the first of a new
    /// trace. Where spans go to a collector, the collector's own name for it.
    pub(crate) fn of_request(headers: &HeaderMap, span: &Span) -> Self {
        let given = given(headers);
        // Fails where no spans go to a collector: then the step is named here.
        let is_exported = span.set_parent(parent(given)).is_ok();
        let exported = is_exported.then(|| exported(span)).flatten();
        Self(exported.unwrap_or_else(|| match given {
            Some(given) => given.step(Uuid::new_v4()),
            None => TraceContext::begun(Uuid::new_v4(), Uuid::new_v4()),
        }))
    }

    /// The one that the outermost layer gave a request.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        let begun = || Self(TraceContext::begun(Uuid::new_v4(), Uuid::new_v4()));
        extensions.get().copied().unwrap_or_else(begun)
    }
}

impl<S: Sync> FromRequestParts<S> for Trace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

fn given(headers: &HeaderMap) -> Option<TraceContext> {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let only = all.next().filter(|_| all.next().is_none())?;
    only.to_str().ok()?.trim().parse().ok()
}

fn parent(given: Option<TraceContext>) -> Context {
    let Some(given) = given else { return Context::new() };
    let flags = if given.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, span) = (given.trace.get().into(), given.span.get().into());
    let remote = SpanContext::new(trace, span, flags, true, TraceState::default());
    Context::new().with_remote_span_context(remote)
}

fn exported(span: &Span) -> Option<TraceContext> {
    let context = span.context();
    let own = context.span().span_context().clone();
    let trace = u128::from_be_bytes(own.trace_id().to_bytes());
    let step = u64::from_be_bytes(own.span_id().to_bytes());
    TraceContext::of(trace, step, own.is_sampled())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(values: &[&'static str]) -> TraceContext {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, http::HeaderValue::from_static(value));
        }
        Trace::of_request(&headers, &Span::none()).0
    }

    #[test]
    fn a_request_is_a_step_of_its_own_in_the_trace_that_it_names() {
        let given: TraceContext = ONE.parse().unwrap();
        let own = of(&[ONE]);
        assert_eq!((own.trace, own.sampled), (given.trace, true));
        assert_ne!(own.span, given.span);
        let quiet = of(&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"]);
        assert!(!quiet.sampled, "who began it does not keep it");
    }

    #[test]
    fn what_is_no_context_or_more_than_one_begins_a_new_trace() {
        let given: TraceContext = ONE.parse().unwrap();
        for bad in [&[][..], &["nonsense"], &["00-00-00-00"], &[ONE, ONE]] {
            let own = of(bad);
            assert_ne!(own.trace, given.trace, "{bad:?}");
            assert_eq!(own.to_string().parse::<TraceContext>().unwrap(), own);
        }
    }
}
