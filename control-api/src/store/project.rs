//! Projects.

use chrono::{DateTime, Utc};
use specwright_shared::id::ProjectId;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::spec::ProjectView;
use uuid::Uuid;

use super::{Session, StoreError, Write};

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    owner: String,
    name: String,
    created_at: DateTime<Utc>,
}

impl From<Row> for ProjectView {
    fn from(row: Row) -> Self {
        Self {
            id: ProjectId(row.id),
            name: row.name,
            owner: row.owner,
            created_at: row.created_at.into(),
        }
    }
}

/// Makes a project, or finds the owner's one of that name. Says whether it was made now.
pub(crate) async fn ensure(
    write: &mut Write,
    id: ProjectId,
    owner: &str,
    name: &str,
    now: Timestamp,
) -> Result<(ProjectView, bool), StoreError> {
    let made = write
        .query(
            "INSERT INTO projects (id, owner, name, created_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (owner, name) DO NOTHING",
        )
        .bind(id.0)
        .bind(owner.to_owned())
        .bind(name.to_owned())
        .bind(now.as_utc())
        .execute()
        .await?;
    let row: Row = write
        .query("SELECT id, owner, name, created_at FROM projects WHERE owner = $1 AND name = $2")
        .bind(owner.to_owned())
        .bind(name.to_owned())
        .fetch_one()
        .await?;
    Ok((row.into(), made == 1))
}

/// One project of an owner.
pub(crate) async fn find(
    session: &mut Session,
    owner: &str,
    id: ProjectId,
) -> Result<Option<ProjectView>, StoreError> {
    let row: Option<Row> = session
        .query("SELECT id, owner, name, created_at FROM projects WHERE owner = $1 AND id = $2")
        .bind(owner.to_owned())
        .bind(id.0)
        .fetch_optional()
        .await?;
    Ok(row.map(Into::into))
}

/// An owner's projects behind a cursor, oldest first.
pub(crate) async fn list(
    session: &mut Session,
    owner: &str,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ProjectView>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT id, owner, name, created_at
             FROM projects
             WHERE owner = $1
               AND ($2 IS NULL OR id > $2)
             ORDER BY id
             LIMIT $3",
        )
        .bind(owner.to_owned())
        .bind(after)
        .bind(limit)
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}
