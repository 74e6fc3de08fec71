//! Who belongs to a project, and as what.

use chrono::{DateTime, Utc};
use specwright_shared::id::{ProjectId, UserId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::access::{MemberView, Role};
use uuid::Uuid;

use super::{Session, StoreError, Write, word};

const TABLE: &str = "project_members";

#[derive(sqlx::FromRow)]
struct Row {
    user_id: Uuid,
    name: String,
    role: String,
    added_at: DateTime<Utc>,
}

/// Makes a user a member, or gives a member another role.
pub(crate) async fn put(
    write: &mut Write,
    project: ProjectId,
    user: UserId,
    role: Role,
    now: Timestamp,
) -> Result<(), StoreError> {
    write
        .query(
            "INSERT INTO project_members (project_id, user_id, role, added_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role",
        )
        .bind(project.0)
        .bind(user.0)
        .bind(role.as_str())
        .bind(now.as_utc())
        .execute()
        .await?;
    Ok(())
}

/// Takes a user out of a project. `false`: the user was no member.
pub(crate) async fn remove(
    write: &mut Write,
    project: ProjectId,
    user: UserId,
) -> Result<bool, StoreError> {
    let touched = write
        .query("DELETE FROM project_members WHERE project_id = $1 AND user_id = $2")
        .bind(project.0)
        .bind(user.0)
        .execute()
        .await?;
    Ok(touched == 1)
}

/// What a user is in a project, if anything.
pub(crate) async fn role(
    session: &mut Session,
    project: ProjectId,
    user: UserId,
) -> Result<Option<Role>, StoreError> {
    let row: Option<(String,)> = session
        .query("SELECT role FROM project_members WHERE project_id = $1 AND user_id = $2")
        .bind(project.0)
        .bind(user.0)
        .fetch_optional()
        .await?;
    row.map(|(role,)| word(TABLE, &role)).transpose()
}

/// A project's members by name. A project has few; the list is given whole.
pub(crate) async fn list(
    session: &mut Session,
    project: ProjectId,
) -> Result<Vec<MemberView>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT users.id AS user_id, users.name, project_members.role,
                    project_members.added_at
             FROM project_members
             JOIN users ON users.id = project_members.user_id
             WHERE project_members.project_id = $1
             ORDER BY users.name",
        )
        .bind(project.0)
        .fetch_all()
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(MemberView {
                user_id: UserId(row.user_id),
                name: row.name,
                role: word(TABLE, &row.role)?,
                added_at: row.added_at.into(),
            })
        })
        .collect()
}
