//! Tasks, as the board shows them: always in the order of their plan.

use std::collections::HashMap;

use specwright_shared::id::{SpecId, TaskId, TicketId};
use specwright_shared::wire::ticket::TaskView;
use sqlx::types::Json;
use uuid::Uuid;

use super::one_of::{OneOf, one_of};
use super::project::Sight;
use super::ticket::priority;
use super::{Session, StoreError};

const TABLE: &str = "tasks";

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    local_id: String,
    ticket_id: Uuid,
    title: String,
    description: String,
    kind: String,
    priority: String,
    estimated_hours: f64,
    status: String,
    requirements: Json<Vec<String>>,
    files_to_create: Json<Vec<String>>,
    files_to_modify: Json<Vec<String>>,
    acceptance_criteria: Json<Vec<String>>,
}

const OF_TICKETS: OneOf = one_of!(
    "SELECT id, local_id, ticket_id, title, description, kind, priority, estimated_hours,
            status, requirements, files_to_create, files_to_modify, acceptance_criteria
     FROM tasks
     WHERE ticket_id",
    "ORDER BY position"
);

const DEPENDENCIES: OneOf = one_of!(
    "SELECT task_dependencies.task_id, task_dependencies.depends_on
     FROM task_dependencies
     JOIN tasks AS others ON others.id = task_dependencies.depends_on
     WHERE task_dependencies.task_id",
    "ORDER BY others.position"
);

/// The tasks of these tickets, each ticket's in their order. The caller knows that the tickets may be
/// seen.
pub(super) async fn of_tickets(
    session: &mut Session,
    tickets: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, Vec<TaskView>>, StoreError> {
    let rows = OF_TICKETS.query(session, tickets)?.fetch_all().await?;
    let mut tasks: HashMap<Uuid, Vec<TaskView>> = HashMap::new();
    for task in views(session, rows).await? {
        tasks.entry(task.ticket_id.0).or_default().push(task);
    }
    Ok(tasks)
}

/// The tasks of a spec, if someone sees it.
pub(crate) async fn of_spec(
    session: &mut Session,
    sight: Sight,
    spec: SpecId,
) -> Result<Vec<TaskView>, StoreError> {
    let rows = session
        .query(
            "SELECT id, local_id, ticket_id, title, description, kind, priority, estimated_hours,
                    status, requirements, files_to_create, files_to_modify, acceptance_criteria
             FROM tasks
             WHERE spec_id = $1
               AND ($2 IS NULL OR project_id IN (
                       SELECT project_id FROM project_members WHERE user_id = $2
                   ))
               AND ($3 IS NULL OR project_id = $3)
             ORDER BY position",
        )
        .bind(spec.0)
        .bind(sight.user.map(|id| id.0))
        .bind(sight.project.map(|id| id.0))
        .fetch_all()
        .await?;
    views(session, rows).await
}

/// A task, if someone sees it.
pub(crate) async fn find(
    session: &mut Session,
    sight: Sight,
    id: TaskId,
) -> Result<Option<TaskView>, StoreError> {
    let rows = session
        .query(
            "SELECT id, local_id, ticket_id, title, description, kind, priority, estimated_hours,
                    status, requirements, files_to_create, files_to_modify, acceptance_criteria
             FROM tasks
             WHERE id = $1
               AND ($2 IS NULL OR project_id IN (
                       SELECT project_id FROM project_members WHERE user_id = $2
                   ))
               AND ($3 IS NULL OR project_id = $3)",
        )
        .bind(id.0)
        .bind(sight.user.map(|id| id.0))
        .bind(sight.project.map(|id| id.0))
        .fetch_all()
        .await?;
    Ok(views(session, rows).await?.into_iter().next())
}

/// Rows with what they depend on.
async fn views(session: &mut Session, rows: Vec<Row>) -> Result<Vec<TaskView>, StoreError> {
    let depends: Vec<(Uuid, Uuid)> =
        DEPENDENCIES.query(session, rows.iter().map(|row| row.id))?.fetch_all().await?;
    let mut depends_on: HashMap<Uuid, Vec<TaskId>> = HashMap::new();
    for (task, on) in depends {
        depends_on.entry(task).or_default().push(TaskId(on));
    }
    rows.into_iter()
        .map(|row| {
            Ok(TaskView {
                depends_on: depends_on.remove(&row.id).unwrap_or_default(),
                id: TaskId(row.id),
                local_id: row.local_id,
                ticket_id: TicketId(row.ticket_id),
                title: row.title,
                description: row.description,
                kind: row.kind,
                priority: priority(TABLE, &row.priority)?,
                estimated_hours: row.estimated_hours,
                status: row.status,
                requirements: row.requirements.0,
                files_to_create: row.files_to_create.0,
                files_to_modify: row.files_to_modify.0,
                acceptance_criteria: row.acceptance_criteria.0,
            })
        })
        .collect()
}
