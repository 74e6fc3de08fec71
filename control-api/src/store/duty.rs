//! Who does which background duty, and what came of it. A claim is a lease: who holds it does the
//! duty, nobody else, until it is given back, runs out, or its holder is known to be gone.

use chrono::{DateTime, Utc};
use serde_json::Value;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::duty::DutyView;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Session, StoreError, Write, count, stored};

const TABLE: &str = "duties";

/// Which duty, of which machine (empty: of none).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Which<'a> {
    pub(crate) name: &'static str,
    pub(crate) place: &'a str,
}

/// Who wants to do it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimant<'a> {
    pub(crate) replica: Uuid,
    /// Its process, for others on the same machine.
    pub(crate) place: &'a Value,
}

/// Who holds a duty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Holder {
    pub(crate) replica: Uuid,
    pub(crate) place: Option<Value>,
    pub(crate) lease_until: Timestamp,
}

/// What rounds since the last note did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) rounds: u64,
    pub(crate) did: u64,
    pub(crate) failures: u64,
    /// The last round's length in milliseconds.
    pub(crate) took_ms: u64,
    /// What the last round failed with.
    pub(crate) failed: Option<String>,
}

/// Takes a duty, or keeps it. `false`: another one holds it. A holder `known_gone` does not count.
pub(crate) async fn claim(
    write: &mut Write,
    which: Which<'_>,
    claimant: Claimant<'_>,
    known_gone: Option<Uuid>,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<bool, StoreError> {
    let touched = write
        .query(
            "INSERT INTO duties (
                 name, place, holder, holder_place, lease_until, took_ms, did, did_total,
                 rounds_total, failures_total
             )
             VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, 0)
             ON CONFLICT (name, place) DO UPDATE
             SET holder = excluded.holder, holder_place = excluded.holder_place,
                 lease_until = excluded.lease_until
             WHERE duties.holder IS NULL
                OR duties.holder = excluded.holder
                OR duties.holder = $7
                OR duties.lease_until <= $6",
        )
        .bind(which.name)
        .bind(which.place.to_owned())
        .bind(claimant.replica)
        .bind(Json(claimant.place.clone()))
        .bind(lease_until.as_utc())
        .bind(now.as_utc())
        .bind(known_gone)
        .execute()
        .await?;
    Ok(touched == 1)
}

/// Who holds a duty now; `None`: nobody does.
pub(crate) async fn holder(
    session: &mut Session,
    which: Which<'_>,
) -> Result<Option<Holder>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        holder: Option<Uuid>,
        holder_place: Option<Json<Value>>,
        lease_until: DateTime<Utc>,
    }
    let row: Option<Row> = session
        .query(
            "SELECT holder, holder_place, lease_until
             FROM duties
             WHERE name = $1 AND place = $2",
        )
        .bind(which.name)
        .bind(which.place.to_owned())
        .fetch_optional()
        .await?;
    Ok(row.and_then(|row| {
        let place = row.holder_place.map(|place| place.0);
        Some(Holder { replica: row.holder?, place, lease_until: row.lease_until.into() })
    }))
}

/// Notes what the holder did, and keeps the duty. `false`: it is no longer the holder.
pub(crate) async fn note(
    write: &mut Write,
    which: Which<'_>,
    replica: Uuid,
    done: &Done,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<bool, StoreError> {
    let touched = write
        .query(
            "UPDATE duties
             SET last_run_at = $4, lease_until = $5, took_ms = $6,
                 did = CASE WHEN $7 > 0 THEN $7 ELSE did END, did_total = did_total + $7,
                 rounds_total = rounds_total + $8, failures_total = failures_total + $9,
                 failed = $10
             WHERE name = $1 AND place = $2 AND holder = $3",
        )
        .bind(which.name)
        .bind(which.place.to_owned())
        .bind(replica)
        .bind(now.as_utc())
        .bind(lease_until.as_utc())
        .bind(stored(done.took_ms))
        .bind(stored(done.did))
        .bind(stored(done.rounds))
        .bind(stored(done.failures))
        .bind(done.failed.clone())
        .execute()
        .await?;
    Ok(touched == 1)
}

/// Gives a duty back, so that the next one need not wait for the lease's end.
pub(crate) async fn give_back(
    write: &mut Write,
    which: Which<'_>,
    replica: Uuid,
) -> Result<(), StoreError> {
    write
        .query("UPDATE duties SET holder = NULL WHERE name = $1 AND place = $2 AND holder = $3")
        .bind(which.name)
        .bind(which.place.to_owned())
        .bind(replica)
        .execute()
        .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    name: String,
    place: String,
    holder: Option<Uuid>,
    lease_until: DateTime<Utc>,
    last_run_at: Option<DateTime<Utc>>,
    took_ms: i64,
    did: i64,
    did_total: i64,
    rounds_total: i64,
    failures_total: i64,
    failed: Option<String>,
}

/// All duties that anyone ever did.
pub(crate) async fn list(session: &mut Session) -> Result<Vec<DutyView>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT name, place, holder, lease_until, last_run_at, took_ms, did, did_total,
                    rounds_total, failures_total, failed
             FROM duties
             ORDER BY name, place",
        )
        .fetch_all()
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(DutyView {
                name: row.name,
                machine: Some(row.place).filter(|place| !place.is_empty()),
                holder: row.holder,
                lease_until: row.holder.map(|_| row.lease_until.into()),
                last_run_at: row.last_run_at.map(Into::into),
                took_ms: count(TABLE, row.took_ms)?,
                did: count(TABLE, row.did)?,
                did_total: count(TABLE, row.did_total)?,
                rounds_total: count(TABLE, row.rounds_total)?,
                failures_total: count(TABLE, row.failures_total)?,
                failed: row.failed,
            })
        })
        .collect()
}
