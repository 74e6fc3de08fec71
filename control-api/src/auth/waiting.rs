//! A request that only reads, for as long as its answer takes.
//!
//! What holds: who may no longer read is told so soon after, not when the wait is over, and gets nothing
//! of what was waited for. An answer that comes at once costs no second look-up.

use std::pin::pin;
use std::time::Duration;

use axum::extract::Query;
use axum::response::Response;
use futures_util::future::{Either, select};
use http::Uri;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::AuthError;

/// A request for a page that may come much later than the question.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    wait_ms: Option<IgnoredAny>,
}

/// Whether an answer is asked for that may come much later than the question.
pub(super) fn waits(uri: &Uri) -> bool {
    // What does not read here is no query of any route, and refused at once.
    Query::<Asked>::try_from_uri(uri).is_ok_and(|asked| asked.0.wait_ms.is_some())
}

/// The answer, with its reader judged again every so often until it is there, and once more after a wait
/// that was asked for. A database that is away for a moment takes nobody's rights.
pub(super) async fn while_judged<F>(
    answer: impl Future<Output = Response>,
    waits: bool,
    every: Duration,
    judge: impl Fn() -> F,
) -> Result<Response, AuthError>
where
    F: Future<Output = Result<(), AuthError>>,
{
    let mut answer = pin!(answer);
    loop {
        if let Ok(answer) = tokio::time::timeout(every, answer.as_mut()).await {
            if waits {
                passed(judge().await)?;
            }
            return Ok(answer);
        }
        // Both go on: the answer may hold a connection to the database that the judge waits for.
        match select(answer.as_mut(), pin!(judge())).await {
            Either::Left((answer, judged)) => return passed(judged.await).map(|()| answer),
            Either::Right((judged, _)) => passed(judged)?,
        }
    }
}

fn passed(judged: Result<(), AuthError>) -> Result<(), AuthError> {
    match judged {
        Err(AuthError::Store(_)) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};

    use axum::response::IntoResponse as _;

    use super::*;
    use crate::store::StoreError;

    const SOON: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn a_wait_without_an_end_ends_when_its_reader_may_no_longer_read() {
        let judged = Cell::new(0);
        let judge = async || {
            judged.set(judged.get() + 1);
            match judged.get() {
                1 => Ok(()),
                2 => Err(AuthError::Store(StoreError::Statement(sqlx::Error::PoolTimedOut))),
                _ => Err(AuthError::Unknown),
            }
        };
        let refused = while_judged(pending(), true, SOON, judge).await.unwrap_err();
        assert!(matches!(refused, AuthError::Unknown), "{refused}");
        assert_eq!(judged.get(), 3, "a database that is away says nothing about a reader");
    }

    #[tokio::test]
    async fn an_answer_that_was_not_waited_for_is_not_judged_twice() {
        let judge = async || Err(AuthError::Unknown);
        let long = Duration::from_secs(600);
        while_judged(ready("x".into_response()), false, long, judge).await.unwrap();
        while_judged(ready("x".into_response()), true, long, judge).await.unwrap_err();
    }

    #[test]
    fn a_wait_is_seen_however_it_is_written() {
        for (query, wanted) in [
            ("wait_ms=25000", true),
            ("limit=1&wait%5Fms=25000", true),
            ("%77ait_ms=1&after=x", true),
            ("after=wait_ms", false),
            ("", false),
        ] {
            let uri: Uri = format!("/api/v1/events?{query}").parse().unwrap();
            assert_eq!(waits(&uri), wanted, "{query}");
        }
        assert!(!waits(&Uri::from_static("/api/v1/events")));
    }
}
