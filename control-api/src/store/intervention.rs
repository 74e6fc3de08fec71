//! What guardians did, and what came of it.
//!
//! What holds: a key is one intervention of its sandbox; an outcome is written once.

use chrono::{DateTime, Utc};
use serde_json::Value;
use specwright_shared::id::{InterventionId, MessageId, ProjectId, SandboxId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::intervention::{Assessment, InterventionView};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Session, StoreError, Write, count, message, stored, word};

const TABLE: &str = "interventions";
/// The most interventions of a sandbox that are read: ceilings keep them far below.
const NEWEST: i64 = 200;
/// The most that one round judges.
const ROUND: i64 = 100;

/// An intervention with what only the store knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) view: InterventionView,
    pub(crate) key: String,
    /// What was to be said, as it was given.
    pub(crate) given_message: Option<String>,
    /// The sandbox's newest event at that time.
    pub(crate) seq: u64,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    sandbox_id: Uuid,
    idempotency_key: String,
    kind: String,
    reason: String,
    evidence: String,
    given_message: Option<String>,
    made_by: String,
    phase: String,
    made_at: DateTime<Utc>,
    seq: i64,
    message_id: Option<Uuid>,
    judged_by: DateTime<Utc>,
    assessment: Option<Json<Assessment>>,
}

impl Row {
    /// With its message, whose receipts rise by themselves.
    async fn complete(self, session: &mut Session) -> Result<Stored, StoreError> {
        let message = match self.message_id {
            Some(id) => message::find(session, MessageId(id)).await?,
            None => None,
        };
        Ok(Stored {
            view: InterventionView {
                id: InterventionId(self.id),
                sandbox_id: SandboxId(self.sandbox_id),
                kind: word(TABLE, &self.kind)?,
                reason: self.reason,
                evidence: self.evidence,
                by: self.made_by,
                phase: word(TABLE, &self.phase)?,
                at: self.made_at.into(),
                message: message.map(|(_, message)| message),
                judged_by: self.judged_by.into(),
                assessment: self.assessment.map(|assessment| assessment.0),
            },
            key: self.idempotency_key,
            given_message: self.given_message,
            seq: count(TABLE, self.seq)?,
        })
    }
}

async fn complete(session: &mut Session, rows: Vec<Row>) -> Result<Vec<Stored>, StoreError> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        all.push(row.complete(session).await?);
    }
    Ok(all)
}

/// Stores one; its message is there already.
pub(crate) async fn insert(write: &mut Write, new: &Stored) -> Result<(), StoreError> {
    let view = &new.view;
    write
        .query(
            "INSERT INTO interventions (
                 id, sandbox_id, idempotency_key, kind, reason, evidence, given_message, made_by,
                 phase, made_at, seq, message_id, judged_by
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(view.id.0)
        .bind(view.sandbox_id.0)
        .bind(new.key.clone())
        .bind(view.kind.as_str())
        .bind(view.reason.clone())
        .bind(view.evidence.clone())
        .bind(new.given_message.clone())
        .bind(view.by.clone())
        .bind(view.phase.as_str())
        .bind(view.at.as_utc())
        .bind(stored(new.seq))
        .bind(view.message.as_ref().map(|message| message.id.0))
        .bind(view.judged_by.as_utc())
        .execute()
        .await?;
    Ok(())
}

/// The newest interventions of a sandbox, oldest first.
pub(crate) async fn list(
    session: &mut Session,
    sandbox: SandboxId,
) -> Result<Vec<Stored>, StoreError> {
    let mut rows: Vec<Row> = session
        .query(
            "SELECT *
             FROM interventions
             WHERE sandbox_id = $1
             ORDER BY made_at DESC, id DESC
             LIMIT $2",
        )
        .bind(sandbox.0)
        .bind(NEWEST)
        .fetch_all()
        .await?;
    rows.reverse();
    complete(session, rows).await
}

/// The one that a key names.
pub(crate) async fn by_key(
    session: &mut Session,
    sandbox: SandboxId,
    key: &str,
) -> Result<Option<Stored>, StoreError> {
    let row: Option<Row> = session
        .query("SELECT * FROM interventions WHERE sandbox_id = $1 AND idempotency_key = $2")
        .bind(sandbox.0)
        .bind(key.to_owned())
        .fetch_optional()
        .await?;
    match row {
        Some(row) => Ok(Some(row.complete(session).await?)),
        None => Ok(None),
    }
}

/// Those whose observation is over, because its time or the run is.
pub(crate) async fn to_judge(
    session: &mut Session,
    now: Timestamp,
) -> Result<Vec<Stored>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT interventions.*
             FROM interventions
             JOIN sandboxes ON sandboxes.id = interventions.sandbox_id
             WHERE interventions.outcome IS NULL
               AND (interventions.judged_by <= $1 OR sandboxes.state = 'ended')
             ORDER BY interventions.judged_by
             LIMIT $2",
        )
        .bind(now.as_utc())
        .bind(ROUND)
        .fetch_all()
        .await?;
    complete(session, rows).await
}

/// Writes what came of one. `false`: that was written before, and stays.
pub(crate) async fn judged(
    write: &mut Write,
    id: InterventionId,
    assessment: &Assessment,
) -> Result<bool, StoreError> {
    let touched = write
        .query(
            "UPDATE interventions
             SET outcome = $2, assessment = $3
             WHERE id = $1 AND outcome IS NULL",
        )
        .bind(id.0)
        .bind(assessment.outcome.as_str())
        .bind(Json(assessment.clone()))
        .execute()
        .await?;
    Ok(touched == 1)
}

/// A project's own settings, as they were given.
pub(crate) async fn settings(
    session: &mut Session,
    project: ProjectId,
) -> Result<Option<Value>, StoreError> {
    let row: Option<(Json<Value>,)> = session
        .query("SELECT settings FROM project_guardian WHERE project_id = $1")
        .bind(project.0)
        .fetch_optional()
        .await?;
    Ok(row.map(|(settings,)| settings.0))
}

/// Stores a project's own settings.
pub(crate) async fn set_settings(
    write: &mut Write,
    project: ProjectId,
    settings: &Value,
) -> Result<(), StoreError> {
    write
        .query(
            "INSERT INTO project_guardian (project_id, settings)
             VALUES ($1, $2)
             ON CONFLICT (project_id) DO UPDATE SET settings = excluded.settings",
        )
        .bind(project.0)
        .bind(Json(settings.clone()))
        .execute()
        .await?;
    Ok(())
}
