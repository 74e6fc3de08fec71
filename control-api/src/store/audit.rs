//! The audit log: rows are added, and never changed or deleted.

use chrono::{DateTime, Utc};
use specwright_shared::id::{ProjectId, TokenId};
use specwright_shared::wire::access::AuditEntry;
use uuid::Uuid;

use super::{Session, StoreError, Write, count};

const TABLE: &str = "audit";

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    at: DateTime<Utc>,
    user_name: String,
    token_id: Option<Uuid>,
    route: String,
    thing_id: Option<Uuid>,
    thing_name: Option<String>,
    project_id: Option<Uuid>,
    status: i64,
    request_id: String,
}

impl TryFrom<Row> for AuditEntry {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            at: row.at.into(),
            user: row.user_name,
            token_id: row.token_id.map(TokenId),
            route: row.route,
            thing_id: row.thing_id,
            thing_name: row.thing_name,
            project_id: row.project_id.map(ProjectId),
            status: count(TABLE, row.status)?,
            request_id: row.request_id,
        })
    }
}

/// Adds a line.
pub(crate) async fn insert(write: &mut Write, entry: &AuditEntry) -> Result<(), StoreError> {
    write
        .query(
            "INSERT INTO audit (
                 id, at, user_name, token_id, route, thing_id, thing_name, project_id, status,
                 request_id
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(entry.id)
        .bind(entry.at.as_utc())
        .bind(entry.user.clone())
        .bind(entry.token_id.map(|id| id.0))
        .bind(entry.route.clone())
        .bind(entry.thing_id)
        .bind(entry.thing_name.clone())
        .bind(entry.project_id.map(|id| id.0))
        .bind(i64::from(entry.status))
        .bind(entry.request_id.clone())
        .execute()
        .await?;
    Ok(())
}

/// Lines older than a cursor, newest first; of one project, or all.
pub(crate) async fn list(
    session: &mut Session,
    project: Option<ProjectId>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<AuditEntry>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT *
             FROM audit
             WHERE ($1 IS NULL OR project_id = $1)
               AND ($2 IS NULL OR id < $2)
             ORDER BY id DESC
             LIMIT $3",
        )
        .bind(project.map(|id| id.0))
        .bind(after)
        .bind(limit)
        .fetch_all()
        .await?;
    rows.into_iter().map(AuditEntry::try_from).collect()
}
