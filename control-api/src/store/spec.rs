//! Specs. A spec's row also counts its events: the count is the position of the newest one.

pub(crate) mod list;

use chrono::{DateTime, Utc};
use specwright_shared::id::{ProjectId, SandboxId, SpecId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{Phase, SpecStatus};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::spec::{Coverage, SpecView};
use uuid::Uuid;

use super::{Session, StoreError, Write, count, stored, usd, word};

const TABLE: &str = "specs";

/// A spec as stored.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) id: SpecId,
    pub(crate) project_id: ProjectId,
    pub(crate) owner: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) repository: Option<String>,
    pub(crate) status: SpecStatus,
    pub(crate) reason: Option<Outcome>,
    pub(crate) message: Option<String>,
    pub(crate) current_phase: Phase,
    pub(crate) agent: Option<String>,
    pub(crate) rehearsal: bool,
    pub(crate) cost_micro_usd: i64,
    pub(crate) events: u64,
    pub(crate) coverage: Option<Coverage>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// The sandbox at work on it. Read with the row, never written with it.
    pub(crate) sandbox_id: Option<SandboxId>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    project_id: Uuid,
    owner: String,
    title: String,
    description: String,
    repository: Option<String>,
    status: String,
    reason: Option<String>,
    message: Option<String>,
    current_phase: String,
    agent: Option<String>,
    rehearsal: bool,
    cost_micro_usd: i64,
    events: i64,
    requirements_total: Option<i64>,
    requirements_covered: Option<i64>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    sandbox_id: Option<Uuid>,
}

impl TryFrom<Row> for Spec {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let coverage = match (row.requirements_total, row.requirements_covered) {
            (Some(requirements), Some(covered)) => Some(Coverage {
                requirements: count(TABLE, requirements)?,
                covered: count(TABLE, covered)?,
            }),
            _ => None,
        };
        Ok(Self {
            id: SpecId(row.id),
            project_id: ProjectId(row.project_id),
            owner: row.owner,
            title: row.title,
            description: row.description,
            repository: row.repository,
            status: word(TABLE, &row.status)?,
            reason: row.reason.map(|reason| word(TABLE, &reason)).transpose()?,
            message: row.message,
            current_phase: word(TABLE, &row.current_phase)?,
            agent: row.agent,
            rehearsal: row.rehearsal,
            cost_micro_usd: row.cost_micro_usd,
            events: count(TABLE, row.events)?,
            coverage,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
            sandbox_id: row.sandbox_id.map(SandboxId),
        })
    }
}

impl From<Spec> for SpecView {
    fn from(spec: Spec) -> Self {
        Self {
            id: spec.id,
            project_id: spec.project_id,
            owner: spec.owner,
            title: spec.title,
            description: spec.description,
            repository: spec.repository,
            status: spec.status,
            reason: spec.reason,
            message: spec.message,
            current_phase: spec.current_phase,
            agent: spec.agent,
            sandbox_id: spec.sandbox_id,
            cost_usd: usd(spec.cost_micro_usd),
            events: spec.events,
            coverage: spec.coverage,
            created_at: spec.created_at,
            updated_at: spec.updated_at,
        }
    }
}

/// Stores a new spec.
pub(crate) async fn insert(write: &mut Write, spec: &Spec) -> Result<(), StoreError> {
    write
        .query(
            "INSERT INTO specs (
                 id, project_id, owner, title, description, repository, status, current_phase,
                 rehearsal, cost_micro_usd, events, created_at, updated_at
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, $10, $11)",
        )
        .bind(spec.id.0)
        .bind(spec.project_id.0)
        .bind(spec.owner.clone())
        .bind(spec.title.clone())
        .bind(spec.description.clone())
        .bind(spec.repository.clone())
        .bind(spec.status.as_str())
        .bind(spec.current_phase.as_str())
        .bind(spec.rehearsal)
        .bind(spec.created_at.as_utc())
        .bind(spec.updated_at.as_utc())
        .execute()
        .await?;
    Ok(())
}

/// One spec, whoever owns it.
pub(crate) async fn find(session: &mut Session, id: SpecId) -> Result<Option<Spec>, StoreError> {
    let row: Option<Row> = session
        .query(
            "SELECT specs.*, sandboxes.id AS sandbox_id
             FROM specs
             LEFT JOIN sandboxes ON sandboxes.spec_id = specs.id AND sandboxes.state <> 'ended'
             WHERE specs.id = $1",
        )
        .bind(id.0)
        .fetch_optional()
        .await?;
    row.map(Spec::try_from).transpose()
}

/// Locks a spec against every other writer until the transaction ends, and reads it.
pub(crate) async fn lock(write: &mut Write, id: SpecId) -> Result<Option<Spec>, StoreError> {
    // `FOR UPDATE` is not for SQLite, whose writers exclude each other anyway; an update that
    // changes nothing takes the same lock on both.
    write.query("UPDATE specs SET id = id WHERE id = $1").bind(id.0).execute().await?;
    find(write, id).await
}

/// Stores what can change of a spec. The caller holds its lock.
pub(crate) async fn save(write: &mut Write, spec: &Spec) -> Result<(), StoreError> {
    let (total, covered) = match spec.coverage {
        Some(coverage) => {
            (Some(stored(coverage.requirements as u64)), Some(stored(coverage.covered as u64)))
        }
        None => (None, None),
    };
    write
        .query(
            "UPDATE specs
             SET status = $2, reason = $3, message = $4, current_phase = $5, agent = $6,
                 rehearsal = $7, cost_micro_usd = $8, events = $9, requirements_total = $10,
                 requirements_covered = $11, updated_at = $12
             WHERE id = $1",
        )
        .bind(spec.id.0)
        .bind(spec.status.as_str())
        .bind(spec.reason.map(Outcome::as_str))
        .bind(spec.message.clone())
        .bind(spec.current_phase.as_str())
        .bind(spec.agent.clone())
        .bind(spec.rehearsal)
        .bind(spec.cost_micro_usd)
        .bind(stored(spec.events))
        .bind(total)
        .bind(covered)
        .bind(spec.updated_at.as_utc())
        .execute()
        .await?;
    Ok(())
}
