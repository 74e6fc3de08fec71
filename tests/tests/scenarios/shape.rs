//! What the output of a run has to look like, and what can be read off it.

use serde_json::Value;
use specwright_shared::phase::Phase;
use specwright_tests::system::Finished;

/// The names of all phases, in order.
pub(crate) fn all_phases() -> Vec<&'static str> {
    Phase::ALL.iter().map(|phase| phase.as_str()).collect()
}

/// The phases for which a run has an event of a type, in the events' order.
pub(crate) fn phases_with(run: &Finished, kind: &str) -> Vec<String> {
    run.events(kind).iter().map(|event| text(&event["phase"])).collect()
}

/// A value's string.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no string: {value}")).to_owned()
}

/// A value's list.
#[track_caller]
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

/// Checks the summary of a completed run against all that is documented about it: its fields, the
/// phases, that documents exist, that tickets and tasks come in an order that respects their
/// dependencies, that everything is covered.
#[track_caller]
pub(crate) fn is_a_complete_summary(summary: &Value, agent: &str) {
    assert_eq!(summary["type"], "summary", "{summary:#}");
    assert_eq!(summary["status"], "completed", "{summary:#}");
    assert_eq!(summary["agent"], agent, "{summary:#}");
    uuid::Uuid::parse_str(&text(&summary["spec_id"])).expect("the spec's id is a UUID");
    assert!(summary["events"].as_u64().is_some_and(|count| count > 10), "{summary:#}");

    let phases: Vec<String> =
        list(&summary["phases"]).iter().map(|phase| text(&phase["phase"])).collect();
    assert_eq!(phases, all_phases(), "{summary:#}");
    for phase in list(&summary["phases"]) {
        assert_eq!(phase["status"], "accepted", "{phase:#}");
        assert!(phase["attempts"].as_u64().is_some_and(|attempts| attempts >= 1), "{phase:#}");
        assert!(phase["duration_ms"].is_u64() && phase["cost_usd"].is_number(), "{phase:#}");
        // `complete` has no output that could be scored.
        let scored = phase["score"].as_f64().is_some_and(|score| (0.7..=1.0).contains(&score));
        assert!(scored || phase["phase"] == "complete", "{phase:#}");
    }

    let documents = list(&summary["documents"]);
    for name in ["explore.md", "requirements.md", "design.md", "tasks.md", "sync.md"] {
        let path = documents.iter().map(text).find(|path| path.ends_with(name));
        let path = path.unwrap_or_else(|| panic!("no {name}: {summary:#}"));
        let content =
            std::fs::read_to_string(&path).expect("the document is where it is said to be");
        assert!(content.starts_with("---\n"), "{path} has no front matter:\n{content}");
    }

    let (requirements, covered) =
        (&summary["coverage"]["requirements"], &summary["coverage"]["covered"]);
    assert!(requirements.as_u64().is_some_and(|count| count > 0), "{summary:#}");
    assert_eq!(requirements, covered, "{summary:#}");

    let tickets = list(&summary["tickets"]);
    assert!(!tickets.is_empty(), "{summary:#}");
    comes_after_what_it_depends_on(tickets);
    let tasks: Vec<Value> =
        tickets.iter().flat_map(|ticket| list(&ticket["tasks"])).cloned().collect();
    assert!(tickets.iter().all(|ticket| !list(&ticket["tasks"]).is_empty()), "{summary:#}");
    assert!(tasks.iter().all(|task| !list(&task["requirements"]).is_empty()), "{summary:#}");
    comes_after_what_it_depends_on(&tasks);
}

/// Each item has an id, a local id and a title, and stands behind all that it depends on.
#[track_caller]
fn comes_after_what_it_depends_on(items: &[Value]) {
    let mut before: Vec<&Value> = Vec::new();
    for item in items {
        assert!(item["title"].is_string() && item["local_id"].is_string(), "{item:#}");
        for needed in list(&item["depends_on"]) {
            assert!(before.contains(&needed), "{} comes before {needed}", item["id"]);
        }
        before.push(&item["id"]);
    }
}
