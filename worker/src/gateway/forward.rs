//! One exchange: a request of the agent to the API, and the answer back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue,
};
use http::{HeaderMap, StatusCode, request::Parts};
use tokio_util::sync::CancellationToken;

use super::call::{Call, Kept};
use super::journal::Full;
use super::refusal::Refusal;
use super::{BODY_MAX_BYTES, HeaderCredential, MESSAGES, ModelFact, Shared};

/// Headers that speak of one connection and not of the message (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// The API takes an OAuth token only with this.
const OAUTH_BETA: &str = "oauth-2025-04-20";

/// Passes a request on, if it carries the dummy.
pub(crate) async fn handler(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    if !knows_dummy(&parts.headers, &shared.dummy_key) {
        return Err(Refusal::WrongKey);
    }
    if let Some(status) = refused(shared.key_refused.load(Ordering::Relaxed)) {
        // The agent tries again by itself, and the run may be slow to end it.
        return Err(Refusal::KeyRefused(status));
    }
    let length = declared_length(&parts.headers);
    if length.is_some_and(|length| length > BODY_MAX_BYTES) {
        return Err(Refusal::TooLarge);
    }
    let mut call = match parts.uri.path() {
        MESSAGES => Some(admit(&shared, length.unwrap_or_default()).await?),
        _ => None,
    };
    let too_large = Arc::new(AtomicBool::new(false));
    let body = bounded(body.into_data_stream(), BODY_MAX_BYTES, Arc::clone(&too_large));
    let body = keeping(body, call.as_ref().map(|(_, kept)| Arc::clone(kept)));
    let exchange = shared
        .client
        .post(address(&shared.base_url, &parts))
        .headers(request_headers(&parts.headers, &shared.credential))
        .body(reqwest::Body::wrap_stream(body))
        .send();
    tokio::pin!(exchange);
    let answer = loop {
        tokio::select! {
            answer = &mut exchange => break answer,
            () = stalls(&mut call) => {}
            () = shared.stop.cancelled() => return Err(Refusal::Stopping),
        }
    };
    let answer = answer.map_err(|error| {
        if let Some((call, _)) = &mut call {
            call.failed();
        }
        if too_large.load(Ordering::Relaxed) {
            return Refusal::TooLarge;
        }
        shared.last_status.store(0, Ordering::Relaxed);
        // Without the address: it may hold a password.
        tracing::warn!(error = %error.without_url(), "the model API cannot be reached");
        Refusal::Unreachable
    })?;
    shared.last_status.store(answer.status().as_u16(), Ordering::Relaxed);

    let (status, headers) = (answer.status(), end_to_end(answer.headers()));
    if call.is_some() && refused(status.as_u16()).is_some() {
        shared.key_refused.store(status.as_u16(), Ordering::Relaxed);
    }
    let call = call.map(|(mut call, _)| {
        call.answered(status, answer.headers());
        call
    });
    let mut response = Response::new(Body::from_stream(until(answer, call, shared.stop.clone())));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The status, if it says that the credential is refused.
fn refused(status: u16) -> Option<StatusCode> {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| matches!(*status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
}

/// Opens a call, if the budget has room for one.
async fn admit(shared: &Arc<Shared>, request_bytes: u64) -> Result<(Call, Kept), Refusal> {
    if let Err(counted) = shared.account.admit() {
        shared.facts.send(ModelFact::BudgetSpent { counted }).await.ok();
        return Err(Refusal::BudgetSpent);
    }
    let kept = Kept::default();
    let call = Call::begin(Arc::clone(shared), Arc::clone(&kept), request_bytes);
    call.map(|call| (call, kept)).map_err(|Full| Refusal::TooManyCalls)
}

async fn stalls<T>(call: &mut Option<(Call, T)>) {
    match call {
        Some((call, _)) => call.stalls().await,
        None => std::future::pending().await,
    }
}

fn knows_dummy(headers: &HeaderMap, dummy: &str) -> bool {
    let key = headers.get(API_KEY).map(HeaderValue::as_bytes);
    let bearer =
        headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    [key, bearer].into_iter().flatten().any(|given| same(given, dummy.as_bytes()))
}

/// Compares without telling by its time where the difference is.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    given.len() == wanted.len()
        && given.iter().zip(wanted).fold(0, |seen, (one, other)| seen | (one ^ other)) == 0
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn address(base_url: &str, parts: &Parts) -> String {
    let path = parts.uri.path_and_query().map_or(parts.uri.path(), |path| path.as_str());
    format!("{base_url}{path}")
}

/// What concerns both ends: everything but the connection's own headers.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let named_by_connection: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let passes = |name: &HeaderName| {
        !HOP_BY_HOP.contains(&name.as_str())
            && !named_by_connection.iter().any(|one| name.as_str() == one)
    };
    headers
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The request's headers with the real credential instead of the dummy.
fn request_headers(headers: &HeaderMap, credential: &HeaderCredential) -> HeaderMap {
    let mut headers = end_to_end(headers);
    for name in [HOST, API_KEY, AUTHORIZATION] {
        headers.remove(name);
    }
    // What is compressed cannot be metered as it passes.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    match credential {
        HeaderCredential::ApiKey(key) => {
            headers.insert(API_KEY, key.clone());
        }
        HeaderCredential::OAuth(bearer) => {
            headers.insert(AUTHORIZATION, bearer.clone());
            let known = headers
                .get_all(BETA)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|names| names.split(','))
                .any(|name| name.trim() == OAUTH_BETA);
            if !known {
                headers.append(BETA, HeaderValue::from_static(OAUTH_BETA));
            }
        }
    }
    headers
}

