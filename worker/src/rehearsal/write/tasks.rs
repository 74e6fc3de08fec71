//! `tasks`: one ticket for each handful of requirements, each with its implementation and its tests,
//! and last the documentation for people.

use specwright_shared::documents::requirements::Requirement;
use specwright_shared::documents::tasks::{PlannedTicket, Size, SpecTask, TaskKind};
use specwright_shared::documents::{Explore, Priority, Requirements, Tasks};
use specwright_shared::id::{RequirementId, SpecTaskKey, TicketKey};
use specwright_shared::list::List;
use specwright_shared::path::RepoPath;

use super::{LABEL, Layout, Survey, WriteError, line, text};
use crate::rehearsal::idea::cut;
use crate::rehearsal::survey::language::{Language, is_test};

/// Requirements of one ticket: what one person keeps in mind. 200 requirements, the most that a
/// document holds, give 26 tickets and 101 tasks, well within what `tasks` may hold.
const TICKET_REQUIREMENTS: usize = 8;
/// Requirements of one implementation task.
const TASK_REQUIREMENTS: usize = 3;
/// Existing files that the first task changes.
const CHANGED_MAX: usize = 3;

/// The plan under way.
struct Plan<'a> {
    feature: &'a str,
    layout: Layout,
    changed: Vec<RepoPath>,
    tickets: Vec<PlannedTicket>,
    tasks: Vec<SpecTask>,
}

pub(super) fn write(
    requirements: &Requirements,
    explore: &Explore,
    survey: &Survey,
) -> Result<Tasks, WriteError> {
    let mut changed: Vec<RepoPath> = Vec::new();
    let important = explore.key_files.iter().map(|file| &file.path).chain(&explore.entry_points);
    for path in important {
        let code = Language::of(path).is_some_and(|language| language.is_code) && !is_test(path);
        if code && changed.len() < CHANGED_MAX && !changed.contains(path) && survey.has(path) {
            changed.push(path.clone());
        }
    }
    let mut plan = Plan {
        feature: requirements.feature_name.as_str(),
        layout: Layout::of(requirements, explore, survey)?,
        changed,
        tickets: Vec::new(),
        tasks: Vec::new(),
    };
    let (for_people, to_build): (Vec<_>, Vec<_>) = requirements
        .requirements
        .iter()
        .partition(|requirement| requirement.id.as_str().contains("-USE-"));
    let groups: Vec<&[&Requirement]> = to_build.chunks(TICKET_REQUIREMENTS).collect();
    for (index, group) in groups.iter().enumerate() {
        plan.slice(index, groups.len(), group)?;
    }
    // Documents about something need something: with nothing to build, everything is for people.
    let documented = if for_people.is_empty() {
        vec![&to_build[..to_build.len().min(TICKET_REQUIREMENTS)]]
    } else {
        for_people.chunks(TICKET_REQUIREMENTS).collect()
    };
    for (index, group) in documented.iter().enumerate() {
        plan.documentation(index, group)?;
    }
    Ok(Tasks {
        feature_name: requirements.feature_name.clone(),
        tickets: List::new(plan.tickets)?,
        tasks: List::new(plan.tasks)?,
    })
}

