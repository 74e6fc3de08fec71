//! Which deployment this database belongs to, and since when, without a gap, some control API has
//! been there to hear its workers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use specwright_shared::time::Timestamp;
use uuid::Uuid;

use super::{StoreError, Write};

/// Says that a control API is there. Answers since when, without a gap longer than `gap`, one was.
/// A clock that was set, forward or back, counts as a gap: the safe mistake.
pub(crate) async fn beat(
    write: &mut Write,
    now: Timestamp,
    gap: Duration,
) -> Result<Timestamp, StoreError> {
    deployment(write, now).await?;
    let unbroken = Timestamp::from_micros(now.as_micros() - micros(gap));
    let (since,): (DateTime<Utc>,) = write
        .query(
            "UPDATE presence
             SET since = CASE WHEN seen_at < $2 OR seen_at > $3 THEN $1 ELSE since END,
                 seen_at = $1
             WHERE one = 1
             RETURNING since",
        )
        .bind(now.as_utc())
        .bind(unbroken.as_utc())
        .bind(now.plus(gap).as_utc())
        .fetch_one()
        .await?;
    Ok(since.into())
}

/// The deployment's name for itself, made when the database is.
pub(crate) async fn deployment(write: &mut Write, now: Timestamp) -> Result<Uuid, StoreError> {
    write
        .query(
            "INSERT INTO presence (one, deployment, since, seen_at)
             VALUES (1, $1, $2, $2)
             ON CONFLICT (one) DO NOTHING",
        )
        .bind(Uuid::now_v7())
        .bind(now.as_utc())
        .execute()
        .await?;
    let (deployment,): (Uuid,) =
        write.query("SELECT deployment FROM presence WHERE one = 1").fetch_one().await?;
    Ok(deployment)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
