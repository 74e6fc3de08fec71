//! Lists in pages: page after page gives what there is, in order, each once, to whoever may see it.

use specwright_shared::id::{ProjectId, SpecId, UserId};
use specwright_shared::phase::{SpecStatus, TicketPhase};
use specwright_shared::wire::access::Role;
use uuid::Uuid;

use super::now;
use crate::store::project::{Reach, Sight};
use crate::store::spec::list::{self, Filter};
use crate::store::ticket::column::{self, Place};
use crate::store::{Session, Store, Write, member, project, spec, user};

/// Projects of the test; the user belongs to all but the last.
const PROJECTS: usize = 3;
const SPECS: usize = 17;
/// Tickets of a spec.
const TICKETS: i64 = 5;

/// What was made, newest first.
struct Made {
    user: UserId,
    projects: Vec<ProjectId>,
    specs: Vec<(ProjectId, SpecStatus, SpecId)>,
}

impl Made {
    fn sights(&self) -> [(Sight, Vec<ProjectId>); 4] {
        let (mine, others) = self.projects.split_at(PROJECTS - 1);
        let of = |project| Sight { user: Some(self.user), project };
        [
            (of(None), mine.to_vec()),
            (of(Some(mine[0])), vec![mine[0]]),
            (of(Some(others[0])), vec![]),
            (Sight { user: None, project: Some(others[0]) }, vec![others[0]]),
        ]
    }
}

pub(super) async fn what_is_read_in_pages(store: &Store) {
    let made = made(store).await;
    let mut session = store.read().await.unwrap();
    for (sight, seen) in made.sights() {
        specs_come_page_after_page(&mut session, &made, sight, &seen).await;
        columns_come_page_after_page(&mut session, &made, sight, &seen).await;
    }
    an_administrator_reads_the_newest_of_all(&mut session, &made).await;
}

async fn made(store: &Store) -> Made {
    let mut write = store.write().await.unwrap();
    let id = UserId(Uuid::now_v7());
    let view = serde_json::json!({ "id": id, "name": "reader", "created_at": now() });
    user::insert(&mut write, &serde_json::from_value(view).unwrap()).await.unwrap();
    let mut projects = Vec::new();
    for number in 0..PROJECTS {
        let project = ProjectId(Uuid::now_v7());
        let name = format!("pages-{number}");
        project::ensure(&mut write, project, "owner", &name, now()).await.unwrap();
        if number < PROJECTS - 1 {
            member::put(&mut write, project, id, Role::Member, now()).await.unwrap();
        }
        projects.push(project);
    }
    let like = super::new_spec_in(&mut write).await;
    let mut specs = Vec::new();
    for number in 0..SPECS {
        let (spec_id, project_id) = (SpecId(Uuid::now_v7()), projects[number * 5 % PROJECTS]);
        let status = if number % 3 == 0 { SpecStatus::Failed } else { SpecStatus::Completed };
        let spec = spec::Spec { id: spec_id, project_id, status, ..like.clone() };
        spec::insert(&mut write, &spec).await.unwrap();
        for position in 0..TICKETS {
            ticket(&mut write, project_id, spec_id, position).await;
        }
        specs.insert(0, (project_id, status, spec_id));
    }
    write.commit().await.unwrap();
    Made { user: id, projects, specs }
}

async fn ticket(write: &mut Write, project: ProjectId, spec: SpecId, position: i64) {
    let phase = if position % 2 == 0 { "PHASE_INITIAL" } else { "PHASE_INTEGRATION" };
    write
        .query(
            "INSERT INTO tickets (
                 id, spec_id, project_id, owner, local_id, position, title, description, priority,
                 estimate, phase, requirements, acceptance_criteria, rehearsal, created_at
             )
             VALUES ($1, $2, $3, 'owner', $4, $5, '', '', 'HIGH', 'M', $6, '[]', '[]', FALSE, $7)",
        )
        .bind(Uuid::now_v7())
        .bind(spec.0)
        .bind(project.0)
        .bind(format!("TKT-{position}"))
        .bind(position)
        .bind(phase)
        .bind(now().as_utc())
        .execute()
        .await
        .unwrap();
}

