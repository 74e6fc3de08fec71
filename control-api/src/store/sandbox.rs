//! Sandboxes. At most one of a spec has not ended: a partial unique index says so, and `insert`
//! reports its refusal as a unique violation.

pub(crate) mod list;
pub(crate) mod salvage;
pub(crate) mod token;
pub(crate) mod waiting;

use chrono::{DateTime, Utc};
use serde_json::Value;
use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::SandboxState;
use specwright_shared::time::Timestamp;
use specwright_shared::trace::TraceContext;
use specwright_shared::wire::sandbox::{Heartbeat, SandboxView};
use specwright_shared::wire::spec::RunOptions;
use sqlx::types::Json;
use uuid::Uuid;

use self::salvage::Claim;
use super::{Session, StoreError, Write, count, stored, word};

const TABLE: &str = "sandboxes";

/// A sandbox as stored.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox {
    pub(crate) id: SandboxId,
    pub(crate) spec_id: SpecId,
    pub(crate) state: SandboxState,
    pub(crate) provider: String,
    pub(crate) place: Option<Value>,
    pub(crate) generation: u64,
    pub(crate) boot_id: Option<Uuid>,
    pub(crate) acked_seq: u64,
    pub(crate) lease_expires_at: Timestamp,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) heartbeat_at: Option<Timestamp>,
    pub(crate) stop_reason: Option<String>,
    pub(crate) pause_requested: bool,
    pub(crate) cost_micro_usd: i64,
    pub(crate) agent: String,
    pub(crate) options: RunOptions,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) message: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    /// How often it was tried to deliver what was left in its place.
    pub(crate) salvages: u64,
    /// Who is at it.
    pub(crate) salvage_claim: Option<Claim>,
    /// The request that asked for its run.
    pub(crate) traceparent: Option<TraceContext>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    spec_id: Uuid,
    state: String,
    provider: String,
    place: Option<Json<Value>>,
    generation: i64,
    boot_id: Option<Uuid>,
    acked_seq: i64,
    lease_expires_at: DateTime<Utc>,
    heartbeat: Option<Json<Heartbeat>>,
    heartbeat_at: Option<DateTime<Utc>>,
    stop_reason: Option<String>,
    pause_requested: bool,
    cost_micro_usd: i64,
    agent: String,
    options: Json<RunOptions>,
    outcome: Option<String>,
    message: Option<String>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    salvages: i64,
    salvage_claim: Option<Json<Claim>>,
    traceparent: Option<String>,
}

impl TryFrom<Row> for Sandbox {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: SandboxId(row.id),
            spec_id: SpecId(row.spec_id),
            state: word(TABLE, &row.state)?,
            provider: row.provider,
            place: row.place.map(|place| place.0),
            generation: count(TABLE, row.generation)?,
            boot_id: row.boot_id,
            acked_seq: count(TABLE, row.acked_seq)?,
            lease_expires_at: row.lease_expires_at.into(),
            heartbeat: row.heartbeat.map(|heartbeat| heartbeat.0),
            heartbeat_at: row.heartbeat_at.map(Into::into),
            stop_reason: row.stop_reason,
            pause_requested: row.pause_requested,
            cost_micro_usd: row.cost_micro_usd,
            agent: row.agent,
            options: row.options.0,
            outcome: row.outcome.map(|outcome| word(TABLE, &outcome)).transpose()?,
            message: row.message,
            created_at: row.created_at.into(),
            ended_at: row.ended_at.map(Into::into),
            salvages: count(TABLE, row.salvages)?,
            salvage_claim: row.salvage_claim.map(|claim| claim.0),
            // A name only: what another version wrote otherwise is none.
            traceparent: row.traceparent.and_then(|context| context.parse().ok()),
        })
    }
}

