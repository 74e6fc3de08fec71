//! What an accepted `sync` makes: requirements, criteria and spec tasks (planning domain), tickets
//! and tasks (execution domain), keyed by `(spec_id, local_id)`.
//!
//! What holds: running it again with the same documents changes nothing; a symbolic dependency is
//! resolved to a row or the whole is refused; what a newer plan no longer has goes, unless work on
//! it has begun.

use std::collections::{BTreeMap, BTreeSet};

use specwright_shared::documents::requirements::Requirement;
use specwright_shared::documents::tasks::{PlannedTicket, SpecTask};
use specwright_shared::documents::{Requirements, Sync, Tasks};
use specwright_shared::phase::TicketPhase;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::TicketsCreated;
use sqlx::types::Json;
use uuid::Uuid;

use super::spec::Spec;
use super::{StoreError, Write, stored};

/// Why a plan could not be made into rows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// A key stands for nothing.
    #[error("{at} names `{key}`, which is not in the plan; name only what the plan has")]
    Unresolved {
        /// Who names it.
        at: String,
        /// What is named.
        key: String,
    },
    /// The store failed.
    #[error("the plan could not be stored")]
    Store(#[from] StoreError),
}

/// The documents that a plan is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) requirements: &'a Requirements,
    pub(crate) tasks: &'a Tasks,
    pub(crate) sync: &'a Sync,
}

/// Makes or updates all rows of a plan. The caller holds the spec's lock.
pub(crate) async fn materialise(
    write: &mut Write,
    spec: &Spec,
    plan: Plan<'_>,
    now: Timestamp,
) -> Result<TicketsCreated, PlanError> {
    let mut made = TicketsCreated {
        tickets_created: 0,
        tickets_updated: 0,
        tasks_created: 0,
        tasks_updated: 0,
    };
    for (position, requirement) in plan.requirements.requirements.iter().enumerate() {
        save_requirement(write, spec, position, requirement).await?;
    }

    let ticket_place = places(plan.sync.ticket_order.iter().map(|key| key.as_str()));
    let mut tickets = BTreeMap::new();
    for ticket in &plan.tasks.tickets {
        let position = resolve(&ticket_place, "the order of tickets", ticket.id.as_str())?;
        let (id, created) = save_ticket(write, spec, position, ticket, now).await?;
        tickets.insert(ticket.id.as_str(), id);
        *if created { &mut made.tickets_created } else { &mut made.tickets_updated } += 1;
    }

    let task_place = places(plan.sync.task_order.iter().map(|key| key.as_str()));
    let mut tasks = BTreeMap::new();
    for task in &plan.tasks.tasks {
        let position = resolve(&task_place, "the order of tasks", task.id.as_str())?;
        let ticket = resolve(&tickets, task.id.as_str(), task.parent_ticket.as_str())?;
        let spec_task = save_spec_task(write, spec, position, task).await?;
        let (id, created) = save_task(write, spec, position, task, ticket, spec_task).await?;
        tasks.insert(task.id.as_str(), id);
        *if created { &mut made.tasks_created } else { &mut made.tasks_updated } += 1;
    }

    // Only now: a task may have moved out of a ticket that goes.
    remove_what_is_no_longer_planned(write, spec, plan).await?;

    for ticket in &plan.tasks.tickets {
        let id = resolve(&tickets, "the plan", ticket.id.as_str())?;
        write
            .query("DELETE FROM ticket_dependencies WHERE ticket_id = $1")
            .bind(id)
            .execute()
            .await?;
        for key in distinct(ticket.depends_on.iter().map(|key| key.as_str())) {
            let on = resolve(&tickets, ticket.id.as_str(), key)?;
            write
                .query("INSERT INTO ticket_dependencies (ticket_id, depends_on) VALUES ($1, $2)")
                .bind(id)
                .bind(on)
                .execute()
                .await?;
        }
    }
    for task in &plan.tasks.tasks {
        let id = resolve(&tasks, "the plan", task.id.as_str())?;
        write.query("DELETE FROM task_dependencies WHERE task_id = $1").bind(id).execute().await?;
        for key in distinct(task.depends_on.iter().map(|key| key.as_str())) {
            let on = resolve(&tasks, task.id.as_str(), key)?;
            write
                .query("INSERT INTO task_dependencies (task_id, depends_on) VALUES ($1, $2)")
                .bind(id)
                .bind(on)
                .execute()
                .await?;
        }
    }
    Ok(made)
}

fn places<'a>(order: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    order.enumerate().map(|(position, key)| (key, position)).collect()
}

fn distinct<'a>(keys: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    keys.collect()
}

fn resolve<T: Copy>(known: &BTreeMap<&str, T>, at: &str, key: &str) -> Result<T, PlanError> {
    known
        .get(key)
        .copied()
        .ok_or_else(|| PlanError::Unresolved { at: at.to_owned(), key: key.to_owned() })
}

