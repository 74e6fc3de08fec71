use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::id::EventId;

fn event(seq: u64, kind: &str, data: Value) -> RawEvent {
    let at = Timestamp::from_micros(1_795_000_000_000_000).plus(Duration::from_millis(seq * 250));
    let phase = Some(Phase::Explore);
    let id = EventId(Uuid::nil());
    RawEvent { seq, id, kind: kind.to_owned(), at, phase, trace_id: None, data }
}

fn excerpt(text: &str) -> Value {
    json!({ "text": text, "bytes": text.len(), "cut": false })
}

fn call(seq: u64, input: &str, error: bool, answer: &str) -> [RawEvent; 2] {
    let id = format!("toolu_{seq}");
    [
        event(
            seq,
            "agent.tool_use",
            json!({ "tool": "Bash", "tool_use_id": id, "input": excerpt(input) }),
        ),
        event(
            seq + 1,
            "agent.tool_result",
            json!({ "tool_use_id": id, "is_error": error, "result": excerpt(answer) }),
        ),
    ]
}

fn known<'a>(goal: &'a str, interventions: &'a [InterventionView]) -> Known<'a> {
    Known {
        read_behind: 0,
        sandbox_id: SandboxId(Uuid::nil()),
        spec_id: SpecId(Uuid::nil()),
        agent: "claude",
        title: "Limit each client",
        goal,
        state: SandboxState::Active,
        phase: Phase::Explore,
        plan: vec![PlanItem {
            phase: Phase::Explore,
            status: PhaseStatus::Running,
            attempts: 1,
            score: None,
        }],
        outcome: None,
        message: None,
        cost_usd: 0.5,
        budget_usd: Some(5.0),
        verdict: None,
        interventions,
    }
}

fn of(events: &[RawEvent], since: u64) -> Trajectory {
    condense(known("Limit each client to 100 requests a minute", &[]), events, since)
}

fn texts(trajectory: &Trajectory) -> Vec<&str> {
    trajectory.steps.iter().map(|step| step.text.as_str()).collect()
}

