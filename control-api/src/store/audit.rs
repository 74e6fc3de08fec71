//! The audit log: rows are added, get what came of the deed once, and are never deleted.

use chrono::{DateTime, Utc};
use specwright_shared::id::{ProjectId, TokenId};
use specwright_shared::wire::access::AuditEntry;
use uuid::Uuid;

use super::{Session, StoreError, Write, count};

const TABLE: &str = "audit";

/// What stands for a status as long as it is not known.
const NOT_KNOWN: i64 = 0;

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
            status: match row.status {
                NOT_KNOWN => None,
                status => Some(count(TABLE, status)?),
            },
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
        .bind(entry.status.map_or(NOT_KNOWN, i64::from))
        .bind(entry.request_id.clone())
        .execute()
        .await?;
    Ok(())
}

/// Notes what came of a deed, in the line that says that it was begun; a second time changes nothing.
pub(crate) async fn finish(write: &mut Write, entry: &AuditEntry) -> Result<(), StoreError> {
    write
        .query(
            "UPDATE audit
             SET status = $2, thing_id = $3, project_id = $4
             WHERE id = $1 AND status = $5",
        )
        .bind(entry.id)
        .bind(entry.status.map_or(NOT_KNOWN, i64::from))
        .bind(entry.thing_id)
        .bind(entry.project_id.map(|id| id.0))
        .bind(NOT_KNOWN)
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
    let sql = match project {
        None => {
            "SELECT *
             FROM audit
             WHERE id < $1
             ORDER BY id DESC
             LIMIT $2"
        }
        Some(_) => {
            "SELECT *
             FROM audit
             WHERE project_id = $3 AND id < $1
             ORDER BY id DESC
             LIMIT $2"
        }
    };
    let query = session.query(sql).bind(after.unwrap_or(Uuid::max())).bind(limit);
    let query = match project {
        Some(id) => query.bind(id.0),
        None => query,
    };
    let rows: Vec<Row> = query.fetch_all().await?;
    rows.into_iter().map(AuditEntry::try_from).collect()
}

/// From here on no line is taken in any more.
#[cfg(test)]
pub(crate) async fn take_none(write: &mut Write) {
    let trigger = write.query(
        "CREATE TRIGGER audit_is_full
         BEFORE INSERT ON audit
         BEGIN SELECT RAISE(ABORT, 'no room'); END",
    );
    trigger.execute().await.unwrap();
}
