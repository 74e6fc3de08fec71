//! Messages into running agents. Reading consumes nothing; a status only rises.

use chrono::{DateTime, Utc};
use specwright_shared::id::{MessageId, SandboxId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::message::{Deliver, Message, MessageKind, MessageStatus};
use uuid::Uuid;

use super::{Session, StoreError, Write, count, stored, word};

const TABLE: &str = "messages";

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    sandbox_id: Uuid,
    position: i64,
    kind: String,
    text: String,
    deliver: String,
    status: String,
    created_at: DateTime<Utc>,
    written_at: Option<DateTime<Utc>>,
    seen_at: Option<DateTime<Utc>>,
}

fn corrupt(what: String) -> StoreError {
    StoreError::Corrupt { table: TABLE, what }
}

impl TryFrom<Row> for Message {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let kind = [MessageKind::UserMessage, MessageKind::GuardianNudge, MessageKind::System]
            .into_iter()
            .find(|kind| kind.as_str() == row.kind)
            .ok_or_else(|| corrupt(format!("`{}` is not a message kind", row.kind)))?;
        let deliver = [Deliver::Next, Deliver::Now, Deliver::Later]
            .into_iter()
            .find(|deliver| deliver.as_str() == row.deliver)
            .ok_or_else(|| corrupt(format!("`{}` is not a way to deliver", row.deliver)))?;
        Ok(Self {
            id: MessageId(row.id),
            position: count(TABLE, row.position)?,
            kind,
            text: row.text,
            deliver,
            status: word(TABLE, &row.status)?,
            created_at: row.created_at.into(),
            written_at: row.written_at.map(Into::into),
            seen_at: row.seen_at.map(Into::into),
        })
    }
}

/// Stores a message for a sandbox.
pub(crate) async fn insert(
    write: &mut Write,
    sandbox: SandboxId,
    message: &Message,
) -> Result<(), StoreError> {
    write
        .query(
            "INSERT INTO messages (
                 id, sandbox_id, position, kind, text, deliver, status, created_at
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(message.id.0)
        .bind(sandbox.0)
        .bind(stored(message.position))
        .bind(message.kind.as_str())
        .bind(message.text.clone())
        .bind(message.deliver.as_str())
        .bind(message.status.as_str())
        .bind(message.created_at.as_utc())
        .execute()
        .await?;
    Ok(())
}

/// One message and the sandbox that it is for.
pub(crate) async fn find(
    session: &mut Session,
    id: MessageId,
) -> Result<Option<(SandboxId, Message)>, StoreError> {
    let row: Option<Row> =
        session.query("SELECT * FROM messages WHERE id = $1").bind(id.0).fetch_optional().await?;
    row.map(|row| Ok((SandboxId(row.sandbox_id), row.try_into()?))).transpose()
}

/// A sandbox's messages behind a position, in their order.
pub(crate) async fn list(
    session: &mut Session,
    sandbox: SandboxId,
    after: u64,
    limit: i64,
) -> Result<Vec<Message>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT *
             FROM messages
             WHERE sandbox_id = $1 AND position > $2
             ORDER BY position
             LIMIT $3",
        )
        .bind(sandbox.0)
        .bind(stored(after))
        .bind(limit)
        .fetch_all()
        .await?;
    rows.into_iter().map(Message::try_from).collect()
}

/// A message of this sandbox came further. A repeat, or a step back, changes nothing.
pub(crate) async fn advance(
    write: &mut Write,
    sandbox: SandboxId,
    id: MessageId,
    status: MessageStatus,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some((owner, message)) = find(write, id).await? else { return Ok(()) };
    let settled = matches!(message.status, MessageStatus::Seen | MessageStatus::Expired);
    if owner != sandbox || settled || status <= message.status {
        return Ok(());
    }
    let written = (status == MessageStatus::Written).then_some(at).or(message.written_at);
    let seen = (status == MessageStatus::Seen).then_some(at);
    write
        .query("UPDATE messages SET status = $2, written_at = $3, seen_at = $4 WHERE id = $1")
        .bind(id.0)
        .bind(status.as_str())
        .bind(written.map(Timestamp::as_utc))
        .bind(seen.map(Timestamp::as_utc))
        .execute()
        .await?;
    Ok(())
}

/// The run is over: what the agent has not seen, it never will.
pub(crate) async fn expire(write: &mut Write, sandbox: SandboxId) -> Result<(), StoreError> {
    write
        .query(
            "UPDATE messages
             SET status = 'expired'
             WHERE sandbox_id = $1 AND status IN ('queued', 'written')",
        )
        .bind(sandbox.0)
        .execute()
        .await?;
    Ok(())
}
