//! Errors as `application/problem+json`: what the client sees and what the log keeps are two texts.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use specwright_shared::wire::problem::{MEDIA_TYPE, Problem, ProblemType};

use crate::store::StoreError;
use crate::store::trouble::trouble;

/// An operation's error that has a problem type for each of its variants.
pub(crate) trait Refusal: std::error::Error {
    /// The problem's type, chosen in one exhaustive match.
    fn kind(&self) -> ProblemType;

    /// The cursor before the oldest event that can be read.
    fn oldest(&self) -> Option<String> {
        None
    }

    /// After how long the same may be asked again.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// What more the head of the answer says.
    fn tell(&self, _headers: &mut HeaderMap) {}

    /// The sequence number that goes with it.
    fn seq(&self) -> Option<u64> {
        None
    }
}

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) struct Answer<E>(pub(crate) E);

/// Lets a handler's error be answered: `impl_answer!(CancelError)` beside the enum and its
/// [`Refusal`].
macro_rules! impl_answer {
    ($error:ty) => {
        impl axum::response::IntoResponse for $error {
            fn into_response(self) -> axum::response::Response {
                axum::response::IntoResponse::into_response($crate::problem::Answer(self))
            }
        }
    };
}
pub(crate) use impl_answer;

/// The store did not give what was to be read: all that can go wrong with most lists.
#[derive(Debug, thiserror::Error)]
#[error("what was asked for could not be read")]
pub(crate) struct Unreadable(#[from] StoreError);

impl Refusal for Unreadable {
    fn kind(&self) -> ProblemType {
        ProblemType::Internal
    }
}
impl_answer!(Unreadable);

/// When to come again while the database is away: a server is restarted, or another one takes over,
/// within seconds.
const DATABASE_AWAY: Duration = Duration::from_secs(2);

impl<E: Refusal + 'static> IntoResponse for Answer<E> {
    fn into_response(self) -> Response {
        let kind = self.0.kind();
        let mut wait = self.0.retry_after();
        let problem = if let Some(trouble) =
            trouble(&self.0).filter(|_| kind == ProblemType::Internal)
        {
            tracing::warn!(error = chain(&self.0), ?trouble, "the database could not do a request");
            wait = Some(DATABASE_AWAY);
            Problem::new(
                ProblemType::Unavailable,
                "The database does not answer, or not in time; nothing is lost by asking again.",
            )
        } else if kind == ProblemType::Internal {
            // Logged once, here, with its whole chain; the client learns nothing of our insides.
            tracing::error!(error = chain(&self.0), "a request failed on our side");
            Problem::new(kind, "The log of the control API says more.")
        } else {
            Problem {
                seq: self.0.seq(),
                oldest: self.0.oldest(),
                ..Problem::new(kind, self.0.to_string())
            }
        };
        let mut response = Answer(problem).into_response();
        if let Some(wait) = wait {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, seconds.max(1).into());
        }
        self.0.tell(response.headers_mut());
        response
    }
}

impl IntoResponse for Answer<Problem> {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

/// An error and all its causes, outermost first.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
