//! Tickets with their tasks, as the board shows them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use specwright_shared::documents::Priority;
use specwright_shared::id::{ProjectId, SpecId, TaskId, TicketId};
use specwright_shared::wire::ticket::{TaskView, TicketView};
use sqlx::types::Json;
use uuid::Uuid;

use super::project::Sight;
use super::{Session, StoreError, word};

/// The most tickets that one answer holds: a spec has at most 100, a board shows a project's newest.
pub(crate) const TICKETS_MAX: i64 = 500;

/// Which tickets or tasks to read; what is absent does not narrow.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filter {
    pub(crate) project: Option<ProjectId>,
    pub(crate) spec: Option<SpecId>,
    pub(crate) ticket: Option<TicketId>,
    pub(crate) task: Option<TaskId>,
}

#[derive(sqlx::FromRow)]
struct TicketRow {
    id: Uuid,
    spec_id: Uuid,
    project_id: Uuid,
    owner: String,
    local_id: String,
    title: String,
    description: String,
    priority: String,
    estimate: String,
    phase: String,
    requirements: Json<Vec<String>>,
    acceptance_criteria: Json<Vec<String>>,
    rehearsal: bool,
    created_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct TaskRow {
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

fn priority(table: &'static str, word: &str) -> Result<Priority, StoreError> {
    serde_json::from_value(Value::String(word.to_owned()))
        .map_err(|error| StoreError::Corrupt { table, what: error.to_string() })
}

/// The tickets that someone sees, newest spec first, in the order of their plan.
pub(crate) async fn list(
    session: &mut Session,
    sight: Sight,
    filter: Filter,
) -> Result<Vec<TicketView>, StoreError> {
    let rows: Vec<TicketRow> = session
        .query(
            "SELECT *
             FROM tickets
             WHERE ($1 IS NULL OR project_id IN (
                       SELECT project_id FROM project_members WHERE user_id = $1
                   ))
               AND ($2 IS NULL OR project_id = $2)
               AND ($3 IS NULL OR project_id = $3)
               AND ($4 IS NULL OR spec_id = $4)
               AND ($5 IS NULL OR id = $5)
             ORDER BY spec_id DESC, position
             LIMIT $6",
        )
        .bind(sight.user.map(|id| id.0))
        .bind(sight.project.map(|id| id.0))
        .bind(filter.project.map(|id| id.0))
        .bind(filter.spec.map(|id| id.0))
        .bind(filter.ticket.map(|id| id.0))
        .bind(TICKETS_MAX)
        .fetch_all()
        .await?;
    let depends: Vec<(Uuid, Uuid)> = session
        .query(
            "SELECT ticket_dependencies.ticket_id, ticket_dependencies.depends_on
             FROM ticket_dependencies
             JOIN tickets ON tickets.id = ticket_dependencies.ticket_id
             JOIN tickets AS others ON others.id = ticket_dependencies.depends_on
             WHERE ($1 IS NULL OR tickets.project_id IN (
                       SELECT project_id FROM project_members WHERE user_id = $1
                   ))
               AND ($2 IS NULL OR tickets.project_id = $2)
               AND ($3 IS NULL OR tickets.project_id = $3)
               AND ($4 IS NULL OR tickets.spec_id = $4)
               AND ($5 IS NULL OR tickets.id = $5)
             ORDER BY others.position",
        )
        .bind(sight.user.map(|id| id.0))
        .bind(sight.project.map(|id| id.0))
        .bind(filter.project.map(|id| id.0))
        .bind(filter.spec.map(|id| id.0))
        .bind(filter.ticket.map(|id| id.0))
        .fetch_all()
        .await?;
    let mut depends_on: HashMap<Uuid, Vec<TicketId>> = HashMap::new();
    for (ticket, on) in depends {
        depends_on.entry(ticket).or_default().push(TicketId(on));
    }
    let mut tasks: HashMap<Uuid, Vec<TaskView>> = HashMap::new();
    for task in self::tasks(session, sight, filter).await? {
        tasks.entry(task.ticket_id.0).or_default().push(task);
    }
    rows.into_iter()
        .map(|row| {
            Ok(TicketView {
                depends_on: depends_on.remove(&row.id).unwrap_or_default(),
                tasks: tasks.remove(&row.id).unwrap_or_default(),
                id: TicketId(row.id),
                local_id: row.local_id,
                spec_id: SpecId(row.spec_id),
                project_id: ProjectId(row.project_id),
                owner: row.owner,
                title: row.title,
                description: row.description,
                priority: priority("tickets", &row.priority)?,
                estimate: row.estimate,
                phase: word("tickets", &row.phase)?,
                requirements: row.requirements.0,
                acceptance_criteria: row.acceptance_criteria.0,
                rehearsal: row.rehearsal,
                created_at: row.created_at.into(),
            })
        })
        .collect()
}

/// The tasks that someone sees, newest spec first, in the order of their plan.
pub(crate) async fn tasks(
    session: &mut Session,
    sight: Sight,
    filter: Filter,
) -> Result<Vec<TaskView>, StoreError> {
    let rows: Vec<TaskRow> = session
        .query(
            "SELECT id, local_id, ticket_id, title, description, kind, priority, estimated_hours,
                    status, requirements, files_to_create, files_to_modify, acceptance_criteria
             FROM tasks
             WHERE ($1 IS NULL OR project_id IN (
                       SELECT project_id FROM project_members WHERE user_id = $1
                   ))
               AND ($2 IS NULL OR project_id = $2)
               AND ($3 IS NULL OR project_id = $3)
               AND ($4 IS NULL OR spec_id = $4)
               AND ($5 IS NULL OR ticket_id = $5)
               AND ($6 IS NULL OR id = $6)
             ORDER BY spec_id DESC, position",
        )
        .bind(sight.user.map(|id| id.0))
        .bind(sight.project.map(|id| id.0))
        .bind(filter.project.map(|id| id.0))
        .bind(filter.spec.map(|id| id.0))
        .bind(filter.ticket.map(|id| id.0))
        .bind(filter.task.map(|id| id.0))
        .fetch_all()
        .await?;
    let depends: Vec<(Uuid, Uuid)> = session
        .query(
            "SELECT task_dependencies.task_id, task_dependencies.depends_on
             FROM task_dependencies
             JOIN tasks ON tasks.id = task_dependencies.task_id
             JOIN tasks AS others ON others.id = task_dependencies.depends_on
             WHERE ($1 IS NULL OR tasks.project_id IN (
                       SELECT project_id FROM project_members WHERE user_id = $1
                   ))
               AND ($2 IS NULL OR tasks.project_id = $2)
               AND ($3 IS NULL OR tasks.project_id = $3)
               AND ($4 IS NULL OR tasks.spec_id = $4)
               AND ($5 IS NULL OR tasks.ticket_id = $5)
               AND ($6 IS NULL OR tasks.id = $6)
             ORDER BY others.position",
        )
        .bind(sight.user.map(|id| id.0))
        .bind(sight.project.map(|id| id.0))
        .bind(filter.project.map(|id| id.0))
        .bind(filter.spec.map(|id| id.0))
        .bind(filter.ticket.map(|id| id.0))
        .bind(filter.task.map(|id| id.0))
        .fetch_all()
        .await?;
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
                priority: priority("tasks", &row.priority)?,
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
