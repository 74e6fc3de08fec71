use super::*;
use crate::documents::{Document, Requirements};
use crate::phase::Phase;

fn good(phase: Phase, text: &str) -> Document {
    Document::parse(phase, &serde_json::from_str(text).unwrap()).unwrap()
}

fn documents(change: impl FnOnce(&mut serde_json::Value)) -> (Requirements, Design, Tasks) {
    let requirements = include_str!("../../tests/corpus/good/requirements.json");
    let design = include_str!("../../tests/corpus/good/design.json");
    let mut tasks =
        serde_json::from_str(include_str!("../../tests/corpus/good/tasks.json")).unwrap();
    change(&mut tasks);
    let (Document::Requirements(requirements), Document::Design(design), Document::Tasks(tasks)) = (
        good(Phase::Requirements, requirements),
        good(Phase::Design, design),
        Document::parse(Phase::Tasks, &tasks).unwrap(),
    ) else {
        panic!("a document of another phase")
    };
    (*requirements, *design, *tasks)
}

fn keys(tasks: &[SpecTaskKey]) -> Vec<&str> {
    tasks.iter().map(SpecTaskKey::as_str).collect()
}

#[test]
fn the_good_set_gives_the_sync_that_is_in_it() {
    let (requirements, design, tasks) = documents(|_| {});
    let expected = good(Phase::Sync, include_str!("../../tests/corpus/good/sync.json"));
    let sync = synchronise(&requirements, &design, &tasks).unwrap();
    assert_eq!(Document::Sync(Box::new(sync)), expected);
}

#[test]
fn a_ticket_waits_for_all_tasks_of_the_one_it_depends_on() {
    let (requirements, design, tasks) = documents(|tasks| {
        // The ticket that was first is now the last on paper and still the first in order.
        tasks["tickets"].as_array_mut().unwrap().rotate_left(1);
        tasks["tasks"].as_array_mut().unwrap().reverse();
    });
    let sync = synchronise(&requirements, &design, &tasks).unwrap();
    let tickets: Vec<_> = sync.ticket_order.iter().map(TicketKey::as_str).collect();
    assert_eq!(tickets, ["TKT-001", "TKT-002", "TKT-003"]);
    assert_eq!(keys(&sync.task_order), ["TSK-001", "TSK-002", "TSK-003", "TSK-004", "TSK-005"]);
    // TSK-003 names TSK-001 only; its ticket waits for TSK-002 too.
    assert_eq!(keys(&sync.critical_path.tasks).len(), 5);
}

#[test]
fn the_critical_path_is_the_longest_in_hours() {
    let (requirements, design, tasks) = documents(|tasks| {
        for ticket in tasks["tickets"].as_array_mut().unwrap() {
            ticket["depends_on"] = serde_json::json!([]);
        }
        tasks["tasks"][4]["estimated_hours"] = serde_json::json!(30.1);
    });
    let sync = synchronise(&requirements, &design, &tasks).unwrap();
    assert_eq!(keys(&sync.critical_path.tasks), ["TSK-005"]);
    assert_eq!(sync.critical_path.hours, 30.1);
}

#[test]
fn sums_of_fractions_survive_a_trip_through_json() {
    let (requirements, design, tasks) = documents(|tasks| {
        for task in tasks["tasks"].as_array_mut().unwrap() {
            task["estimated_hours"] = serde_json::json!(0.1 + 0.2);
        }
    });
    let sync = synchronise(&requirements, &design, &tasks).unwrap();
    let text = serde_json::to_string(&sync).unwrap();
    assert_eq!(serde_json::from_str::<Sync>(&text).unwrap(), sync);
    assert_eq!(sync.totals.estimated_hours, 1.5);
}

#[test]
fn documents_that_contradict_one_another_give_findings_with_their_document() {
    let (requirements, mut design, tasks) = documents(|tasks| {
        tasks["tasks"][4]["requirements"] = serde_json::json!(["REQ-RATE-FUNC-001"]);
    });
    design.feature_name = crate::id::Slug::new("limits").unwrap();
    let findings = synchronise(&requirements, &design, &tasks).unwrap_err();
    let found: Vec<_> = findings.iter().map(|one| format!("{} {}", one.code, one.at)).collect();
    assert_eq!(
        found,
        ["feature_name_differs design.feature_name", "requirement_not_covered tasks.tasks"]
    );
}