impl Plan<'_> {
    /// A ticket that builds a handful of requirements, and tests them.
    fn slice(
        &mut self,
        index: usize,
        count: usize,
        group: &[&Requirement],
    ) -> Result<(), WriteError> {
        let part =
            if count == 1 { String::new() } else { format!(", part {} of {count}", index + 1) };
        let feature = self.feature;
        let ticket = self.ticket(
            &format!("Build {feature}{part}"),
            &format!(
                "Goal: {feature} does what its requirements say{part}. Not a goal: anything that they \
                 do not mention."
            ),
            if index == 0 { Priority::High } else { Priority::Medium },
            group,
        )?;
        let foundation = self.tasks.first().map(|task| task.id.clone());
        let mut built = Vec::new();
        for (at, requirements) in group.chunks(TASK_REQUIREMENTS).enumerate() {
            let first = index == 0 && at == 0;
            let titles: Vec<_> = requirements.iter().map(|one| cut(&one.title, 50)).collect();
            let sentences: Vec<_> =
                requirements.iter().map(|one| format!("- {}: {}", one.id, one.text)).collect();
            let module: Vec<RepoPath> = self.layout.module.iter().cloned().collect();
            let key = self.task(SpecTask {
                id: key(self.tasks.len())?,
                parent_ticket: ticket.clone(),
                title: line(format!("Implement: {}", titles.join("; ")))?,
                description: text(format!(
                    "Make the module of `{feature}` do this:\n\n{}\n\n({LABEL})",
                    sentences.join("\n")
                ))?,
                kind: TaskKind::Implementation,
                priority: if first { Priority::High } else { Priority::Medium },
                estimated_hours: 3.0,
                files_to_create: List::fitted(module.iter().filter(|_| first).cloned()),
                files_to_modify: List::fitted(if first {
                    self.changed.clone()
                } else {
                    module.clone()
                }),
                acceptance_criteria: criteria(requirements)?,
                depends_on: List::fitted(built.last().cloned().or_else(|| foundation.clone())),
                requirements: ids(requirements)?,
            });
            built.push(key);
        }
        let test: Vec<RepoPath> = self.layout.test.iter().cloned().collect();
        self.task(SpecTask {
            id: key(self.tasks.len())?,
            parent_ticket: ticket.clone(),
            title: line(format!("Test {feature}{part}"))?,
            description: text(format!(
                "Write a test for each acceptance criterion of: {}.",
                group.iter().map(|one| one.id.as_str()).collect::<Vec<_>>().join(", ")
            ))?,
            kind: TaskKind::Test,
            priority: Priority::Medium,
            estimated_hours: 2.0,
            files_to_create: List::fitted(test.iter().filter(|_| index == 0).cloned()),
            files_to_modify: List::fitted(test.iter().filter(|_| index > 0).cloned()),
            acceptance_criteria: criteria(group)?,
            depends_on: List::fitted(built),
            requirements: ids(group)?,
        });
        Ok(())
    }

    /// The ticket for people's documentation.
    fn documentation(&mut self, index: usize, group: &[&Requirement]) -> Result<(), WriteError> {
        let feature = self.feature;
        let part = if index == 0 { String::new() } else { format!(", part {}", index + 1) };
        let page = self.layout.page.clone();
        let ticket = self.ticket(
            &format!("Document {feature}{part}"),
            &format!("Goal: people can use and operate {feature} from its documentation alone."),
            Priority::Low,
            group,
        )?;
        let tested = self.tasks.last().map(|task| task.id.clone());
        self.task(SpecTask {
            id: key(self.tasks.len())?,
            parent_ticket: ticket.clone(),
            title: line(format!("Write the page about {feature}{part}"))?,
            description: text(format!(
                "Describe the settings, the messages and one example that runs. ({LABEL})"
            ))?,
            kind: TaskKind::Documentation,
            priority: Priority::Low,
            estimated_hours: 1.0,
            files_to_create: List::fitted((index == 0).then(|| page.clone())),
            files_to_modify: List::fitted((index > 0).then_some(page)),
            acceptance_criteria: criteria(group)?,
            depends_on: List::fitted(tested),
            requirements: ids(group)?,
        });
        Ok(())
    }

    /// Every ticket waits for the one before it: they change the same module.
    fn ticket(
        &mut self,
        title: &str,
        goal: &str,
        priority: Priority,
        group: &[&Requirement],
    ) -> Result<TicketKey, WriteError> {
        let id = TicketKey::new(format!("TKT-{:03}", self.tickets.len() + 1))?;
        self.tickets.push(PlannedTicket {
            id: id.clone(),
            title: line(title)?,
            description: text(format!("{goal}\n\n({LABEL})"))?,
            priority,
            estimate: if group.len() > TASK_REQUIREMENTS { Size::M } else { Size::S },
            requirements: ids(group)?,
            acceptance_criteria: criteria(group)?,
            depends_on: List::fitted(self.tickets.last().map(|ticket| ticket.id.clone())),
        });
        Ok(id)
    }

    fn task(&mut self, task: SpecTask) -> SpecTaskKey {
        let id = task.id.clone();
        self.tasks.push(task);
        id
    }
}

fn key(tasks: usize) -> Result<SpecTaskKey, WriteError> {
    Ok(SpecTaskKey::new(format!("TSK-{:03}", tasks + 1))?)
}

fn ids<const MAX: usize>(
    group: &[&Requirement],
) -> Result<List<RequirementId, 1, MAX>, WriteError> {
    Ok(List::new(group.iter().map(|requirement| requirement.id.clone()).collect())?)
}

/// One criterion of each requirement, in other words for each.
fn criteria<const TEXT: usize, const MAX: usize>(
    group: &[&Requirement],
) -> Result<List<specwright_shared::text::Text<TEXT>, 1, MAX>, WriteError> {
    let criteria: Result<Vec<_>, _> = group
        .iter()
        .map(|requirement| {
            let criterion = requirement.acceptance_criteria.first().map_or("", |first| first);
            text(format!("{}: {}", requirement.id, cut(criterion, TEXT.saturating_sub(40))))
        })
        .collect();
    Ok(List::new(criteria?)?)
}