/// A new row keeps the id that it was offered; one that was there keeps its own.
fn was_created(offered: Uuid, kept: Uuid) -> (Uuid, bool) {
    (kept, offered == kept)
}

async fn remove_what_is_no_longer_planned(
    write: &mut Write,
    spec: &Spec,
    plan: Plan<'_>,
) -> Result<(), StoreError> {
    let tasks: BTreeSet<&str> = plan.tasks.tasks.iter().map(|task| task.id.as_str()).collect();
    let tickets: BTreeSet<&str> =
        plan.tasks.tickets.iter().map(|ticket| ticket.id.as_str()).collect();
    let requirements: BTreeSet<&str> =
        plan.requirements.requirements.iter().map(|one| one.id.as_str()).collect();
    type Keys = Vec<(String,)>;

    let old: Keys = write
        .query("SELECT local_id FROM tasks WHERE spec_id = $1 AND status = 'pending'")
        .bind(spec.id.0)
        .fetch_all()
        .await?;
    for (key,) in old.into_iter().filter(|(key,)| !tasks.contains(key.as_str())) {
        for sql in [
            "DELETE FROM tasks WHERE spec_id = $1 AND local_id = $2",
            "DELETE FROM spec_tasks WHERE spec_id = $1 AND local_id = $2",
        ] {
            write.query(sql).bind(spec.id.0).bind(key.clone()).execute().await?;
        }
    }
    let old: Keys = write
        .query("SELECT local_id FROM tickets WHERE spec_id = $1 AND phase = 'PHASE_INITIAL'")
        .bind(spec.id.0)
        .fetch_all()
        .await?;
    for (key,) in old.into_iter().filter(|(key,)| !tickets.contains(key.as_str())) {
        write
            .query(
                "DELETE FROM tickets
                 WHERE spec_id = $1 AND local_id = $2
                   AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.ticket_id = tickets.id)",
            )
            .bind(spec.id.0)
            .bind(key)
            .execute()
            .await?;
    }
    let old: Keys = write
        .query("SELECT local_id FROM requirements WHERE spec_id = $1")
        .bind(spec.id.0)
        .fetch_all()
        .await?;
    for (key,) in old.into_iter().filter(|(key,)| !requirements.contains(key.as_str())) {
        write
            .query("DELETE FROM requirements WHERE spec_id = $1 AND local_id = $2")
            .bind(spec.id.0)
            .bind(key)
            .execute()
            .await?;
    }
    Ok(())
}

async fn save_requirement(
    write: &mut Write,
    spec: &Spec,
    position: usize,
    requirement: &Requirement,
) -> Result<(), StoreError> {
    let key = requirement.id.as_str();
    let (id,): (Uuid,) = write
        .query(
            "INSERT INTO requirements (
                 id, spec_id, project_id, owner, local_id, position, title, text, priority,
                 depends_on
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (spec_id, local_id) DO UPDATE
             SET position = excluded.position, title = excluded.title, text = excluded.text,
                 priority = excluded.priority, depends_on = excluded.depends_on
             RETURNING id",
        )
        .bind(Uuid::now_v7())
        .bind(spec.id.0)
        .bind(spec.project_id.0)
        .bind(spec.owner.clone())
        .bind(key.to_owned())
        .bind(stored(position as u64))
        .bind(requirement.title.to_string())
        .bind(requirement.text.to_string())
        .bind(requirement.priority.as_str())
        .bind(Json(requirement.dependencies.to_vec()))
        .fetch_one()
        .await?;
    let criteria: BTreeMap<String, &str> = requirement
        .acceptance_criteria
        .iter()
        .enumerate()
        .map(|(index, text)| (format!("{key}/{:02}", index + 1), &**text))
        .collect();
    let old: Vec<(String,)> = write
        .query("SELECT local_id FROM acceptance_criteria WHERE requirement_id = $1")
        .bind(id)
        .fetch_all()
        .await?;
    for (local_id,) in old.into_iter().filter(|(local_id,)| !criteria.contains_key(local_id)) {
        write
            .query("DELETE FROM acceptance_criteria WHERE spec_id = $1 AND local_id = $2")
            .bind(spec.id.0)
            .bind(local_id)
            .execute()
            .await?;
    }
    for (local_id, text) in criteria {
        write
            .query(
                "INSERT INTO acceptance_criteria (
                     id, spec_id, project_id, owner, local_id, requirement_id, text
                 )
                 VALUES ($1, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT (spec_id, local_id) DO UPDATE
                 SET requirement_id = excluded.requirement_id, text = excluded.text",
            )
            .bind(Uuid::now_v7())
            .bind(spec.id.0)
            .bind(spec.project_id.0)
            .bind(spec.owner.clone())
            .bind(local_id)
            .bind(id)
            .bind(text.to_owned())
            .execute()
            .await?;
    }
    Ok(())
}

