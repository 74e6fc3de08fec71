//! The id of a request: taken from who asks, or made here; in every line of its log, in the audit log
//! and in the answer. Beside it stands the request's trace ([`crate::trace`]), which goes further.

use std::fmt;

use axum::extract::Request;
use axum::response::Response;
use http::{Extensions, HeaderName, HeaderValue};
use specwright_shared::trace::TRACEPARENT;
use tracing::Instrument as _;
use tracing::field::Empty;
use uuid::Uuid;

use crate::trace::Trace;

/// The header that carries it, both ways.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest one that is taken from outside: it is stored and logged.
const MAX_CHARS: usize = 100;

/// A request's id: letters, digits, `-`, `_`, `.`, `:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RequestId {
    /// The one that the outermost layer gave a request.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_else(Self::new)
    }

    fn new() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    fn given(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
        let fits = (1..=MAX_CHARS).contains(&text.len()) && text.bytes().all(plain);
        fits.then(|| Self(text.to_owned()))
    }
}

/// Gives a request its id, its trace and its span: before anything else, and to its answer at the end.
pub(crate) async fn given<F>(mut request: Request, answered: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let id =
        request.headers().get(HEADER).and_then(RequestId::given).unwrap_or_else(RequestId::new);
    // Of the highest level, so that whatever is logged within it says whose it is.
    let span = tracing::error_span!(
        "request",
        request_id = %id,
        trace_id = Empty,
        method = %request.method(),
        route = Empty,
        otel.kind = "server",
    );
    let trace = Trace::of_request(request.headers(), &span);
    span.record("trace_id", tracing::field::display(trace.0.trace));
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(trace);
    let mut response = answered(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&trace.0.header()) {
        response.headers_mut().insert(TRACEPARENT, value);
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_from_outside_is_taken_when_it_is_short_and_plain() {
        let given = |text: &str| RequestId::given(&HeaderValue::from_str(text).unwrap());
        assert_eq!(given("abc-1.2:x_Y"), Some(RequestId("abc-1.2:x_Y".into())));
        for bad in ["", "a b", "a\tb", &"a".repeat(101), "a;b", "<script>"] {
            assert_eq!(given(bad), None, "{bad}");
        }
    }
}
