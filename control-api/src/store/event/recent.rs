//! What a sandbox reported lately, read back as it was reported.

use chrono::{DateTime, Utc};
use serde_json::Value;
use specwright_shared::id::{EventId, SandboxId};
use specwright_shared::time::Timestamp;
use specwright_shared::trace::TraceId;
use specwright_shared::wire::event::{EventView, RawEvent};
use sqlx::types::Json;
use uuid::Uuid;

use super::log::Log;
use super::order::Place;
use super::{TABLE, archive};
use crate::store::{Session, StoreError, count, stored, word};

/// The most events that are read at once: a few minutes of the busiest agent.
const MOST: i64 = 4096;
/// What is left out, here and in the statement.
const LEFT_OUT: [&str; 2] = ["agent.thinking", "spec.artifact_created"];

#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    id: Uuid,
    kind: String,
    phase: Option<String>,
    at: DateTime<Utc>,
    data: Json<Value>,
    trace_id: Option<Uuid>,
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
            trace_id: row.trace_id.and_then(TraceId::of),
            data: row.data.0,
        })
    }
}

/// The events of a sandbox behind a number that came at `since` or later (`None`: whenever), in their
/// order. Thoughts and documents, which are large and say nothing of what was done, are left out. What
/// is packed is among them if no `since` is given: nobody asks for what came since so long ago.
pub(crate) async fn behind(
    session: &mut Session,
    sandbox: SandboxId,
    after: u64,
    since: Option<Timestamp>,
) -> Result<Vec<RawEvent>, StoreError> {
    let (mut found, mut reached) = (Vec::new(), stored(after));
    if since.is_none() {
        found = packed(session, sandbox, after, MOST).await?;
        reached = found.last().map_or(reached, |last| stored(last.seq));
        found.retain(|event| !LEFT_OUT.contains(&event.kind.as_str()));
    }
    let rows: Vec<Row> = session
        .query(
            "SELECT seq, id, kind, phase, at, data, trace_id
             FROM events
             WHERE sandbox_id = $1 AND seq > $2 AND ($3 IS NULL OR received_at >= $3)
               AND kind NOT IN ('agent.thinking', 'spec.artifact_created')
             ORDER BY seq
             LIMIT $4",
        )
        .bind(sandbox.0)
        .bind(reached)
        .bind(since.map(Timestamp::as_utc))
        .bind(MOST)
        .fetch_all()
        .await?;
    for row in rows {
        found.push(row.try_into()?);
    }
    found.truncate(usize::try_from(MOST).unwrap_or(usize::MAX));
    Ok(found)
}

/// The packed events of a sandbox behind a number.
async fn packed(
    session: &mut Session,
    sandbox: SandboxId,
    after: u64,
    limit: i64,
) -> Result<Vec<RawEvent>, StoreError> {
    let (log, after) = (Log::Sandbox(sandbox), Place::behind(stored(after)));
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let unpacked = archive::read(session, log, after, limit).await?;
    let events = unpacked.facts.iter().map(|fact| serde_json::from_str(fact.json.get()));
    let events: Result<Vec<EventView>, _> = events.collect();
    let events = events.map_err(|error| StoreError::Corrupt {
        table: TABLE,
        what: format!("a packed event: {error}"),
    })?;
    Ok(events.into_iter().map(|view| view.event).collect())
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
    if let Some((data,)) = row {
        return Ok(Some(data.0));
    }
    let first = packed(session, sandbox, 0, FIRST).await?;
    Ok(first.into_iter().find(|event| event.kind == "spec.execution_started").map(|one| one.data))
}
