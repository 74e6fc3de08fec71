//! The id of a request: taken from who asks, or made here; in every line of its log, in the audit log
//! and in the answer.

use std::fmt;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{Extensions, HeaderName, HeaderValue};
use tracing::Instrument as _;
use uuid::Uuid;

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

/// Gives a request its id. The outermost layer.
pub(crate) async fn layer(mut request: Request, next: Next) -> Response {
    let id =
        request.headers().get(HEADER).and_then(RequestId::given).unwrap_or_else(RequestId::new);
    let span = tracing::info_span!("request", id = %id, method = %request.method());
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).instrument(span).await;
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
