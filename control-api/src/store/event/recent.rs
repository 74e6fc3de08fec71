//! What a sandbox reported lately, read back as it was reported.

use chrono::{DateTime, Utc};
use serde_json::Value;
use specwright_shared::id::{EventId, SandboxId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::RawEvent;
use sqlx::types::Json;
use uuid::Uuid;

use super::TABLE;
use crate::store::{Session, StoreError, count, stored, word};

/// The most events that are read at once: a few minutes of the busiest agent.
const MOST: i64 = 4096;

#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    id: Uuid,
    kind: String,
    phase: Option<String>,
    at: DateTime<Utc>,
    data: Json<Value>,
}

impl TryFrom<Row> for RawEvent {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: count(TABLE, row.seq)?,
            id: EventId(row.id),
            kind: row.kind,
            at: row.at.into(),
            phase: row.phase.map(|phase| word(TABLE, &phase)).transpose()?,
            data: row.data.0,
        })
    }
}

/// The events of a sandbox behind a number that came at `since` or later (`None`: whenever), in their
/// order. Thoughts and documents, which are large and say nothing of what was done, are left out.
pub(crate) async fn behind(
    session: &mut Session,
    sandbox: SandboxId,
    after: u64,
    since: Option<Timestamp>,
) -> Result<Vec<RawEvent>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT seq, id, kind, phase, at, data
             FROM events
             WHERE sandbox_id = $1 AND seq > $2 AND ($3 IS NULL OR received_at >= $3)
               AND kind NOT IN ('agent.thinking', 'spec.artifact_created')
             ORDER BY seq
             LIMIT $4",
        )
        .bind(sandbox.0)
        .bind(stored(after))
        .bind(since.map(Timestamp::as_utc))
        .bind(MOST)
        .fetch_all()
        .await?;
    rows.into_iter().map(RawEvent::try_from).collect()
}

/// So many of the first events are looked through for the begin of the run.
const FIRST: i64 = 50;

/// The body of `spec.execution_started`, if the run has come so far.
pub(crate) async fn beginning(
    session: &mut Session,
    sandbox: SandboxId,
) -> Result<Option<Value>, StoreError> {
    let row: Option<(Json<Value>,)> = session
        .query(
            "SELECT data
             FROM events
             WHERE sandbox_id = $1 AND seq <= $2 AND kind = 'spec.execution_started'
             ORDER BY seq
             LIMIT 1",
        )
        .bind(sandbox.0)
        .bind(FIRST)
        .fetch_optional()
        .await?;
    Ok(row.map(|(data,)| data.0))
}
