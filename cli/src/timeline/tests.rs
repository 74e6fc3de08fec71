use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

fn view(position: u64, kind: &str, phase: Option<Phase>, data: Value) -> EventView {
    serde_json::from_value(json!({
        "position": position, "seq": position, "id": Uuid::nil(), "type": kind, "data": data,
        "at": Timestamp::from_micros(i64::try_from(position).unwrap() * 1_000_000),
        "phase": phase,
    }))
    .unwrap()
}

fn started(phases: &[Phase]) -> Value {
    json!({ "title": "t", "phases": phases, "agent": "rehearsal", "model": null,
            "worker_version": "0", "commit": null, "max_attempts": 3, "phase_timeout_secs": 9,
            "max_budget_usd": null, "rehearsal": true })
}

fn explore(timeline: &Timeline) -> &PhaseLine {
    &timeline.phases[0]
}

#[test]
fn a_phase_goes_from_its_first_attempt_over_a_retry_to_acceptance() {
    let mut timeline = Timeline::new(&[]);
    let on = Some(Phase::Explore);
    timeline.take(&view(1, "spec.execution_started", None, started(&Phase::ALL)));
    timeline.take(&view(2, "spec.phase_started", on, json!({ "max_attempts": 3 })));
    assert_eq!((explore(&timeline).attempt, explore(&timeline).max_attempts), (1, 3));
    let now = Timestamp::from_micros(7_000_000);
    assert_eq!(explore(&timeline).elapsed_ms(now), Some(5_000));

    timeline.take(&view(3, "spec.progress", on, json!({ "message": "reads" })));
    assert_eq!(explore(&timeline).activity, "reads");
    let retry = json!({ "attempt": 1, "max_attempts": 3, "reason": "timed_out", "message": "m",
                        "score": 0.4, "findings": [] });
    let told = timeline.take(&view(4, "spec.phase_retry", on, retry)).unwrap();
    assert!(told.wording.notable && told.after_ms == 3_000);
    assert_eq!((explore(&timeline).attempt, explore(&timeline).score), (2, Some(0.4)));

    let done = json!({ "attempt": 2, "score": 0.9, "duration_ms": 3100, "cost_usd": 0.5,
                       "findings": [] });
    timeline.take(&view(5, "spec.phase_completed", on, done));
    assert_eq!(explore(&timeline).status, PhaseStatus::Accepted);
    assert_eq!(explore(&timeline).elapsed_ms(now), Some(3_100));
    assert!((timeline.cost_usd() - 0.5).abs() < 1e-9 && timeline.accepted() == 1);
}

#[test]
fn a_resumed_run_keeps_what_was_accepted_and_forgets_what_it_does_again() {
    let stored: Vec<PhaseView> = [Phase::Explore, Phase::Requirements]
        .map(|phase| PhaseView {
            phase,
            status: PhaseStatus::Accepted,
            attempts: 2,
            score: Some(1.0),
            duration_ms: 10,
            cost_usd: 0.1,
            digest: None,
            findings: vec![],
            output: None,
        })
        .into();
    let mut timeline = Timeline::new(&stored);
    assert_eq!(timeline.accepted(), 2);
    let again = started(&[Phase::Requirements, Phase::Design]);
    timeline.take(&view(9, "spec.execution_started", None, again));
    let states: Vec<_> =
        timeline.phases.iter().map(|line| (line.status, line.asked_for)).take(4).collect();
    assert_eq!(
        states,
        [
            (PhaseStatus::Accepted, false),
            (PhaseStatus::Pending, true),
            (PhaseStatus::Pending, true),
            (PhaseStatus::Pending, false),
        ]
    );
}

#[test]
fn a_run_that_ends_leaves_no_phase_running() {
    let mut timeline = Timeline::new(&[]);
    let on = Some(Phase::Explore);
    timeline.take(&view(1, "spec.phase_started", on, json!({ "max_attempts": 3 })));
    let end = json!({ "outcome": "cancelled", "failed_phase": "explore", "message": "stopped",
                      "cost_usd": 0.0, "duration_ms": 5 });
    timeline.take(&view(4, "spec.execution_failed", on, end));
    assert_eq!(explore(&timeline).status, PhaseStatus::Failed);
    assert_eq!(explore(&timeline).duration_ms, Some(3_000));
}

#[test]
fn an_event_of_a_newer_worker_is_passed_over_and_a_broken_one_is_told() {
    let mut timeline = Timeline::new(&[]);
    assert_eq!(timeline.take(&view(1, "agent.teleported", None, Value::Null)), None);
    let told = timeline.take(&view(2, "spec.progress", None, json!({ "message": 5 }))).unwrap();
    assert!(told.wording.notable && told.wording.text.contains("spec.progress"));
}
