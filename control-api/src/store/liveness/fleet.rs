//! Liveness of many sandboxes at once: where they stand, and noting what needs no step.
//!
//! What holds: thousands are read in pages, narrowly, and noted by a few statements a page, so that a round
//! of a duty is nothing that a worker's report waits for. What is noted here ends no alarm: that is done
//! by who has looked closer.

use chrono::{DateTime, Utc};
use specwright_shared::id::{ProjectId, SandboxId, SpecId};
use specwright_shared::liveness::{Verdict, VerdictKind};
use specwright_shared::phase::SandboxState;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::sandbox::Heartbeat;
use specwright_shared::wire::spec::RunOptions;
use sqlx::types::Json;
use uuid::Uuid;

use super::{KEPT, TABLE, forget_old};
use crate::store::sandbox::salvage::Claim;
use crate::store::{Session, StoreError, Write, word};

/// What duties that look at every living sandbox see of one.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) id: SandboxId,
    pub(crate) spec: SpecId,
    pub(crate) project: ProjectId,
    /// The newest one that was noted.
    pub(crate) verdict: Option<VerdictKind>,
    pub(crate) created_at: Timestamp,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) heartbeat_at: Option<Timestamp>,
    pub(crate) salvage_claim: Option<Claim>,
    /// Whether its run asked for the built-in guardian, or for none.
    pub(crate) guardian: Option<bool>,
    /// What its spec's runs have cost since the caps were reset, in millionths of a US dollar.
    pub(crate) spent_micro_usd: i64,
    /// Its worker is at work, and nobody asked it to stop or to pause.
    pub(crate) goes_on: bool,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    spec_id: Uuid,
    project_id: Uuid,
    state: String,
    verdict: Option<String>,
    created_at: DateTime<Utc>,
    heartbeat: Option<Json<Heartbeat>>,
    heartbeat_at: Option<DateTime<Utc>>,
    salvage_claim: Option<Json<Claim>>,
    options: Json<RunOptions>,
    stop_reason: Option<String>,
    pause_requested: bool,
    spent_micro_usd: i64,
}

impl TryFrom<Row> for Standing {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let is_active = word::<SandboxState>(TABLE, &row.state)? == SandboxState::Active;
        Ok(Self {
            id: SandboxId(row.id),
            spec: SpecId(row.spec_id),
            project: ProjectId(row.project_id),
            verdict: row.verdict.map(|verdict| word(TABLE, &verdict)).transpose()?,
            created_at: row.created_at.into(),
            heartbeat: row.heartbeat.map(|heartbeat| heartbeat.0),
            heartbeat_at: row.heartbeat_at.map(Into::into),
            salvage_claim: row.salvage_claim.map(|claim| claim.0),
            guardian: row.options.0.guardian,
            spent_micro_usd: row.spent_micro_usd,
            goes_on: is_active && row.stop_reason.is_none() && !row.pause_requested,
        })
    }
}

/// Where sandboxes stand that have not ended, in the order of their specs, behind one of these.
pub(crate) async fn standings(
    session: &mut Session,
    behind: Option<SpecId>,
    limit: usize,
) -> Result<Vec<Standing>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT sandboxes.id, sandboxes.spec_id, specs.project_id, sandboxes.state,
                    sandboxes.verdict, sandboxes.created_at, sandboxes.heartbeat,
                    sandboxes.heartbeat_at, sandboxes.salvage_claim, sandboxes.options,
                    sandboxes.stop_reason, sandboxes.pause_requested,
                    specs.cost_micro_usd - specs.counted_from_micro_usd AS spent_micro_usd
             FROM sandboxes
             JOIN specs ON specs.id = sandboxes.spec_id
             WHERE sandboxes.state <> 'ended' AND sandboxes.spec_id > $1
             ORDER BY sandboxes.spec_id
             LIMIT $2",
        )
        .bind(behind.map_or(Uuid::nil(), |spec| spec.0))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all()
        .await?;
    rows.into_iter().map(Standing::try_from).collect()
}

