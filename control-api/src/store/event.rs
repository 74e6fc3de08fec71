//! Events. A row is never changed, and in time packed away ([`archive`]); its position in its spec counts up by one in commit order, and
//! its number in its sandbox in the order of the worker's facts.

pub(crate) mod archive;
pub(crate) mod log;
pub(crate) mod order;
pub(crate) mod recent;

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde_json::Value;
use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::RawEvent;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Session, StoreError, Write, stored};

const TABLE: &str = "events";

/// Who waits for whatever happens, in any spec.
pub(crate) const ANYWHERE: Uuid = Uuid::nil();

/// Who waits for the events of a sandbox: another name than the sandbox's own, under which its worker
/// waits for messages and is not to be woken by its own facts.
pub(crate) const fn reported_by(sandbox: SandboxId) -> Uuid {
    Uuid::from_u128(!sandbox.0.as_u128())
}

/// An event that is about to be stored.
#[derive(Debug)]
pub(crate) struct Recorded {
    position: i64,
    sandbox: Option<Uuid>,
    seq: Option<i64>,
    id: Uuid,
    kind: String,
    phase: Option<String>,
    at: DateTime<Utc>,
    data: Json<Value>,
}

impl Recorded {
    /// At its position in its spec; `sandbox` is absent for the control API's own.
    pub(crate) fn new(position: u64, sandbox: Option<SandboxId>, event: &RawEvent) -> Self {
        Self {
            position: stored(position),
            sandbox: sandbox.map(|id| id.0),
            seq: sandbox.map(|_| stored(event.seq)),
            id: event.id.0,
            kind: event.kind.clone(),
            phase: event.phase.map(|phase| phase.as_str().to_owned()),
            at: event.at.as_utc(),
            data: Json(event.data.clone()),
        }
    }
}

/// Of so many rows, at most, is one statement on SQLite: the longest is no longer than what it keeps
/// prepared, and a batch of 50 takes six.
const ROWS: [usize; 3] = [16, 4, 1];

static INSERT_SQLITE: LazyLock<[String; 3]> = LazyLock::new(|| {
    ROWS.map(|rows| {
        let rows: Vec<String> = (0..rows)
            .map(|row| {
                let own: Vec<String> = (3..=10).map(|n| format!("${}", row * 8 + n)).collect();
                format!("($1, $2, {})", own.join(", "))
            })
            .collect();
        format!(
            "INSERT INTO events (
                 spec_id, received_at, position, sandbox_id, seq, id, kind, phase, at, data
             )
             VALUES {}",
            rows.join(", ")
        )
    })
});

/// A transaction may have got its number before it waited for the spec's lock; were that number
/// kept, the order of all events could turn a spec's own order round.
const INSERT_POSTGRES: &str = "
    INSERT INTO events (
        spec_id, received_at, position, sandbox_id, seq, id, kind, phase, at, data, txid
    )
    SELECT $1, $2, position, sandbox_id, seq, id, kind, phase, at, data,
           GREATEST(
               pg_current_xact_id()::TEXT::BIGINT,
               (SELECT txid FROM events WHERE spec_id = $1 AND position = $11)
           )
    FROM UNNEST($3, $4, $5, $6, $7, $8, $9, $10)
             AS new (position, sandbox_id, seq, id, kind, phase, at, data)
    ORDER BY position";

/// Stores events behind the newest one of a spec, in order and without a hole, under the spec's lock,
/// and tells who waits for them.
pub(crate) async fn insert(
    write: &mut Write,
    spec: SpecId,
    events: Vec<Recorded>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(before) = events.first().map(|first| first.position - 1) else { return Ok(()) };
    for about in [spec.0, ANYWHERE] {
        write.tell(about);
    }
    for sandbox in events.iter().filter_map(|event| event.sandbox) {
        write.tell(reported_by(SandboxId(sandbox)));
    }
    if matches!(**write, Session::Sqlite(_)) {
        return insert_in_parts(write, spec, events, now).await;
    }
    write
        .query(INSERT_POSTGRES)
        .bind(spec.0)
        .bind(now.as_utc())
        .bind_all(events.iter().map(|event| event.position))
        .bind_all(events.iter().map(|event| event.sandbox))
        .bind_all(events.iter().map(|event| event.seq))
        .bind_all(events.iter().map(|event| event.id))
        .bind_all(events.iter().map(|event| event.kind.clone()))
        .bind_all(events.iter().map(|event| event.phase.clone()))
        .bind_all(events.iter().map(|event| event.at))
        .bind_all(events.into_iter().map(|event| event.data))
        .bind(before)
        .execute()
        .await?;
    Ok(())
}

async fn insert_in_parts(
    write: &mut Write,
    spec: SpecId,
    events: Vec<Recorded>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut events = events.into_iter();
    for (rows, sql) in ROWS.into_iter().zip(INSERT_SQLITE.iter()) {
        while events.len() >= rows {
            let mut insert = write.query(sql).bind(spec.0).bind(now.as_utc());
            for event in events.by_ref().take(rows) {
                insert = insert
                    .bind(event.position)
                    .bind(event.sandbox)
                    .bind(event.seq)
                    .bind(event.id)
                    .bind(event.kind)
                    .bind(event.phase)
                    .bind(event.at)
                    .bind(event.data);
            }
            insert.execute().await?;
        }
    }
    Ok(())
}

/// Takes each spec's events away up to a position, as if they had become too old.
#[cfg(test)]
pub(crate) async fn take_away(write: &mut Write, position: i64) {
    let delete = write.query("DELETE FROM events WHERE position <= $1").bind(position);
    delete.execute().await.unwrap();
}