#[test]
fn a_run_reads_as_one_line_for_each_thing_that_was_done() {
    let mut events = vec![
        event(1, "spec.phase_started", json!({ "max_attempts": 3 })),
        event(2, "agent.message", json!({ "content": excerpt("I look\n around.") })),
    ];
    events.extend(call(3, r#"{"command":"ls"}"#, false, "src"));
    for seq in [5, 7, 9, 11] {
        events.extend(call(seq, r#"{"command":"make"}"#, true, "make: *** No rule to make target"));
    }
    events.push(event(
        13,
        "agent.model_call",
        json!({ "call_id": Uuid::nil(), "counted_usd": 0.25, "tokens": { "input": 7, "output": 3 } }),
    ));
    events.extend(call(14, r#"{"command":"ls"}"#, false, "src"));
    events.push(call(16, r#"{"command":"sleep 900"}"#, false, "")[0].clone());
    let trajectory = of(&events, 0);
    insta::assert_snapshot!(texts(&trajectory).join("\n"), @r#"
    11:06:40 explore the phase begins
    11:06:40 explore says: I look around.
    11:06:41 explore Bash {"command":"ls"} -> ok, 0.2 s, 3 bytes
    11:06:43 explore Bash {"command":"make"} -> error, 4 times, 1.0 s: make: *** No rule to make target
    11:06:43 explore Bash {"command":"ls"} -> ok, 0.2 s, 3 bytes
    "#);
    assert_eq!(trajectory.open, [r#"Bash {"command":"sleep 900"}"#]);
    assert_eq!(trajectory.repeated[0].times, 4);
    assert_eq!(trajectory.errors[0].times, 4);
    let did = trajectory.activity;
    assert_eq!((did.calls, did.failed, did.repeated, did.new_answers()), (6, 4, 1, 1));
    assert_eq!((trajectory.spend.tokens.input, trajectory.spend.without_progress_usd), (7, 0.25));
    assert_eq!((trajectory.next.as_str(), trajectory.begins), ("16", 1));
}

#[test]
fn what_is_behind_the_cursor_is_what_is_new_or_has_grown() {
    let mut events: Vec<RawEvent> = call(1, "ls", false, "src").into();
    events.extend(call(3, "make", true, "no"));
    let first = of(&events, 0);
    assert_eq!((first.steps.len(), first.next.as_str()), (2, "4"));
    events.extend(call(5, "make", true, "no"));
    let second = of(&events, 4);
    assert_eq!(second.steps.len(), 1);
    assert!(second.steps[0].text.contains("2 times"), "{second:?}");
    assert!(of(&events, 6).steps.is_empty());
}

#[test]
fn the_call_of_an_answer_behind_the_cursor_is_known() {
    let events = call(1, "cargo build", false, "done");
    assert!(texts(&of(&events, 1))[0].contains("cargo build -> ok"), "it began before the cursor");
}

#[test]
fn steps_leave_in_blocks_so_that_the_beginning_stays_the_same() {
    let mut events = Vec::new();
    let mut beginnings = Vec::new();
    for number in 0..400_u64 {
        events.extend(call(number * 2 + 1, &format!("cat {number:0>90}"), false, "x"));
        if number % 10 == 0 {
            beginnings.push(of(&events, 0).steps[0].seq);
        }
    }
    beginnings.dedup();
    assert!(beginnings.is_sorted());
    // 800 numbers are 12 blocks and a half.
    assert!((2..=13).contains(&beginnings.len()), "{beginnings:?}");
}

#[test]
fn what_is_left_out_behind_the_cursor_is_said() {
    let mut events = Vec::new();
    for number in 0..400_u64 {
        events.extend(call(number * 2 + 1, &format!("cat {number:0>90}"), false, "x"));
    }
    assert_eq!(of(&events[..20], 0).left_out_to, None, "all is there");
    let cut = of(&events, 0);
    let left_out = cut.left_out_to.unwrap();
    assert!(cut.steps[0].seq > left_out && left_out + BLOCK > cut.steps[0].seq, "{left_out}");
    let behind = of(&events, 10);
    assert_eq!((behind.left_out_to, &behind.steps), (Some(left_out), &cut.steps), "want of room");
    let near = of(&events, left_out);
    assert_eq!((near.left_out_to, &near.steps), (None, &cut.steps));
    // Older than what was read.
    let read =
        |since| condense(Known { read_behind: 512, ..known("", &[]) }, &events[512..], since);
    assert_eq!(read(500).left_out_to, read(0).left_out_to);
    assert!(read(500).left_out_to >= Some(512));
    assert_eq!(read(780).left_out_to, None);
    let few = Known { read_behind: 512, ..known("", &[]) };
    assert_eq!(condense(few, &events[512..560], 500).left_out_to, Some(512));
}

#[test]
fn the_verdict_is_shown_with_its_evidence_in_bounded_size() {
    let fact = |signal: &str| crate::liveness::Evidence {
        signal: signal.to_owned(),
        age_ms: 1_200_000,
        limit_ms: Some(900_000),
    };
    let verdict = crate::liveness::Verdict {
        kind: crate::liveness::VerdictKind::Stuck,
        reason: "nothing has moved ".repeat(500),
        evidence: std::iter::once(fact("agent_line"))
            .chain((0..99).map(|_| fact(&"x".repeat(999))))
            .collect(),
    };
    let at = Timestamp::from_micros(1);
    let judged = Judged { at, verdict, action: Some(crate::liveness::policy::Action::Nudge) };
    let shown = condense(Known { verdict: Some(judged), ..known("goal", &[]) }, &[], 0);
    let shown = shown.verdict.unwrap();
    assert_eq!(shown.verdict.kind.as_str(), "stuck");
    assert!(shown.verdict.reason.starts_with("nothing has moved"), "{shown:?}");
    assert_eq!(shown.verdict.evidence[0], fact("agent_line"));
    assert!(serde_json::to_string(&shown).unwrap().len() < 2000, "{shown:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_reported_it_fits_and_says_the_same_twice(
        texts in prop::collection::vec((any::<String>(), any::<bool>(), 0..3_u8), 0..200),
        goal in any::<String>(),
    ) {
        let mut events = Vec::new();
        for (seq, (text, error, kind)) in (1..).step_by(2).zip(&texts) {
            let long = text.repeat(20);
            match kind {
                0 => events.push(event(seq, "agent.message", json!({ "content": excerpt(&long) }))),
                1 => events.extend(call(seq, &long, *error, text)),
                _ => events.extend(call(seq, text, *error, &long)),
            }
        }
        let done: Vec<InterventionView> = (0..20).map(|_| intervention(&goal)).collect();
        let long = goal.repeat(100);
        let one = condense(known(&long, &done), &events, 0);
        let json = serde_json::to_string(&one).unwrap();
        prop_assert!(json.len() <= MAX_BYTES, "{}", json.len());
        let two = condense(known(&long, &done), &events, 0);
        prop_assert_eq!(&json, &serde_json::to_string(&two).unwrap());
        // One more event changes no step but the newest.
        let fewer = condense(known(&long, &done), &events[..events.len().saturating_sub(1)], 0);
        let older = fewer.steps.len().saturating_sub(1);
        let kept = fewer.steps[..older].iter().filter(|step| step.seq >= one.steps[0].seq);
        for step in kept {
            prop_assert!(one.steps.contains(step), "{step:?}");
        }
    }
}

fn intervention(text: &str) -> InterventionView {
    InterventionView {
        id: crate::id::InterventionId(Uuid::nil()),
        sandbox_id: SandboxId(Uuid::nil()),
        kind: InterventionKind::Redirect,
        reason: text.repeat(9),
        evidence: text.repeat(99),
        by: text.repeat(9),
        phase: Phase::Explore,
        at: Timestamp::from_micros(1),
        message: None,
        judged_by: Timestamp::from_micros(2),
        assessment: None,
    }
}
