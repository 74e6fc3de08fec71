//! Events. A row is never changed; its position in its spec is its cursor.

use chrono::{DateTime, Utc};
use serde_json::Value;
use specwright_shared::id::{EventId, SandboxId, SpecId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::{EventView, RawEvent};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Session, StoreError, Write, count, stored, word};

const TABLE: &str = "events";

#[derive(sqlx::FromRow)]
struct Row {
    position: i64,
    sandbox_id: Option<Uuid>,
    seq: Option<i64>,
    id: Uuid,
    kind: String,
    phase: Option<String>,
    at: DateTime<Utc>,
    data: Json<Value>,
}

impl TryFrom<Row> for EventView {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            position: count(TABLE, row.position)?,
            sandbox_id: row.sandbox_id.map(SandboxId),
            event: RawEvent {
                seq: count(TABLE, row.seq.unwrap_or(0))?,
                id: EventId(row.id),
                kind: row.kind,
                at: row.at.into(),
                phase: row.phase.map(|phase| word(TABLE, &phase)).transpose()?,
                data: row.data.0,
            },
        })
    }
}

/// Stores an event at its position; `sandbox` is absent for the control API's own.
pub(crate) async fn insert(
    write: &mut Write,
    spec: SpecId,
    position: u64,
    sandbox: Option<SandboxId>,
    event: &RawEvent,
    now: Timestamp,
) -> Result<(), StoreError> {
    write
        .query(
            "INSERT INTO events (
                 spec_id, position, sandbox_id, seq, id, kind, phase, at, received_at, data
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(spec.0)
        .bind(stored(position))
        .bind(sandbox.map(|id| id.0))
        .bind(sandbox.map(|_| stored(event.seq)))
        .bind(event.id.0)
        .bind(event.kind.clone())
        .bind(event.phase.map(|phase| phase.as_str()))
        .bind(event.at.as_utc())
        .bind(now.as_utc())
        .bind(Json(event.data.clone()))
        .execute()
        .await?;
    Ok(())
}

/// A spec's events behind a position, in commit order.
pub(crate) async fn list(
    session: &mut Session,
    spec: SpecId,
    after: u64,
    limit: i64,
) -> Result<Vec<EventView>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT position, sandbox_id, seq, id, kind, phase, at, data
             FROM events
             WHERE spec_id = $1 AND position > $2
             ORDER BY position
             LIMIT $3",
        )
        .bind(spec.0)
        .bind(stored(after))
        .bind(limit)
        .fetch_all()
        .await?;
    rows.into_iter().map(EventView::try_from).collect()
}
