use serde_json::json;
use specwright_shared::id::{EventId, SandboxId};
use specwright_shared::phase::Phase;
use specwright_shared::wire::event::RawEvent;
use uuid::Uuid;

use super::*;

const SANDBOX: SandboxId = SandboxId(Uuid::from_u128(1));

/// The events of a right run, as one sandbox numbers them.
fn right() -> Vec<EventView> {
    let done = |phase| ("spec.phase_completed", Some(phase));
    let mut kinds = vec![("spec.execution_started", None)];
    kinds.extend(Phase::ALL.into_iter().map(done));
    kinds.push(("spec.execution_completed", None));
    (1..).zip(kinds).map(|(seq, (kind, phase))| event(seq, kind, phase)).collect()
}

fn event(seq: u64, kind: &str, phase: Option<Phase>) -> EventView {
    EventView {
        position: seq,
        spec_id: None,
        sandbox_id: Some(SANDBOX),
        event: RawEvent {
            seq,
            id: EventId(Uuid::from_u128(u128::from(seq))),
            kind: kind.to_owned(),
            at: std::time::UNIX_EPOCH.into(),
            phase,
            trace_id: None,
            data: json!({}),
        },
    }
}

fn sandbox(outcome: Outcome) -> SandboxView {
    let view = json!({
        "id": SANDBOX, "spec_id": Uuid::nil(), "state": "ended", "provider": "local",
        "generation": 1, "agent": "rehearsal", "acked": 1, "outcome": outcome,
        "created_at": "2026-01-01T00:00:00Z",
    });
    serde_json::from_value(view).unwrap()
}

/// What is said of events beside a spool with these lines.
fn judged(events: &[EventView], spool: &str, outcome: Outcome) -> Verdict {
    let data = tempfile::tempdir().unwrap();
    let place = data.path().join("sandboxes").join(SANDBOX.to_string()).join("state/spool");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("events.jsonl"), spool).unwrap();
    let mut verdict = Verdict::default();
    verdict.positions(events);
    verdict.sandbox(&sandbox(outcome), events, data.path());
    verdict.course(&[sandbox(outcome)], events);
    verdict
}

fn without_spool(events: &[EventView]) -> Verdict {
    judged(events, "", Outcome::Succeeded)
}

fn line(event: &EventView) -> String {
    format!("0123456789abcdef {}\n", serde_json::to_string(&event.event).unwrap())
}

#[test]
fn a_right_run_holds() {
    let events = right();
    let spool: String = events.iter().map(line).collect();
    let verdict = judged(&events, &spool, Outcome::Succeeded);
    assert!(verdict.holds(), "{verdict:#?}");
}

#[test]
fn a_number_that_was_passed_over_is_a_lost_event() {
    let mut events = right();
    events.remove(0);
    assert_eq!(without_spool(&events).lost, 1);
}

#[test]
fn a_durable_event_that_is_not_stored_is_lost_whatever_became_of_its_place() {
    let durable = line(&event(9, "agent.message", None));
    for outcome in [Outcome::Succeeded, Outcome::Lost] {
        assert_eq!(judged(&right(), &durable, outcome).lost, 1, "{outcome}");
    }
}

#[test]
fn what_comes_behind_a_sandboxs_end_is_late_and_counts_for_nothing() {
    let mut events = right();
    let late = [("spec.phase_completed", Some(Phase::Design)), ("spec.execution_failed", None)];
    for (kind, phase) in late {
        let seq = events.len() as u64 + 1;
        events.push(event(seq, kind, phase));
    }
    assert!(without_spool(&events).holds(), "{:#?}", without_spool(&events));
}

#[test]
fn a_sandbox_that_works_before_the_one_before_it_has_ended_is_a_violation() {
    let mut other = sandbox(Outcome::Succeeded);
    other.id = SandboxId(Uuid::from_u128(2));
    let mut events = right();
    let mut early = event(1, "spec.execution_started", None);
    early.sandbox_id = Some(other.id);
    events.insert(1, early);
    let mut verdict = Verdict::default();
    verdict.course(&[sandbox(Outcome::Succeeded), other], &events);
    let because = verdict.because.join("\n");
    assert!(because.contains("works before"), "{because}");
}

#[test]
fn a_torn_line_is_not_durable() {
    let torn = line(&event(9, "agent.message", None));
    let verdict = judged(&right(), &torn[..torn.len() - 5], Outcome::Succeeded);
    assert!(verdict.holds(), "{verdict:#?}");
}

#[test]
fn an_event_that_is_stored_twice_is_doubled() {
    let mut events = right();
    events.push(events[3].clone());
    assert!(without_spool(&events).doubled > 0);
}

#[test]
fn another_event_under_a_durable_number_is_a_violation() {
    let mut other = event(3, "agent.message", None);
    other.event.id = EventId(Uuid::from_u128(99));
    let verdict = judged(&right(), &line(&other), Outcome::Succeeded);
    assert_eq!(verdict.violations, 1, "{verdict:#?}");
}

#[test]
fn events_out_of_order_are_a_violation() {
    let mut events = right();
    events.swap(2, 3);
    assert!(without_spool(&events).violations > 0);
}

#[test]
fn a_phase_that_was_accepted_twice_is_a_violation() {
    let mut events = right();
    events.insert(1, event(2, "spec.phase_completed", Some(Phase::Design)));
    let mut verdict = Verdict::default();
    verdict.course(&[sandbox(Outcome::Succeeded)], &events);
    assert_eq!(verdict.violations, 1, "{verdict:#?}");
}

#[test]
fn an_end_of_no_sandbox_and_a_sandbox_without_an_end_are_violations() {
    let mut events = right();
    let mut end = event(1, "spec.execution_failed", None);
    end.sandbox_id = None;
    events.push(end);
    assert!(without_spool(&events).violations > 0);
    let mut endless = right();
    endless.pop();
    assert!(without_spool(&endless).violations > 0);
}
