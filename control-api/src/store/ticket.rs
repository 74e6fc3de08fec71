//! Tickets with their tasks, as the board shows them.

pub(crate) mod column;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use specwright_shared::documents::Priority;
use specwright_shared::id::{ProjectId, SpecId, TicketId};
use specwright_shared::wire::ticket::TicketView;
use sqlx::types::Json;
use uuid::Uuid;

use super::one_of::{OneOf, one_of};
use super::project::Sight;
use super::{Session, StoreError, task, word};

const TABLE: &str = "tickets";

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    spec_id: Uuid,
    project_id: Uuid,
    owner: String,
    local_id: String,
    position: i64,
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

const DEPENDENCIES: OneOf = one_of!(
    "SELECT ticket_dependencies.ticket_id, ticket_dependencies.depends_on
     FROM ticket_dependencies
     JOIN tickets AS others ON others.id = ticket_dependencies.depends_on
     WHERE ticket_dependencies.ticket_id",
    "ORDER BY others.position"
);

pub(super) fn priority(table: &'static str, word: &str) -> Result<Priority, StoreError> {
    serde_json::from_value(Value::String(word.to_owned()))
        .map_err(|error| StoreError::Corrupt { table, what: error.to_string() })
}

/// The tickets of a spec in the order of its plan, if someone sees it. A plan has at most 100.
pub(crate) async fn of_spec(
    session: &mut Session,
    sight: Sight,
    spec: SpecId,
) -> Result<Vec<TicketView>, StoreError> {
    let rows = session
        .query(
            "SELECT *
             FROM tickets
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

/// A ticket, if someone sees it.
pub(crate) async fn find(
    session: &mut Session,
    sight: Sight,
    id: TicketId,
) -> Result<Option<TicketView>, StoreError> {
    let rows = session
        .query(
            "SELECT *
             FROM tickets
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

/// Rows with their tasks, and with what they depend on.
async fn views(session: &mut Session, rows: Vec<Row>) -> Result<Vec<TicketView>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let depends: Vec<(Uuid, Uuid)> =
        DEPENDENCIES.query(session, rows.iter().map(|row| row.id))?.fetch_all().await?;
    let mut depends_on: HashMap<Uuid, Vec<TicketId>> = HashMap::new();
    for (ticket, on) in depends {
        depends_on.entry(ticket).or_default().push(TicketId(on));
    }
    let mut tasks = task::of_tickets(session, rows.iter().map(|row| row.id)).await?;
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
                priority: priority(TABLE, &row.priority)?,
                estimate: row.estimate,
                phase: word(TABLE, &row.phase)?,
                requirements: row.requirements.0,
                acceptance_criteria: row.acceptance_criteria.0,
                rehearsal: row.rehearsal,
                created_at: row.created_at.into(),
            })
        })
        .collect()
}