async fn save_ticket(
    write: &mut Write,
    spec: &Spec,
    position: usize,
    ticket: &PlannedTicket,
    now: Timestamp,
) -> Result<(Uuid, bool), StoreError> {
    let offered = Uuid::now_v7();
    // The phase is not touched on a row that is there: the card may have moved on.
    let (kept,): (Uuid,) = write
        .query(
            "INSERT INTO tickets (
                 id, spec_id, project_id, owner, local_id, position, title, description, priority,
                 estimate, phase, requirements, acceptance_criteria, rehearsal, created_at
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
             ON CONFLICT (spec_id, local_id) DO UPDATE
             SET position = excluded.position, title = excluded.title,
                 description = excluded.description, priority = excluded.priority,
                 estimate = excluded.estimate, requirements = excluded.requirements,
                 acceptance_criteria = excluded.acceptance_criteria,
                 rehearsal = excluded.rehearsal
             RETURNING id",
        )
        .bind(offered)
        .bind(spec.id.0)
        .bind(spec.project_id.0)
        .bind(spec.owner.clone())
        .bind(ticket.id.as_str().to_owned())
        .bind(stored(position as u64))
        .bind(ticket.title.to_string())
        .bind(ticket.description.to_string())
        .bind(ticket.priority.as_str())
        .bind(ticket.estimate.as_str())
        .bind(TicketPhase::PhaseInitial.as_str())
        .bind(Json(ticket.requirements.to_vec()))
        .bind(Json(ticket.acceptance_criteria.to_vec()))
        .bind(spec.rehearsal)
        .bind(now.as_utc())
        .fetch_one()
        .await?;
    Ok(was_created(offered, kept))
}

async fn save_spec_task(
    write: &mut Write,
    spec: &Spec,
    position: usize,
    task: &SpecTask,
) -> Result<Uuid, StoreError> {
    let (id,): (Uuid,) = write
        .query(
            "INSERT INTO spec_tasks (
                 id, spec_id, project_id, owner, local_id, position, ticket_local_id, plan
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (spec_id, local_id) DO UPDATE
             SET position = excluded.position, ticket_local_id = excluded.ticket_local_id,
                 plan = excluded.plan
             RETURNING id",
        )
        .bind(Uuid::now_v7())
        .bind(spec.id.0)
        .bind(spec.project_id.0)
        .bind(spec.owner.clone())
        .bind(task.id.as_str().to_owned())
        .bind(stored(position as u64))
        .bind(task.parent_ticket.as_str().to_owned())
        .bind(Json(serde_json::to_value(task).unwrap_or_default()))
        .fetch_one()
        .await?;
    Ok(id)
}

async fn save_task(
    write: &mut Write,
    spec: &Spec,
    position: usize,
    task: &SpecTask,
    ticket: Uuid,
    spec_task: Uuid,
) -> Result<(Uuid, bool), StoreError> {
    let offered = Uuid::now_v7();
    // The status is not touched on a row that is there: the task may be under way.
    let (kept,): (Uuid,) = write
        .query(
            "INSERT INTO tasks (
                 id, spec_id, project_id, owner, local_id, ticket_id, spec_task_id, position, title,
                 description, kind, priority, estimated_hours, status, requirements,
                 files_to_create, files_to_modify, acceptance_criteria
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'pending', $14, $15,
                     $16, $17)
             ON CONFLICT (spec_id, local_id) DO UPDATE
             SET ticket_id = excluded.ticket_id, spec_task_id = excluded.spec_task_id,
                 position = excluded.position, title = excluded.title,
                 description = excluded.description, kind = excluded.kind,
                 priority = excluded.priority, estimated_hours = excluded.estimated_hours,
                 requirements = excluded.requirements, files_to_create = excluded.files_to_create,
                 files_to_modify = excluded.files_to_modify,
                 acceptance_criteria = excluded.acceptance_criteria
             RETURNING id",
        )
        .bind(offered)
        .bind(spec.id.0)
        .bind(spec.project_id.0)
        .bind(spec.owner.clone())
        .bind(task.id.as_str().to_owned())
        .bind(ticket)
        .bind(spec_task)
        .bind(stored(position as u64))
        .bind(task.title.to_string())
        .bind(task.description.to_string())
        .bind(task.kind.as_str())
        .bind(task.priority.as_str())
        .bind(task.estimated_hours)
        .bind(Json(task.requirements.to_vec()))
        .bind(Json(task.files_to_create.to_vec()))
        .bind(Json(task.files_to_modify.to_vec()))
        .bind(Json(task.acceptance_criteria.to_vec()))
        .fetch_one()
        .await?;
    Ok(was_created(offered, kept))
}
