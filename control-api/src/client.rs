//! The control API as seen from outside: what the command line, tests and other programs call.
//!
//! Holds: one method per route, the types of [`specwright_shared::wire`] on both sides, one error
//! type. A request that changes something is sent once; only a `GET` is tried again, because only
//! there a second request cannot be a second deed.
//!
//! Deliberately absent: the worker's routes (hello, events, heartbeat, poll). The worker has its own
//! delivery with its own rules.

mod access;
mod error;
mod feed;
mod guardian;
mod routes;

use std::time::Duration;

use axum::body::Bytes;
use backon::{ExponentialBuilder, Retryable as _};
use reqwest::{Method, RequestBuilder, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;
use specwright_shared::wire::problem::{self, Problem};

pub use error::{ClientError, NoUrl};
pub use feed::EventFeed;
pub use routes::SpecFilter;

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take. Starting a sandbox is the slowest thing that a route waits for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What a `GET` waits before it is sent again: about two seconds in all, enough for a control API
/// that is being restarted behind its listener, too short for a person to wonder.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(1);
const RETRIES: usize = 4;

/// How much of an answer that is no problem document is shown.
const ANSWER_EXCERPT: usize = 200;

/// A connection to one control API with one token.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for the control API at `base` (scheme, host and port; a path in front of `/api/v1`
    /// is kept), with a bearer token. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Address`] and [`ClientError::Setup`].
    pub fn new(base: &str, token: impl Into<String>) -> Result<Self, ClientError> {
        let base = parse_base(base)?;
        install_tls_provider();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect could carry the token to another host.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("specwright/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&base) {
            // A proxy for the world outside cannot reach this machine's own loopback.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(ClientError::Setup)?;
        Ok(Self { http, base, token: token.into() })
    }

    /// The address that it talks to.
    #[must_use]
    pub fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether the control API is on this machine, so that paths mean the same to both.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_loopback(&self.base)
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, ClientError> {
        let url = format!("{}{path}", self.base());
        let url = Url::parse(&url).map_err(|source| ClientError::Address { url, source })?;
        Ok(self.http.request(method, url).timeout(ANSWER_TIMEOUT).bearer_auth(&self.token))
    }

    /// Sends a `GET`, again after a failure that may pass.
    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        timeout: Duration,
    ) -> Result<T, ClientError> {
        let back_off = ExponentialBuilder::default()
            .with_min_delay(RETRY_FIRST)
            .with_max_delay(RETRY_LONGEST)
            .with_max_times(RETRIES)
            .with_jitter();
        let once = || async {
            let request = self.request(Method::GET, path)?.query(query).timeout(timeout);
            self.answer(request, "GET", path).await
        };
        once.retry(back_off).when(ClientError::may_pass).await
    }

    /// Sends a request that changes something, once.
    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, ClientError> {
        let request = self.request(Method::POST, path)?.json(body);
        self.answer(request, "POST", path).await
    }

    /// Puts something in its place, once.
    async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, ClientError> {
        let request = self.request(Method::PUT, path)?.json(body);
        self.answer(request, "PUT", path).await
    }

    /// Deletes something, once; the answer has no body.
    async fn delete(&self, path: &str) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, path)?;
        let (status, body) = self.send(request, "DELETE", path).await?;
        if status.is_success() { Ok(()) } else { Err(self.refusal(status, &body, "DELETE", path)) }
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        method: &'static str,
        path: &str,
    ) -> Result<T, ClientError> {
        let (status, body) = self.send(request, method, path).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|source| ClientError::Body {
                base: self.base().to_owned(),
                method,
                path: path.to_owned(),
                source,
            });
        }
        Err(self.refusal(status, &body, method, path))
    }

    async fn send(
        &self,
        request: RequestBuilder,
        method: &'static str,
        path: &str,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let failed = |source: reqwest::Error| {
            let (base, path) = (self.base().to_owned(), path.to_owned());
            // The URL is in our own sentence already, and its query may be long.
            let source = source.without_url();
            if source.is_timeout() && !source.is_connect() {
                ClientError::TimedOut { base, method, path, source }
            } else {
                ClientError::Unreachable { base, source }
            }
        };
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        Ok((status, answer.bytes().await.map_err(failed)?))
    }

    fn refusal(
        &self,
        status: StatusCode,
        body: &[u8],
        method: &'static str,
        path: &str,
    ) -> ClientError {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => ClientError::Problem(Box::new(problem)),
            Err(_) if matches!(status.as_u16(), 502..=504) => ClientError::Gateway {
                base: self.base().to_owned(),
                method,
                path: path.to_owned(),
                status: status.as_u16(),
            },
            // Not what the control API says, so not from it: a proxy, or another program.
            Err(_) => ClientError::NoProblem {
                base: self.base().to_owned(),
                method,
                path: path.to_owned(),
                status: status.as_u16(),
                expected: problem::MEDIA_TYPE,
                body: String::from_utf8_lossy(body).chars().take(ANSWER_EXCERPT).collect(),
            },
        }
    }
}

fn parse_base(base: &str) -> Result<Url, ClientError> {
    let url =
        Url::parse(base).map_err(|source| ClientError::Address { url: base.to_owned(), source })?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(ClientError::Scheme { url: base.to_owned() })
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// TLS comes from ring. Whoever installs a provider first wins; they are all the same one here.
pub(crate) fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}

#[cfg(test)]
mod tests;