/// The body, cut off with an error at the bound. (The declared length may lie or be absent.)
fn bounded<S>(
    body: S,
    max: u64,
    too_large: Arc<AtomicBool>,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static
where
    S: Stream<Item = Result<Bytes, axum::Error>> + Send + 'static,
{
    let mut passed: u64 = 0;
    body.map(move |chunk| {
        let chunk = chunk?;
        passed += chunk.len() as u64;
        if passed > max {
            too_large.store(true, Ordering::Relaxed);
            return Err(axum::Error::new("the request is larger than the gateway passes on"));
        }
        Ok(chunk)
    })
}

/// The same chunks, and a second hold on each (no copy) while the answer has not begun.
fn keeping<S>(
    body: S,
    kept: Option<Kept>,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static
where
    S: Stream<Item = Result<Bytes, axum::Error>> + Send + 'static,
{
    body.inspect(move |chunk| {
        if let (Some(kept), Ok(chunk)) = (&kept, chunk) {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(chunk.clone());
        }
    })
}

/// The answer's chunks as they come. A stop breaks the connection off, so that half an answer is not
/// taken for a whole one.
fn until(
    answer: reqwest::Response,
    call: Option<Call>,
    stop: CancellationToken,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static {
    let call = call.map(|call| (call, ()));
    stream::try_unfold((answer, call, stop), |(mut answer, mut call, stop)| async move {
        let chunk = loop {
            tokio::select! {
                chunk = answer.chunk() => break chunk.map_err(axum::Error::new)?,
                () = stalls(&mut call) => {}
                () = stop.cancelled() => {
                    return Err(axum::Error::new("the gateway is being stopped"));
                }
            }
        };
        if let Some((call, ())) = &mut call {
            match &chunk {
                Some(chunk) => call.passes(chunk).await,
                None => call.ended().await,
            }
        }
        Ok(chunk.map(|chunk| (chunk, (answer, call, stop))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_the_connections_own_headers_are_dropped() {
        let passed = end_to_end(&headers(&[
            ("connection", "keep-alive, X-Mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("retry-after", "7"),
            ("content-length", "3"),
        ]));
        assert_eq!(passed, headers(&[("retry-after", "7"), ("content-length", "3")]));
    }

    #[test]
    fn an_oauth_token_gets_its_beta_once_beside_what_is_there() {
        let credential = HeaderCredential::OAuth(HeaderValue::from_static("Bearer real"));
        let sent = request_headers(
            &headers(&[("x-api-key", "dummy"), ("anthropic-beta", "a,b"), ("host", "h")]),
            &credential,
        );
        let betas: Vec<_> =
            sent.get_all(BETA).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(betas, ["a,b", OAUTH_BETA]);
        assert_eq!(sent[AUTHORIZATION], "Bearer real");
        assert!(!sent.contains_key(API_KEY) && !sent.contains_key(HOST));
        let again = request_headers(&sent, &credential);
        assert_eq!(again.get_all(BETA).iter().count(), 2);
    }

    #[tokio::test]
    async fn a_body_over_the_bound_ends_in_an_error() {
        let chunks = stream::iter([Ok(Bytes::from_static(b"1234")), Ok(Bytes::from_static(b"5"))]);
        let too_large = Arc::new(AtomicBool::new(false));
        let mut body = Box::pin(bounded(chunks, 4, Arc::clone(&too_large)));
        assert!(body.next().await.unwrap().is_ok());
        assert!(!too_large.load(Ordering::Relaxed));
        assert!(body.next().await.unwrap().is_err());
        assert!(too_large.load(Ordering::Relaxed));
    }
}
