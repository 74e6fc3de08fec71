use serde_json::{Value, json};

use super::*;
use crate::coverage::synchronise;
use crate::phase::Phase;

fn good(phase: Phase) -> Value {
    let text = match phase {
        Phase::Explore => include_str!("../../tests/corpus/good/explore.json"),
        Phase::Requirements => include_str!("../../tests/corpus/good/requirements.json"),
        Phase::Design => include_str!("../../tests/corpus/good/design.json"),
        Phase::Tasks => include_str!("../../tests/corpus/good/tasks.json"),
        Phase::Sync | Phase::Complete => include_str!("../../tests/corpus/good/sync.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn before(phase: Phase) -> Accepted {
    let mut accepted = Accepted::default();
    for earlier in Phase::ALL.into_iter().filter(|earlier| *earlier < phase) {
        accepted.insert(Document::parse(earlier, &good(earlier)).unwrap());
    }
    accepted
}

fn judged(phase: Phase, value: &Value, has_file: HasFile<'_>) -> Verdict {
    judge(&Document::parse(phase, value).unwrap(), &before(phase), has_file)
}

/// What the gate says of the good document after some changes, as `severity code at`.
fn after(phase: Phase, changes: &[(&str, Value)]) -> Vec<String> {
    let mut value = good(phase);
    for (at, new) in changes {
        *value.pointer_mut(at).unwrap_or_else(|| panic!("no {at}")) = new.clone();
    }
    codes(&judged(phase, &value, None))
}

fn codes(verdict: &Verdict) -> Vec<String> {
    verdict
        .findings
        .iter()
        .map(|one| {
            let severity = if one.is_error() { "error" } else { "warning" };
            format!("{severity} {} {}", one.code, one.at)
        })
        .collect()
}

/// A copy of an item at the end of its list, changed.
fn with_copy(phase: Phase, list: &str, index: usize, changes: &[(&str, Value)]) -> Verdict {
    let mut value = good(phase);
    let items = value[list].as_array_mut().unwrap();
    let mut copy = items[index].clone();
    for (field, new) in changes {
        copy[*field] = new.clone();
    }
    items.push(copy);
    judged(phase, &value, None)
}

#[test]
fn exploration_must_cover_each_area_once() {
    let phase = Phase::Explore;
    assert_eq!(
        after(phase, &[("/discovery_questions/1/category", json!("Problem & Value"))]),
        [
            "error category_repeated discovery_questions[1].category",
            "warning discovery_incomplete discovery_questions",
        ]
    );
}

#[test]
fn what_exploration_names_must_exist_where_that_can_be_known() {
    let verdict =
        judged(Phase::Explore, &good(Phase::Explore), Some(&|path| path == "src/keys.rs"));
    assert_eq!(
        codes(&verdict),
        [
            "error path_missing key_files[0].path",
            "error path_missing key_files[1].path",
            "error path_missing entry_points[0]",
            "warning path_missing relevant_patterns[0].files[0]",
            "warning path_missing related_to_feature[0].file",
        ]
    );
    assert!(!verdict.passes());
}

#[test]
fn requirements_are_ears_sentences() {
    let must = json!("The limiter must count.");
    let found = after(Phase::Requirements, &[("/requirements/1/text", must)]);
    assert_eq!(found, ["error not_ears requirements[1].text"]);
}

#[test]
fn requirements_resolve_and_do_not_wait_for_themselves() {
    let phase = Phase::Requirements;
    let to = |id: &str| ("/requirements/0/dependencies", json!([id]));
    let at = "requirements[0].dependencies[0]";
    assert_eq!(after(phase, &[to("REQ-RATE-FUNC-999")]), [format!("error unknown_reference {at}")]);
    assert_eq!(after(phase, &[to("REQ-RATE-FUNC-001")]), [format!("error self_dependency {at}")]);
    assert_eq!(after(phase, &[to("REQ-RATE-USE-001")]), ["error cycle requirements"]);
    let verdict = with_copy(phase, "requirements", 3, &[("title", json!("Another"))]);
    assert_eq!(codes(&verdict), ["error id_repeated requirements[5].id"]);
}

#[test]
fn habits_in_requirements_are_warned_about() {
    let found = after(
        Phase::Requirements,
        &[
            ("/feature_name", json!("limits")),
            ("/requirements/0/text", json!("The limiter shall be fast, etc.")),
            ("/requirements/1/title", json!("count requests PER key")),
            ("/requirements/2/acceptance_criteria", json!(["One.", "one."])),
        ],
    );
    assert_eq!(
        found,
        [
            "warning feature_name_differs feature_name",
            "warning title_repeated requirements[1].title",
            "warning weak_word requirements[0].text",
            "warning weak_word requirements[0].text",
            "warning criterion_repeated requirements[2].acceptance_criteria[1]",
        ]
    );
}

#[test]
fn a_design_resolves_and_names_each_thing_once() {
    let found = after(
        Phase::Design,
        &[
            ("/feature_name", json!("limits")),
            ("/components/0/name", json!("Counter")),
            ("/components/0/requirements", json!(["REQ-RATE-FUNC-999"])),
            ("/api_endpoints/0/path", json!("v1/items")),
        ],
    );
    assert_eq!(
        found,
        [
            "error feature_name_differs feature_name",
            "error name_repeated components[1].name",
            "error unknown_reference components[0].requirements[0]",
            "error self_dependency components[0].dependencies[0]",
            "error path_not_absolute api_endpoints[0].path",
            "warning requirement_not_designed components",
            "warning requirement_not_designed components",
        ]
    );
    let verdict = with_copy(Phase::Design, "api_endpoints", 0, &[]);
    assert_eq!(codes(&verdict), ["error endpoint_repeated api_endpoints[1].path"]);
    let verdict = with_copy(Phase::Design, "api_endpoints", 0, &[("method", json!("POST"))]);
    assert_eq!(codes(&verdict), Vec::<String>::new());
    let verdict = with_copy(Phase::Design, "data_models", 0, &[]);
    assert_eq!(codes(&verdict), ["error name_repeated data_models[1].name"]);
}

#[test]
fn tasks_resolve() {
    let found = after(
        Phase::Tasks,
        &[
            ("/feature_name", json!("limits")),
            ("/tickets/0/depends_on", json!(["TKT-009", "TKT-001"])),
            ("/tasks/0/depends_on", json!(["TSK-009", "TSK-001"])),
            ("/tasks/1/parent_ticket", json!("TKT-009")),
            ("/tasks/2/requirements", json!(["REQ-RATE-FUNC-002", "REQ-RATE-FUNC-999"])),
        ],
    );
    assert_eq!(
        found,
        [
            "error feature_name_differs feature_name",
            "error unknown_reference tickets[0].depends_on[0]",
            "error self_dependency tickets[0].depends_on[1]",
            "error unknown_reference tasks[0].depends_on[0]",
            "error self_dependency tasks[0].depends_on[1]",
            "error unknown_reference tasks[1].parent_ticket",
            "error unknown_reference tasks[2].requirements[1]",
            "warning requirement_outside_ticket tasks[2].requirements[1]",
        ]
    );
}

#[test]
fn every_requirement_has_a_task_and_a_ticket_and_every_ticket_a_task() {
    let found = after(
        Phase::Tasks,
        &[
            ("/tickets/2/requirements", json!(["REQ-RATE-FUNC-002"])),
            ("/tasks/4/requirements", json!(["REQ-RATE-FUNC-002"])),
            ("/tasks/4/parent_ticket", json!("TKT-002")),
        ],
    );
    assert_eq!(
        found,
        [
            "error requirement_not_covered tasks",
            "error requirement_not_covered tickets",
            "error ticket_without_task tickets[2]",
        ]
    );
}

#[test]
fn tickets_and_tasks_are_ordered() {
    let phase = Phase::Tasks;
    assert_eq!(after(phase, &[("/tasks/0/depends_on", json!(["TSK-002"]))]), ["error cycle tasks"]);
    assert_eq!(
        after(phase, &[("/tickets/0/depends_on", json!(["TKT-003"]))]),
        ["error cycle tickets"]
    );
    let twice = [("/tasks/1/id", json!("TSK-001")), ("/tickets/1/id", json!("TKT-001"))];
    let found = after(phase, &twice);
    assert!(found.contains(&"error id_repeated tasks[1].id".to_owned()), "{found:#?}");
    assert!(found.contains(&"error id_repeated tickets[1].id".to_owned()), "{found:#?}");
}

#[test]
fn a_task_must_not_wait_for_a_task_whose_ticket_waits_for_its_own() {
    // TKT-003 waits for TKT-002, which waits for TKT-001; TSK-001 is of TKT-001, TSK-005 of TKT-003.
    let found = after(Phase::Tasks, &[("/tasks/0/depends_on", json!(["TSK-005"]))]);
    assert_eq!(found, ["error ticket_order_contradicted tasks[0].depends_on[0]"]);
}

#[test]
fn tickets_may_wait_for_one_another_task_by_task() {
    let found = after(
        Phase::Tasks,
        &[
            ("/tickets/1/depends_on", json!([])),
            ("/tickets/2/depends_on", json!([])),
            ("/tasks/1/depends_on", json!(["TSK-003"])),
        ],
    );
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn hours_have_bounds() {
    let hours = |hours: f64| after(Phase::Tasks, &[("/tasks/0/estimated_hours", json!(hours))]);
    for wrong in [0.0, -1.0, 40.5] {
        assert_eq!(hours(wrong), ["error hours_out_of_range tasks[0].estimated_hours"]);
    }
    assert_eq!(hours(9.0), ["warning task_large tasks[0].estimated_hours"]);
    assert_eq!(hours(8.0), Vec::<String>::new());
}

#[test]
fn a_file_to_modify_exists_or_is_made_by_another_task() {
    let has = |path: &str| path == "src/main.rs";
    let mut value = good(Phase::Tasks);
    assert_eq!(
        codes(&judged(Phase::Tasks, &value, Some(&has))),
        ["error path_missing tasks[2].files_to_modify[0]"],
        "src/middleware.rs is missing; src/rate_limit/layer.rs is made by TSK-003"
    );
    value["tasks"][2]["files_to_modify"] = json!(["src/rate_limit/layer.rs"]);
    assert_eq!(
        codes(&judged(Phase::Tasks, &value, Some(&has))),
        ["error path_missing tasks[2].files_to_modify[0]"],
        "a task cannot change what it makes itself"
    );
}

#[test]
fn a_claimed_sync_is_computed_again() {
    let found = after(
        Phase::Sync,
        &[
            ("/totals/covered", json!(4)),
            ("/task_order/0", json!("TSK-002")),
            ("/critical_path/hours", json!(1.0)),
        ],
    );
    assert_eq!(
        found,
        [
            "error sync_differs critical_path",
            "error sync_differs task_order",
            "error sync_differs totals"
        ]
    );
}

#[test]
fn a_missing_earlier_output_is_a_finding() {
    for phase in Phase::ALL.into_iter().filter(|phase| *phase < Phase::Complete) {
        let document = Document::parse(phase, &good(phase)).unwrap();
        let verdict = judge(&document, &Accepted::default(), None);
        let missing = verdict.findings.iter().filter(|one| one.code == "missing_context").count();
        let needed = match phase {
            Phase::Explore => 0,
            Phase::Sync => 3,
            _ => 1,
        };
        assert_eq!(missing, needed, "{phase}");
        assert_eq!(verdict.passes(), needed == 0, "{phase}");
    }
}

#[test]
fn a_sync_of_contradicting_documents_says_which_contradicts() {
    let mut accepted = before(Phase::Sync);
    let mut tasks = good(Phase::Tasks);
    tasks["tasks"][0]["depends_on"] = json!(["TSK-002"]);
    accepted.insert(Document::parse(Phase::Tasks, &tasks).unwrap());
    let sync = Document::parse(Phase::Sync, &good(Phase::Sync)).unwrap();
    assert_eq!(codes(&judge(&sync, &accepted, None)), ["error cycle tasks.tasks"]);
}

#[test]
fn errors_come_first_and_no_more_than_the_bound() {
    let mut value = good(Phase::Tasks);
    let copies: Vec<Value> = (0..60)
        .map(|_| {
            let mut copy = value["tasks"][0].clone();
            copy["estimated_hours"] = json!(9.0);
            copy
        })
        .collect();
    value["tasks"].as_array_mut().unwrap().extend(copies);
    let verdict = judged(Phase::Tasks, &value, None);
    assert_eq!(verdict.findings.len(), MAX_FINDINGS + 1);
    let last = verdict.findings.last().unwrap();
    // 60 repeated ids, 60 repeated titles, 60 large tasks.
    assert_eq!((last.code.as_str(), last.is_error()), ("more_findings", true));
    assert!(last.message.starts_with("130 more"), "{}", last.message);
    assert!(!verdict.passes());
}

#[test]
fn one_habit_alone_does_not_fail_an_output_and_three_do() {
    let mut value = good(Phase::Tasks);
    for task in value["tasks"].as_array_mut().unwrap() {
        task["estimated_hours"] = json!(9.0);
    }
    let verdict = judged(Phase::Tasks, &value, None);
    assert!(verdict.passes() && verdict.score == 0.85, "{}", verdict.score);
    let habits = ["a", "b", "c"]
        .map(|code| (0..9).map(|_| Finding::warning(code, ".", "", "")).collect::<Vec<_>>());
    let mut findings = Findings::default();
    findings.extend(habits.concat());
    let verdict = findings.into_verdict();
    assert!(!verdict.passes() && verdict.score == 0.55, "{}", verdict.score);
}

#[test]
fn the_largest_documents_are_judged_without_trouble() {
    let mut value = good(Phase::Tasks);
    let first = value["tasks"][0].clone();
    value["tasks"] = (1..=300)
        .map(|number| {
            let mut task = first.clone();
            task["id"] = json!(format!("TSK-{number:03}"));
            task["title"] = json!(format!("Task {number}"));
            let parent = if number <= 100 { 1 } else { 2 + number % 2 };
            task["parent_ticket"] = json!(format!("TKT-{parent:03}"));
            task["depends_on"] =
                (1..number).rev().take(50).map(|n| format!("TSK-{n:03}")).collect();
            if number > 1 {
                task["requirements"] = json!([
                    "REQ-RATE-FUNC-002",
                    "REQ-RATE-USE-001",
                    "REQ-RATE-PERF-001",
                    "REQ-RATE-CON-001",
                ]);
            }
            task
        })
        .collect();
    value["tickets"][2]["depends_on"] = json!([]);
    let verdict = judged(Phase::Tasks, &value, None);
    assert!(!verdict.findings.iter().any(Finding::is_error), "{:#?}", verdict.findings.first());
    let accepted = before(Phase::Sync);
    let Document::Tasks(tasks) = Document::parse(Phase::Tasks, &value).unwrap() else { panic!() };
    let sync =
        synchronise(&accepted.requirements.unwrap(), &accepted.design.unwrap(), &tasks).unwrap();
    assert_eq!(sync.critical_path.tasks.len(), 300);
}
