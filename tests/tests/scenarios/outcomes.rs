//! Every way in which a run ends: one terminal report, with its cause, and the same word everywhere.
//!
//! `worker_error` and `fenced` are brought about in the worker's own tests (`worker/tests/run`), where
//! the control API is a test's; `lost` in `crash`.

use rustix::process::Signal;
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Finished, System};

use crate::faulty::install;
use crate::shape::text;

/// A way to end.
struct Way {
    behaviour: &'static str,
    settings: &'static [(&'static str, &'static str)],
    /// The outcome.
    outcome: &'static str,
    /// What the cause says.
    because: &'static str,
    /// What of the run is the evidence.
    evidence: &'static str,
}

const ONE_ATTEMPT: &[(&str, &str)] = &[("MAX_ATTEMPTS", "1")];

const WAYS: [Way; 7] = [
    Way {
        behaviour: "prose",
        settings: ONE_ATTEMPT,
        outcome: "failed",
        because: "StructuredOutput",
        evidence: "spec.phase_failed",
    },
    Way {
        behaviour: "hang",
        settings: &[("MAX_ATTEMPTS", "1"), ("PHASE_TIMEOUT", "1")],
        outcome: "timed_out",
        because: "PHASE_TIMEOUT",
        evidence: "spec.phase_failed",
    },
    Way {
        behaviour: "hang-before-initialize",
        settings: &[("MAX_ATTEMPTS", "1"), ("PHASE_TIMEOUT", "2")],
        outcome: "timed_out",
        because: "PHASE_TIMEOUT",
        evidence: "spec.phase_failed",
    },
    Way {
        behaviour: "out-of-turns",
        settings: ONE_ATTEMPT,
        outcome: "turns_exceeded",
        because: "MAX_TURNS",
        evidence: "agent.completed",
    },
    Way {
        behaviour: "out-of-budget",
        settings: ONE_ATTEMPT,
        outcome: "budget_exceeded",
        because: "MAX_BUDGET_USD",
        evidence: "agent.completed",
    },
    Way {
        behaviour: "no-result",
        settings: ONE_ATTEMPT,
        outcome: "agent_error",
        because: "ended by itself",
        evidence: "agent.exited",
    },
    Way {
        behaviour: "refused-key",
        settings: &[],
        outcome: "agent_error",
        because: "status 401",
        evidence: "agent.completed",
    },
];

#[tokio::test]
async fn each_bad_end_is_one_terminal_report_with_its_cause_and_its_evidence() {
    for way in WAYS {
        let mut system = System::new();
        for (name, value) in way.settings {
            system.set(name, value);
        }
        let agent = install(&system, way.behaviour).display().to_string();
        let repository = Repository::with_files(sample::FILES);
        let arguments = ["launch", "--json", "--agent", &agent, sample::IDEA];
        let run = system.run(repository.path(), arguments).await.expect_code(1);
        ended_once(&run, way.outcome, way.because);
        assert!(!run.events(way.evidence).is_empty(), "{}: {run:#?}", way.behaviour);
        system.nothing_left().await;
    }
}

#[tokio::test]
async fn a_run_that_is_asked_to_end_while_its_agent_works_is_cancelled_once() {
    let system = System::new();
    let agent = install(&system, "waits, setsid-grandchild").display().to_string();
    let repository = Repository::with_files(sample::FILES);
    let arguments = ["launch", "--json", "--agent", &agent, sample::IDEA];
    let mut run = system.start(repository.path(), arguments);
    run.event("agent.started").await;
    run.signal(Signal::INT);
    let run = run.finish().await.expect_code(130);
    ended_once(&run, "cancelled", "interrupted");
    system.nothing_left().await;
}

#[tokio::test]
async fn a_good_end_is_one_terminal_report_too() {
    let system = System::new();
    let agent = install(&system, "ok:outputs.json").display().to_string();
    let repository = Repository::with_files(sample::FILES);
    let arguments = ["launch", "--json", "--agent", &agent, sample::IDEA];
    let run = system.run(repository.path(), arguments).await.expect_code(0);
    assert_eq!(run.events("spec.execution_completed").len(), 1);
    assert!(run.events("spec.execution_failed").is_empty());
}

fn ended_once(run: &Finished, outcome: &str, because: &str) {
    let ends = run.events("spec.execution_failed");
    let [end] = &ends[..] else { panic!("not one end: {run:#?}") };
    assert_eq!(end["data"]["outcome"], outcome, "{run:#?}");
    let cause = text(&end["data"]["message"]);
    assert!(cause.contains(because), "{outcome}: {cause}");
    assert!(run.events("spec.execution_completed").is_empty(), "{run:#?}");
    assert_eq!(run.summary()["status"], "failed", "{run:#?}");
}
