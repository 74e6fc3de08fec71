//! Faults of a database that pass by themselves: which they are, and doing again what they broke off.
//!
//! What holds: only what may be done twice is done again ([`again`] is called for such operations
//! alone), and only after faults of which another try can be expected to come through. All others are
//! told to who asked, as `503` with a time ([`crate::problem`]).

use std::error::Error;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use sqlx::error::DatabaseError;

/// How often an operation is done again. A restarted server takes longer than that: then the one who
/// asked does it, who has more patience.
const TIMES: usize = 4;
/// The first pause: two transactions that collided are done within it.
const FIRST: Duration = Duration::from_millis(10);
/// The longest pause.
const LONGEST: Duration = Duration::from_millis(500);

/// A fault that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Another transaction was in the way, and ours was given up: nothing of it happened.
    Collision,
    /// The connection is lost. Whether a commit under way happened is not known.
    Lost,
    /// The database is busy, or something held a lock for too long.
    Busy,
}

/// The trouble behind an error, if that is what it is.
pub(crate) fn trouble(error: &(dyn Error + 'static)) -> Option<Trouble> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return of(error);
        }
        next = error.source();
    }
    None
}

fn of(error: &sqlx::Error) -> Option<Trouble> {
    match error {
        sqlx::Error::Io(_) => Some(Trouble::Lost),
        sqlx::Error::PoolTimedOut => Some(Trouble::Busy),
        sqlx::Error::Database(error) if gave_up(&**error) => Some(Trouble::Busy),
        sqlx::Error::Database(error) => of_code(error.code()?.as_ref()),
        _ => None,
    }
}

/// Whether SQLite says that the transaction is no longer there: it gave up the whole of it for an error
/// of another one's turn in it (a full disk, a statement that took too long). It has no code for that.
fn gave_up(error: &dyn DatabaseError) -> bool {
    error.code().as_deref() == Some("1")
        && ["no such savepoint", "no transaction is active"]
            .iter()
            .any(|said| error.message().contains(said))
}

/// PostgreSQL's codes have five characters; SQLite's are numbers, of which the lowest byte says the
/// kind.
fn of_code(code: &str) -> Option<Trouble> {
    match code {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => Some(Trouble::Collision),
        // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped,
        // idle_in_transaction_session_timeout; class 08: the connection; read_only_sql_transaction:
        // the server became a standby
        "57P01" | "57P02" | "57P03" | "57P04" | "25P03" | "25006" => Some(Trouble::Lost),
        // query_canceled (by the time limit), lock_not_available; class 53: resources ran out
        "57014" | "55P03" => Some(Trouble::Busy),
        _ if code.len() == 5 && code.starts_with("08") => Some(Trouble::Lost),
        _ if code.len() == 5 && code.starts_with("53") => Some(Trouble::Busy),
        // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_INTERRUPT (by the time limit)
        _ => matches!(code.parse::<u32>().ok()? & 0xFF, 5 | 6 | 9).then_some(Trouble::Busy),
    }
}

/// Does an operation, and does it again when a collision or a lost connection broke it off. It must
/// be one that done twice has done nothing more, with its transaction begun and committed inside.
///
/// # Errors
/// The last try's.
pub(crate) async fn again<T, E, F>(what: &'static str, operation: impl FnMut() -> F) -> Result<T, E>
where
    E: Error + 'static,
    F: Future<Output = Result<T, E>>,
{
    let pauses = ExponentialBuilder::new()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .with_factor(4.0)
        .with_max_times(TIMES)
        .with_jitter();
    operation
        .retry(pauses)
        .when(|error: &E| matches!(trouble(error), Some(Trouble::Collision | Trouble::Lost)))
        .notify(|error, pause| {
            let error = crate::problem::chain(error);
            tracing::warn!(what, error, ?pause, "the database broke it off; it is done again");
        })
        .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::{self, ErrorKind};

    use super::*;
    use crate::store::StoreError;

    fn lost() -> StoreError {
        StoreError::Statement(sqlx::Error::Io(io::Error::from(ErrorKind::UnexpectedEof)))
    }

    #[test]
    fn codes_of_both_engines_say_what_passes() {
        for (code, expected) in [
            ("40001", Some(Trouble::Collision)),
            ("40P01", Some(Trouble::Collision)),
            ("57P01", Some(Trouble::Lost)),
            ("08006", Some(Trouble::Lost)),
            ("55P03", Some(Trouble::Busy)),
            ("57014", Some(Trouble::Busy)),
            ("53300", Some(Trouble::Busy)),
            // SQLITE_BUSY_SNAPSHOT
            ("517", Some(Trouble::Busy)),
            ("9", Some(Trouble::Busy)),
            // unique_violation, SQLITE_CONSTRAINT_UNIQUE, undefined_table
            ("23505", None),
            ("2067", None),
            ("42P01", None),
        ] {
            assert_eq!(of_code(code), expected, "{code}");
        }
    }

    #[tokio::test]
    async fn what_was_broken_off_is_done_again_a_few_times() {
        let tries = Cell::new(0);
        let operation = async || {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { Err(lost()) } else { Ok(tries.get()) }
        };
        assert_eq!(again("a test", operation).await.unwrap(), 3);

        tries.set(0);
        let operation = async || {
            tries.set(tries.get() + 1);
            Err::<(), _>(lost())
        };
        assert!(again("a test", operation).await.is_err());
        assert_eq!(tries.get(), TIMES + 1);
    }

    #[tokio::test]
    async fn a_fault_that_stays_is_told_at_once() {
        let tries = Cell::new(0);
        let operation = async || {
            tries.set(tries.get() + 1);
            Err::<(), _>(StoreError::Statement(sqlx::Error::RowNotFound))
        };
        assert!(again("a test", operation).await.is_err());
        assert_eq!(tries.get(), 1);
    }
}
