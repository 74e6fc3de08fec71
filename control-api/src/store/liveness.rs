//! What is known of a sandbox's liveness beside its row's heartbeat: verdicts, steps, holds, why its
//! end was asked for. Of many at once: [`fleet`].
//!
//! What holds: nothing here changes a sandbox that has ended; a verdict's row is never changed.

pub(crate) mod fleet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use specwright_shared::id::{ProjectId, SandboxId};
use specwright_shared::liveness::policy::Action;
use specwright_shared::liveness::{Verdict, VerdictKind};
use specwright_shared::outcome::Outcome;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::watch::{Hold, Judged};
use sqlx::types::Json;

use super::{Session, StoreError, Write, count, word};

const TABLE: &str = "sandboxes";
/// So many verdicts of a sandbox are kept beside those that led to a step: a day of one that changes
/// every few minutes.
pub(crate) const KEPT: i64 = 500;

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) verdict: Option<VerdictKind>,
    /// Since when all verdicts were alarming.
    pub(crate) alarm_since: Option<Timestamp>,
    pub(crate) hold: Option<Hold>,
    /// How the run ends, if a duty asked for its end.
    pub(crate) stop_outcome: Option<Outcome>,
    /// How many restarts led to this sandbox.
    pub(crate) restart: u32,
}

#[derive(sqlx::FromRow)]
struct Row {
    verdict: Option<String>,
    alarm_since: Option<DateTime<Utc>>,
    held_until: Option<DateTime<Utc>>,
    held_reason: Option<String>,
    held_by: Option<String>,
    stop_outcome: Option<String>,
    restart: i64,
}

impl TryFrom<Row> for Watched {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            verdict: row.verdict.map(|kind| word(TABLE, &kind)).transpose()?,
            alarm_since: row.alarm_since.map(Into::into),
            hold: row.held_until.map(|until| Hold {
                until: until.into(),
                reason: row.held_reason.unwrap_or_default(),
                by: row.held_by.unwrap_or_default(),
            }),
            stop_outcome: row.stop_outcome.map(|outcome| word(TABLE, &outcome)).transpose()?,
            restart: count(TABLE, row.restart)?,
        })
    }
}

/// What is known of a sandbox; `None`: there is no such sandbox.
pub(crate) async fn find(
    session: &mut Session,
    id: SandboxId,
) -> Result<Option<Watched>, StoreError> {
    let row: Option<Row> = session
        .query(
            "SELECT verdict, alarm_since, held_until, held_reason, held_by, stop_outcome, restart
             FROM sandboxes
             WHERE id = $1",
        )
        .bind(id.0)
        .fetch_optional()
        .await?;
    row.map(Watched::try_from).transpose()
}

/// Keeps a verdict, with what is done about it; nothing of a sandbox that has ended.
pub(crate) async fn judged(
    write: &mut Write,
    id: SandboxId,
    verdict: &Verdict,
    action: Option<Action>,
    alarm_since: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let judged = write
        .query(
            "UPDATE sandboxes
             SET verdict = $2, alarm_since = $3
             WHERE id = $1 AND state <> 'ended'",
        )
        .bind(id.0)
        .bind(verdict.kind.as_str())
        .bind(alarm_since.map(Timestamp::as_utc))
        .execute()
        .await?;
    if judged == 0 {
        return Ok(());
    }
    let (position,): (i64,) = write
        .query(
            "INSERT INTO verdicts (sandbox_id, position, verdict, action, at)
             VALUES (
                 $1, (SELECT COALESCE(MAX(position), 0) + 1 FROM verdicts WHERE sandbox_id = $1),
                 $2, $3, $4
             )
             RETURNING position",
        )
        .bind(id.0)
        .bind(Json(verdict.clone()))
        .bind(action.map(Action::as_str))
        .bind(now.as_utc())
        .fetch_one()
        .await?;
    forget_old(write, id, position).await
}

/// Gives up the oldest verdicts of a sandbox that led to no step, behind a new one at this position.
async fn forget_old(write: &mut Write, id: SandboxId, position: i64) -> Result<(), StoreError> {
    if position <= KEPT {
        return Ok(());
    }
    write
        .query(
            "DELETE FROM verdicts
             WHERE sandbox_id = $1 AND position <= $2 AND action IS NULL",
        )
        .bind(id.0)
        .bind(position - KEPT)
        .execute()
        .await?;
    Ok(())
}

/// The steps that were taken, oldest first.
pub(crate) async fn steps(
    session: &mut Session,
    id: SandboxId,
) -> Result<Vec<(Timestamp, Action)>, StoreError> {
    let rows: Vec<(DateTime<Utc>, String)> = session
        .query(
            "SELECT at, action
             FROM verdicts
             WHERE sandbox_id = $1 AND action IS NOT NULL
             ORDER BY position",
        )
        .bind(id.0)
        .fetch_all()
        .await?;
    rows.into_iter().map(|(at, action)| Ok((at.into(), word("verdicts", &action)?))).collect()
}

/// The newest verdicts of a sandbox, newest first.
pub(crate) async fn history(
    session: &mut Session,
    id: SandboxId,
    limit: i64,
) -> Result<Vec<Judged>, StoreError> {
    let rows: Vec<(DateTime<Utc>, Json<Verdict>, Option<String>)> = session
        .query(
            "SELECT at, verdict, action
             FROM verdicts
             WHERE sandbox_id = $1
             ORDER BY position DESC
             LIMIT $2",
        )
        .bind(id.0)
        .bind(limit)
        .fetch_all()
        .await?;
    rows.into_iter()
        .map(|(at, verdict, action)| {
            let action = action.map(|action| word("verdicts", &action)).transpose()?;
            Ok(Judged { at: at.into(), verdict: verdict.0, action })
        })
        .collect()
}

/// Holds a sandbox from being ended, or lets it go (`None`). `false`: it has ended.
pub(crate) async fn hold(
    write: &mut Write,
    id: SandboxId,
    hold: Option<&Hold>,
) -> Result<bool, StoreError> {
    let touched = write
        .query(
            "UPDATE sandboxes
             SET held_until = $2, held_reason = $3, held_by = $4
             WHERE id = $1 AND state <> 'ended'",
        )
        .bind(id.0)
        .bind(hold.map(|hold| hold.until.as_utc()))
        .bind(hold.map(|hold| hold.reason.clone()))
        .bind(hold.map(|hold| hold.by.clone()))
        .execute()
        .await?;
    Ok(touched == 1)
}

/// Notes how the run is to end, whoever reports its end; the first word stays. `false`: it has ended.
pub(crate) async fn intend_end(
    write: &mut Write,
    id: SandboxId,
    outcome: Outcome,
    reason: &str,
) -> Result<bool, StoreError> {
    write.tell(id.0);
    let touched = write
        .query(
            "UPDATE sandboxes
             SET stop_outcome = CASE WHEN stop_reason IS NULL THEN $2 ELSE stop_outcome END,
                 stop_reason = COALESCE(stop_reason, $3)
             WHERE id = $1 AND state <> 'ended'",
        )
        .bind(id.0)
        .bind(outcome.as_str())
        .bind(reason.to_owned())
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
        .query("SELECT settings FROM project_liveness WHERE project_id = $1")
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
            "INSERT INTO project_liveness (project_id, settings)
             VALUES ($1, $2)
             ON CONFLICT (project_id) DO UPDATE SET settings = excluded.settings",
        )
        .bind(project.0)
        .bind(Json(settings.clone()))
        .execute()
        .await?;
    Ok(())
}
