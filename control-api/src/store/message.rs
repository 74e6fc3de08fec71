//! Messages into running agents. Reading consumes nothing; a receipt only rises, and each keeps the
//! time at which it came.
//!
//! The one exception: an expiry that was presumed here, because no word of the worker had come in
//! time, gives way to what the worker did in truth.

use chrono::{DateTime, Utc};
use specwright_shared::id::{MessageId, SandboxId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::MessageInjected;
use specwright_shared::wire::message::{Deliver, Message, MessageKind, MessageStatus};
use uuid::Uuid;

use super::{Session, StoreError, Write, count, stored, word};

const TABLE: &str = "messages";

/// Said of a message whose `expires_at` passed before a worker reported it.
const TIME_RAN_OUT: &str = "its time ran out before the agent took it up";
/// Said of a message whose run ended first.
const RUN_ENDED: &str = "the run ended before the agent took it up";

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    sandbox_id: Uuid,
    position: i64,
    kind: String,
    text: String,
    deliver: String,
    status: String,
    sender: Option<String>,
    phase: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    cancel_queued: bool,
    seen_as: Option<String>,
    reason: Option<String>,
    traceparent: Option<String>,
    created_at: DateTime<Utc>,
    delivered_at: Option<DateTime<Utc>>,
    written_at: Option<DateTime<Utc>>,
    seen_at: Option<DateTime<Utc>>,
    settled_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

fn corrupt(what: String) -> StoreError {
    StoreError::Corrupt { table: TABLE, what }
}

impl TryFrom<Row> for Message {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let kind = MessageKind::ALL
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
            sender: row.sender,
            phase: row.phase.map(|phase| word(TABLE, &phase)).transpose()?,
            expires_at: row.expires_at.map(Into::into),
            cancel_queued: row.cancel_queued,
            seen_as: row.seen_as.map(|seen| word(TABLE, &seen)).transpose()?,
            reason: row.reason,
            // A name only: what another version wrote otherwise is none.
            traceparent: row.traceparent.and_then(|context| context.parse().ok()),
            created_at: row.created_at.into(),
            delivered_at: row.delivered_at.map(Into::into),
            written_at: row.written_at.map(Into::into),
            seen_at: row.seen_at.map(Into::into),
            settled_at: row.settled_at.map(Into::into),
            ended_at: row.ended_at.map(Into::into),
        })
    }
}

/// Stores a message for a sandbox.
pub(crate) async fn insert(
    write: &mut Write,
    sandbox: SandboxId,
    message: &Message,
) -> Result<(), StoreError> {
    write.tell(sandbox.0);
    write
        .query(
            "INSERT INTO messages (
                 id, sandbox_id, position, kind, text, deliver, status, sender, phase, expires_at,
                 cancel_queued, created_at, traceparent
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(message.id.0)
        .bind(sandbox.0)
        .bind(stored(message.position))
        .bind(message.kind.as_str())
        .bind(message.text.clone())
        .bind(message.deliver.as_str())
        .bind(message.status.as_str())
        .bind(message.sender.clone())
        .bind(message.phase.map(|phase| phase.as_str()))
        .bind(message.expires_at.map(Timestamp::as_utc))
        .bind(message.cancel_queued)
        .bind(message.created_at.as_utc())
        .bind(message.traceparent.map(String::from))
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

/// A message of this sandbox came further, as its worker says. A repeat, or a step back, changes
/// nothing.
pub(crate) async fn advance(
    write: &mut Write,
    sandbox: SandboxId,
    step: &MessageInjected,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some((owner, message)) = find(write, step.message_id).await? else { return Ok(()) };
    let (from, to) = (message.status, step.status);
    let presumed = from == MessageStatus::Expired && to > MessageStatus::Queued && to != from;
    if owner != sandbox || !(from.can_become(to) || presumed) {
        return Ok(());
    }
    let when = |status: MessageStatus, known: Option<Timestamp>| {
        (to == status).then_some(at).or(known).map(Timestamp::as_utc)
    };
    let ended = (to.is_final() && to != MessageStatus::Settled).then_some(at);
    write
        .query(
            "UPDATE messages
             SET status = $2, seen_as = $3, reason = $4, delivered_at = $5, written_at = $6,
                 seen_at = $7, settled_at = $8, ended_at = $9
             WHERE id = $1",
        )
        .bind(message.id.0)
        .bind(to.as_str())
        .bind(step.seen_as.or(message.seen_as).map(|seen| seen.as_str()))
        .bind(step.reason.clone())
        .bind(when(MessageStatus::Delivered, message.delivered_at))
        .bind(when(MessageStatus::Written, message.written_at))
        .bind(when(MessageStatus::Seen, message.seen_at))
        .bind(when(MessageStatus::Settled, message.settled_at))
        .bind(ended.map(Timestamp::as_utc))
        .execute()
        .await?;
    Ok(())
}

/// The run is over: what the agent has not seen, it never will; what it has seen was part of a turn that
/// is over, too.
pub(crate) async fn expire(
    write: &mut Write,
    sandbox: SandboxId,
    now: Timestamp,
) -> Result<(), StoreError> {
    write
        .query(
            "UPDATE messages
             SET status = 'expired', reason = $2, ended_at = $3
             WHERE sandbox_id = $1 AND status IN ('queued', 'delivered', 'written')",
        )
        .bind(sandbox.0)
        .bind(RUN_ENDED)
        .bind(now.as_utc())
        .execute()
        .await?;
    write
        .query(
            "UPDATE messages
             SET status = 'settled', settled_at = $2
             WHERE sandbox_id = $1 AND status = 'seen'",
        )
        .bind(sandbox.0)
        .bind(now.as_utc())
        .execute()
        .await?;
    Ok(())
}

/// Messages whose time ran out before a worker said anything of writing them expire. Says how many.
pub(crate) async fn expire_overdue(write: &mut Write, now: Timestamp) -> Result<u64, StoreError> {
    write
        .query(
            "UPDATE messages
             SET status = 'expired', reason = $1, ended_at = $2
             WHERE status IN ('queued', 'delivered') AND expires_at <= $2",
        )
        .bind(TIME_RAN_OUT)
        .bind(now.as_utc())
        .execute()
        .await
}

/// Whether a message waits whose time has run out.
pub(crate) async fn any_overdue(session: &mut Session, now: Timestamp) -> Result<bool, StoreError> {
    let row: Option<(i64,)> = session
        .query(
            "SELECT position
             FROM messages
             WHERE status IN ('queued', 'delivered') AND expires_at <= $1
             LIMIT 1",
        )
        .bind(now.as_utc())
        .fetch_optional()
        .await?;
    Ok(row.is_some())
}