impl From<Sandbox> for SandboxView {
    fn from(sandbox: Sandbox) -> Self {
        Self {
            id: sandbox.id,
            spec_id: sandbox.spec_id,
            state: sandbox.state,
            provider: sandbox.provider,
            generation: sandbox.generation,
            agent: sandbox.agent,
            heartbeat: sandbox.heartbeat,
            heartbeat_at: sandbox.heartbeat_at,
            verdict: None,
            hold: None,
            verdicts: Vec::new(),
            acked: sandbox.acked_seq,
            outcome: sandbox.outcome,
            message: sandbox.message,
            trace_id: sandbox.traceparent.map(|context| context.trace),
            created_at: sandbox.created_at,
            ended_at: sandbox.ended_at,
        }
    }
}

/// A sandbox that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct NewSandbox {
    pub(crate) id: SandboxId,
    pub(crate) spec_id: SpecId,
    pub(crate) provider: &'static str,
    pub(crate) token_hash: [u8; 32],
    pub(crate) lease_expires_at: Timestamp,
    pub(crate) agent: String,
    pub(crate) options: RunOptions,
    pub(crate) created_at: Timestamp,
    /// The request that asked for its run.
    pub(crate) traceparent: Option<TraceContext>,
}

/// Stores a sandbox that is asked for; a unique violation when another one of the spec is active.
pub(crate) async fn insert(write: &mut Write, new: &NewSandbox) -> Result<(), StoreError> {
    write.tell(new.spec_id.0);
    write
        .query(
            "INSERT INTO sandboxes (
                 id, spec_id, state, provider, token_hash, generation, acked_seq, messages,
                 cost_micro_usd, lease_expires_at, agent, options, created_at, traceparent
             )
             VALUES ($1, $2, 'requested', $3, $4, 0, 0, 0, 0, $5, $6, $7, $8, $9)",
        )
        .bind(new.id.0)
        .bind(new.spec_id.0)
        .bind(new.provider)
        .bind(new.token_hash.to_vec())
        .bind(new.lease_expires_at.as_utc())
        .bind(new.agent.clone())
        .bind(Json(new.options.clone()))
        .bind(new.created_at.as_utc())
        .bind(new.traceparent.map(String::from))
        .execute()
        .await?;
    Ok(())
}

/// One sandbox.
pub(crate) async fn find(
    session: &mut Session,
    id: SandboxId,
) -> Result<Option<Sandbox>, StoreError> {
    let row: Option<Row> =
        session.query("SELECT * FROM sandboxes WHERE id = $1").bind(id.0).fetch_optional().await?;
    row.map(Sandbox::try_from).transpose()
}

/// Locks a sandbox against every other writer until the transaction ends, and reads it. Who also
/// needs its spec locks that first.
pub(crate) async fn lock(write: &mut Write, id: SandboxId) -> Result<Option<Sandbox>, StoreError> {
    write.query("UPDATE sandboxes SET id = id WHERE id = $1").bind(id.0).execute().await?;
    find(write, id).await
}

/// Notes where a sandbox is, as long as it has not ended.
pub(crate) async fn set_place(
    write: &mut Write,
    id: SandboxId,
    place: Value,
) -> Result<bool, StoreError> {
    let touched = write
        .query("UPDATE sandboxes SET place = $2 WHERE id = $1 AND state <> 'ended'")
        .bind(id.0)
        .bind(Json(place))
        .execute()
        .await?;
    Ok(touched == 1)
}

/// A worker said hello: the sandbox is active under this generation, unless it has ended. `false`: a
/// newer generation was handed out; nothing changed.
pub(crate) async fn set_generation(
    write: &mut Write,
    id: SandboxId,
    generation: u64,
    boot_id: Uuid,
    lease_expires_at: Timestamp,
) -> Result<bool, StoreError> {
    let touched = write
        .query(
            "UPDATE sandboxes
             SET state = CASE WHEN state = 'ended' THEN state ELSE 'active' END,
                 generation = $2, boot_id = $3, lease_expires_at = $4
             WHERE id = $1 AND generation <= $2",
        )
        .bind(id.0)
        .bind(stored(generation))
        .bind(boot_id)
        .bind(lease_expires_at.as_utc())
        .execute()
        .await?;
    Ok(touched == 1)
}