const NOTE_POSTGRES: &str = "
    WITH free AS MATERIALIZED (
        SELECT id
        FROM sandboxes
        WHERE id = ANY($2) AND state <> 'ended' AND alarm_since IS NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ),
    noted AS (
        INSERT INTO verdicts (sandbox_id, position, verdict, at)
        SELECT free.id,
               COALESCE((SELECT MAX(position) FROM verdicts WHERE sandbox_id = free.id), 0) + 1,
               new.verdict::JSONB, $1
        FROM UNNEST($2, $3) AS new (id, verdict)
        JOIN free ON free.id = new.id
        -- Judged by somebody else since this statement began: that stays.
        ON CONFLICT (sandbox_id, position) DO NOTHING
        RETURNING sandbox_id, position
    )
    UPDATE sandboxes
    SET verdict = new.kind
    FROM UNNEST($2, $4) AS new (id, kind)
    JOIN noted ON noted.sandbox_id = new.id
    WHERE sandboxes.id = new.id
    RETURNING sandboxes.id, noted.position";

const NOTE_SQLITE: &str = "
    INSERT INTO verdicts (sandbox_id, position, verdict, at)
    SELECT sandboxes.id,
           COALESCE((SELECT MAX(position) FROM verdicts WHERE sandbox_id = sandboxes.id), 0) + 1,
           value ->> 1, $1
    FROM json_each($2)
    JOIN sandboxes ON sandboxes.id = unhex(value ->> 0)
    WHERE sandboxes.state <> 'ended' AND sandboxes.alarm_since IS NULL
    RETURNING sandbox_id, position";

const RAISE_SQLITE: &str = "
    UPDATE sandboxes
    SET verdict = new.kind
    FROM (SELECT unhex(value ->> 0) AS id, value ->> 2 AS kind FROM json_each($1)) AS new
    WHERE sandboxes.id = new.id AND sandboxes.state <> 'ended' AND sandboxes.alarm_since IS NULL";

const FORGET_POSTGRES: &str = "
    DELETE FROM verdicts
    USING UNNEST($1, $2) AS old (id, position)
    WHERE verdicts.sandbox_id = old.id AND verdicts.position <= old.position
      AND verdicts.action IS NULL";

/// Keeps verdicts about which nothing is done and which are not alarming, each of another sandbox; of
/// whom: nobody is waited for, so who is locked by somebody else is left out, as is who has ended, and
/// whose alarm somebody else has begun.
pub(crate) async fn note(
    write: &mut Write,
    verdicts: &[(SandboxId, Verdict)],
    now: Timestamp,
) -> Result<Vec<SandboxId>, StoreError> {
    let texts = verdicts.iter().map(|(_, verdict)| serde_json::to_string(verdict));
    let texts = texts.collect::<Result<Vec<_>, _>>().map_err(|error| StoreError::Corrupt {
        table: "verdicts",
        what: format!("a verdict cannot be written: {error}"),
    })?;
    let noted: Vec<(Uuid, i64)> = match **write {
        Session::Postgres(_) => {
            let query = write.query(NOTE_POSTGRES).bind(now.as_utc());
            let query =
                query.bind_all(verdicts.iter().map(|(id, _)| id.0)).bind_all(texts.into_iter());
            let kinds = verdicts.iter().map(|(_, verdict)| verdict.kind.as_str().to_owned());
            query.bind_all(kinds).fetch_all().await?
        }
        Session::Sqlite(_) => {
            let rows = verdicts.iter().zip(texts).map(|((id, verdict), text)| {
                serde_json::json!([id.0.simple().to_string(), text, verdict.kind.as_str()])
            });
            let rows = serde_json::Value::Array(rows.collect()).to_string();
            let note = write.query(NOTE_SQLITE).bind(now.as_utc()).bind(rows.clone());
            let noted = note.fetch_all().await?;
            write.query(RAISE_SQLITE).bind(rows).execute().await?;
            noted
        }
    };
    let old = noted.iter().filter(|(_, position)| *position > KEPT);
    match **write {
        Session::Postgres(_) if old.clone().next().is_some() => {
            let forget = write.query(FORGET_POSTGRES).bind_all(old.clone().map(|(id, _)| *id));
            forget.bind_all(old.map(|(_, position)| position - KEPT)).execute().await?;
        }
        Session::Postgres(_) => {}
        Session::Sqlite(_) => {
            for (id, position) in old {
                forget_old(write, SandboxId(*id), *position).await?;
            }
        }
    }
    Ok(noted.into_iter().map(|(id, _)| SandboxId(id)).collect())
}
