//! Projects, and which of them someone sees.

use chrono::{DateTime, Utc};
use specwright_shared::id::{ProjectId, SandboxId, SpecId, TaskId, TicketId, UserId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::spec::ProjectView;
use uuid::Uuid;

use super::{Session, StoreError, Write, member};

/// Which projects someone sees. Every list takes one and narrows in SQL, so that no page is filtered
/// after it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Those of this user; `None`: all.
    pub(crate) user: Option<UserId>,
    /// This one alone; `None`: no narrower.
    pub(crate) project: Option<ProjectId>,
}

/// Where a list has to look for what a [`Sight`] shows: each has its own text, whose index fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// In all projects.
    All,
    /// In this one.
    Project(ProjectId),
    /// In those of this user.
    Member(UserId),
    /// Nowhere.
    Nothing,
}

impl Sight {
    /// Where to look when one project, or all that is seen, was asked for.
    pub(crate) async fn reach(
        self,
        session: &mut Session,
        asked: Option<ProjectId>,
    ) -> Result<Reach, StoreError> {
        let project = match (self.project, asked) {
            (Some(own), Some(asked)) if own != asked => return Ok(Reach::Nothing),
            (own, asked) => own.or(asked),
        };
        Ok(match (self.user, project) {
            (None, None) => Reach::All,
            (None, Some(project)) => Reach::Project(project),
            (Some(user), None) => Reach::Member(user),
            (Some(user), Some(project)) => match member::role(session, project, user).await? {
                Some(_) => Reach::Project(project),
                None => Reach::Nothing,
            },
        })
    }
}

/// Something that belongs to a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belonging {
    Project(ProjectId),
    Spec(SpecId),
    Sandbox(SandboxId),
    Ticket(TicketId),
    Task(TaskId),
}

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

/// Locks a project against everyone else who locks it, until the transaction ends.
pub(crate) async fn lock(write: &mut Write, id: ProjectId) -> Result<(), StoreError> {
    // Not of its key: SQLite would look for what refers to it, in all tables that do.
    let touch = "UPDATE projects SET created_at = created_at WHERE id = $1";
    write.query(touch).bind(id.0).execute().await?;
    Ok(())
}

/// The project that something belongs to; `None` when there is no such thing.
pub(crate) async fn of(
    session: &mut Session,
    thing: Belonging,
) -> Result<Option<ProjectId>, StoreError> {
    let (sql, id) = match thing {
        Belonging::Project(id) => ("SELECT id FROM projects WHERE id = $1", id.0),
        Belonging::Spec(id) => ("SELECT project_id FROM specs WHERE id = $1", id.0),
        Belonging::Sandbox(id) => (
            "SELECT specs.project_id
             FROM sandboxes
             JOIN specs ON specs.id = sandboxes.spec_id
             WHERE sandboxes.id = $1",
            id.0,
        ),
        Belonging::Ticket(id) => ("SELECT project_id FROM tickets WHERE id = $1", id.0),
        Belonging::Task(id) => ("SELECT project_id FROM tasks WHERE id = $1", id.0),
    };
    let row: Option<(Uuid,)> = session.query(sql).bind(id).fetch_optional().await?;
    Ok(row.map(|(id,)| ProjectId(id)))
}

/// The projects that someone sees, behind a cursor, oldest first.
pub(crate) async fn list(
    session: &mut Session,
    sight: Sight,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ProjectView>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT id, owner, name, created_at
             FROM projects
             WHERE ($1 IS NULL
                    OR id IN (SELECT project_id FROM project_members WHERE user_id = $1))
               AND ($2 IS NULL OR id = $2)
               AND ($3 IS NULL OR id > $3)
             ORDER BY id
             LIMIT $4",
        )
        .bind(sight.user.map(|id| id.0))
        .bind(sight.project.map(|id| id.0))
        .bind(after)
        .bind(limit)
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}
