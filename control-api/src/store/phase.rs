//! The phases of specs: six rows per spec, made with it.

use serde_json::Value;
use specwright_shared::documents::{Accepted, Document};
use specwright_shared::finding::Finding;
use specwright_shared::id::SpecId;
use specwright_shared::phase::{Phase, PhaseStatus};
use specwright_shared::wire::spec::PhaseView;
use sqlx::types::Json;

use super::{Session, StoreError, Write, count, stored, usd, word};

const TABLE: &str = "spec_phases";

/// A phase of a spec as stored.
#[derive(Debug, Clone)]
pub(crate) struct PhaseRecord {
    pub(crate) phase: Phase,
    pub(crate) status: PhaseStatus,
    pub(crate) attempts: u8,
    pub(crate) score: Option<f64>,
    pub(crate) duration_ms: u64,
    pub(crate) cost_micro_usd: i64,
    pub(crate) digest: Option<String>,
    pub(crate) output: Option<Value>,
    pub(crate) findings: Vec<Finding>,
}

#[derive(sqlx::FromRow)]
struct Row {
    phase: String,
    status: String,
    attempts: i64,
    score: Option<f64>,
    duration_ms: i64,
    cost_micro_usd: i64,
    digest: Option<String>,
    output: Option<Json<Value>>,
    findings: Json<Vec<Finding>>,
}

impl TryFrom<Row> for PhaseRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            phase: word(TABLE, &row.phase)?,
            status: word(TABLE, &row.status)?,
            attempts: count(TABLE, row.attempts)?,
            score: row.score,
            duration_ms: count(TABLE, row.duration_ms)?,
            cost_micro_usd: row.cost_micro_usd,
            digest: row.digest,
            output: row.output.map(|output| output.0),
            findings: row.findings.0,
        })
    }
}

impl PhaseRecord {
    /// A phase that nobody has begun.
    pub(crate) const fn pending(phase: Phase) -> Self {
        Self {
            phase,
            status: PhaseStatus::Pending,
            attempts: 0,
            score: None,
            duration_ms: 0,
            cost_micro_usd: 0,
            digest: None,
            output: None,
            findings: Vec::new(),
        }
    }

    /// As people see it, with or without the output.
    pub(crate) fn view(self, with_output: bool) -> PhaseView {
        PhaseView {
            phase: self.phase,
            status: self.status,
            attempts: self.attempts,
            score: self.score,
            duration_ms: self.duration_ms,
            cost_usd: usd(self.cost_micro_usd),
            digest: self.digest,
            findings: self.findings,
            output: self.output.filter(|_| with_output),
        }
    }
}

/// All phases of a spec, in order; empty when there is no such spec.
pub(crate) async fn list(
    session: &mut Session,
    spec: SpecId,
) -> Result<Vec<PhaseRecord>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT phase, status, attempts, score, duration_ms, cost_micro_usd, digest, output,
                    findings
             FROM spec_phases
             WHERE spec_id = $1",
        )
        .bind(spec.0)
        .fetch_all()
        .await?;
    let mut phases = rows.into_iter().map(PhaseRecord::try_from).collect::<Result<Vec<_>, _>>()?;
    phases.sort_by_key(|record| record.phase);
    Ok(phases)
}

/// The accepted outputs among a spec's phases.
pub(crate) fn accepted(phases: &[PhaseRecord]) -> Result<Accepted, StoreError> {
    let mut accepted = Accepted::default();
    for record in phases.iter().filter(|record| record.status == PhaseStatus::Accepted) {
        let Some(output) = &record.output else { continue };
        let document = Document::parse(record.phase, output).map_err(|finding| {
            StoreError::Corrupt { table: TABLE, what: format!("{}: {finding}", record.phase) }
        })?;
        accepted.insert(document);
    }
    Ok(accepted)
}

/// Stores a phase, made or changed.
pub(crate) async fn save(
    write: &mut Write,
    spec: SpecId,
    record: &PhaseRecord,
) -> Result<(), StoreError> {
    write
        .query(
            "INSERT INTO spec_phases (
                 spec_id, phase, status, attempts, score, duration_ms, cost_micro_usd, digest,
                 output, findings
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (spec_id, phase) DO UPDATE
             SET status = excluded.status, attempts = excluded.attempts, score = excluded.score,
                 duration_ms = excluded.duration_ms, cost_micro_usd = excluded.cost_micro_usd,
                 digest = excluded.digest, output = excluded.output, findings = excluded.findings",
        )
        .bind(spec.0)
        .bind(record.phase.as_str())
        .bind(record.status.as_str())
        .bind(i64::from(record.attempts))
        .bind(record.score)
        .bind(stored(record.duration_ms))
        .bind(record.cost_micro_usd)
        .bind(record.digest.clone())
        .bind(record.output.clone().map(Json))
        .bind(Json(record.findings.clone()))
        .execute()
        .await?;
    Ok(())
}