async fn specs_come_page_after_page(
    session: &mut Session,
    made: &Made,
    sight: Sight,
    seen: &[ProjectId],
) {
    let asked = [None, Some(made.projects[0]), Some(made.projects[PROJECTS - 1])];
    for project_id in asked {
        for status in [None, Some(SpecStatus::Failed), Some(SpecStatus::Draft)] {
            let expected: Vec<SpecId> = made
                .specs
                .iter()
                .filter(|(project, is, _)| {
                    seen.contains(project)
                        && project_id.is_none_or(|asked| asked == *project)
                        && status.is_none_or(|asked| asked == *is)
                })
                .map(|(_, _, id)| *id)
                .collect();
            for limit in [1, 4, 99] {
                let (mut found, mut after) = (Vec::new(), None);
                loop {
                    let filter = Filter { project_id, status, after };
                    let page = list::page(session, sight, &filter, limit).await.unwrap();
                    let Some(last) = page.last() else { break };
                    after = Some(last.id.0);
                    found.extend(page.into_iter().map(|spec| spec.id));
                }
                assert_eq!(found, expected, "{sight:?} {project_id:?} {status:?} {limit}");
            }
        }
    }
}

async fn columns_come_page_after_page(
    session: &mut Session,
    made: &Made,
    sight: Sight,
    seen: &[ProjectId],
) {
    let reach = sight.reach(session, None).await.unwrap();
    for (phase, first) in [(TicketPhase::PhaseInitial, 0), (TicketPhase::PhaseIntegration, 1)] {
        let expected: Vec<(SpecId, String)> = made
            .specs
            .iter()
            .filter(|(project, ..)| seen.contains(project))
            .flat_map(|(_, _, spec)| {
                (first..TICKETS).step_by(2).map(|position| (*spec, format!("TKT-{position}")))
            })
            .collect();
        for items in [1, 4, 99] {
            let (mut found, mut after) = (Vec::new(), Some(Place::TOP));
            while let Some(place) = after {
                let page = column::pages(session, reach, &[phase], place, items).await.unwrap();
                let page = page.into_iter().next().unwrap();
                let tickets = page.tickets.into_iter();
                found.extend(tickets.map(|ticket| (ticket.spec_id, ticket.local_id)));
                after = page.next;
            }
            assert_eq!(found, expected, "{sight:?} {phase:?} {items}");
        }
    }
}

async fn an_administrator_reads_the_newest_of_all(session: &mut Session, made: &Made) {
    let all = Sight::default();
    let newest: Vec<SpecId> = made.specs.iter().map(|(_, _, id)| *id).collect();
    let page = list::page(session, all, &Filter::default(), 17).await.unwrap();
    assert_eq!(page.iter().map(|spec| spec.id).collect::<Vec<_>>(), newest);
    let failed = Filter { status: Some(SpecStatus::Failed), ..Filter::default() };
    let page = list::page(session, all, &failed, 2).await.unwrap();
    assert!(page.iter().all(|spec| spec.status == SpecStatus::Failed), "{page:?}");
    let phases = TicketPhase::ALL;
    let pages = column::pages(session, Reach::All, &phases, Place::TOP, 4).await.unwrap();
    assert_eq!(pages.iter().map(|page| page.phase).collect::<Vec<_>>(), phases);
    for page in &pages {
        assert!(page.tickets.iter().all(|ticket| ticket.phase == page.phase), "{page:?}");
    }
    let first = pages.iter().find(|page| page.phase == TicketPhase::PhaseInitial).unwrap();
    assert_eq!(first.tickets[3].spec_id, newest[1]);
    assert_eq!(first.next, Some(Place { spec: newest[1].0, position: 0 }));
}