/// What a worker is told for its heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Heard {
    /// Why it is to stop, if it is.
    pub(crate) stop_reason: Option<String>,
}

/// A heartbeat came: it is kept, and the lease is renewed. `None`: the sandbox is not active under
/// the heartbeat's generation; nothing changed.
pub(crate) async fn set_heartbeat(
    write: &mut Write,
    id: SandboxId,
    heartbeat: &Heartbeat,
    now: Timestamp,
    lease_expires_at: Timestamp,
) -> Result<Option<Heard>, StoreError> {
    write
        .query(
            "UPDATE sandboxes
             SET heartbeat = $2, heartbeat_at = $3, lease_expires_at = $4
             WHERE id = $1 AND state = 'active' AND generation = $5
             RETURNING stop_reason",
        )
        .bind(id.0)
        .bind(Json(heartbeat.clone()))
        .bind(now.as_utc())
        .bind(lease_expires_at.as_utc())
        .bind(stored(heartbeat.generation))
        .fetch_optional()
        .await
}

/// Stores what ingest changes of a sandbox: what is acknowledged, what it has cost, and the lease,
/// which everything that a worker sends renews.
pub(crate) async fn save_progress(write: &mut Write, sandbox: &Sandbox) -> Result<(), StoreError> {
    write
        .query(
            "UPDATE sandboxes
             SET acked_seq = $2, cost_micro_usd = $3, lease_expires_at = $4
             WHERE id = $1",
        )
        .bind(sandbox.id.0)
        .bind(stored(sandbox.acked_seq))
        .bind(sandbox.cost_micro_usd)
        .bind(sandbox.lease_expires_at.as_utc())
        .execute()
        .await?;
    Ok(())
}

/// Asks the worker to stop; the first reason stays.
pub(crate) async fn request_stop(
    write: &mut Write,
    id: SandboxId,
    reason: &str,
) -> Result<(), StoreError> {
    write.tell(id.0);
    write
        .query(
            "UPDATE sandboxes
             SET stop_reason = COALESCE(stop_reason, $2)
             WHERE id = $1 AND state <> 'ended'",
        )
        .bind(id.0)
        .bind(reason.to_owned())
        .execute()
        .await?;
    Ok(())
}

/// Asks the worker to end after the phase at work.
pub(crate) async fn request_pause(write: &mut Write, id: SandboxId) -> Result<(), StoreError> {
    write.tell(id.0);
    write
        .query("UPDATE sandboxes SET pause_requested = $2 WHERE id = $1 AND state <> 'ended'")
        .bind(id.0)
        .bind(true)
        .execute()
        .await?;
    Ok(())
}

/// Ends a sandbox. `false`: it had ended already, and nothing changed.
pub(crate) async fn end(
    write: &mut Write,
    id: SandboxId,
    outcome: Outcome,
    message: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    write.tell(id.0);
    let touched = write
        .query(
            "UPDATE sandboxes
             SET state = 'ended', outcome = $2, message = $3, ended_at = $4
             WHERE id = $1 AND state <> 'ended'",
        )
        .bind(id.0)
        .bind(outcome.as_str())
        .bind(message.map(str::to_owned))
        .bind(now.as_utc())
        .execute()
        .await?;
    Ok(touched == 1)
}

/// Takes the next place in a sandbox's row of messages; `None` when it has ended.
pub(crate) async fn next_message(
    write: &mut Write,
    id: SandboxId,
) -> Result<Option<u64>, StoreError> {
    let row: Option<(i64,)> = write
        .query(
            "UPDATE sandboxes
             SET messages = messages + 1
             WHERE id = $1 AND state <> 'ended'
             RETURNING messages",
        )
        .bind(id.0)
        .fetch_optional()
        .await?;
    row.map(|(messages,)| count(TABLE, messages)).transpose()
}
