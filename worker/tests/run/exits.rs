//! Every way to end and its exit code: a table. The agent is the rehearsal agent, whose words a line of
//! `sed` turns into those of one that goes wrong.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use specwright_shared::outcome::Outcome;

use super::control::Control;
use super::{Child, log, repository, run, worker};

/// What is done to the agent's words.
struct Way {
    outcome: Outcome,
    /// A script of `sed`; absent: it ends before its first word.
    words: Option<&'static str>,
    settings: &'static [(&'static str, &'static str)],
}

const ONE: &[(&str, &str)] = &[("MAX_ATTEMPTS", "1")];

const WAYS: [Way; 6] = [
    Way { outcome: Outcome::Succeeded, words: Some(""), settings: &[] },
    Way {
        outcome: Outcome::Failed,
        words: Some(r#"/"type":"result"/s/"structured_output"/"something_else"/"#),
        settings: ONE,
    },
    Way {
        outcome: Outcome::TimedOut,
        words: Some(r#"/"type":"result"/d"#),
        settings: &[("MAX_ATTEMPTS", "1"), ("PHASE_TIMEOUT", "2")],
    },
    Way {
        outcome: Outcome::BudgetExceeded,
        words: Some(r#"/"type":"result"/s/"subtype":"success"/"subtype":"error_max_budget_usd"/"#),
        settings: ONE,
    },
    Way {
        outcome: Outcome::TurnsExceeded,
        words: Some(r#"/"type":"result"/s/"subtype":"success"/"subtype":"error_max_turns"/"#),
        settings: ONE,
    },
    Way { outcome: Outcome::AgentError, words: None, settings: ONE },
];

/// An agent whose words go through `sed`.
fn agent(place: &Path, words: Option<&str>) -> String {
    let path = place.join("agent");
    let program = env!("CARGO_BIN_EXE_specwright-worker");
    let text = match words {
        Some(words) => {
            format!("#!/bin/sh\n'{program}' rehearsal-agent \"$@\" | sed -u '{words}'\n")
        }
        None => "#!/bin/sh\nexit 3\n".to_owned(),
    };
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[track_caller]
fn ended(control: &Control, code: Option<i32>, outcome: Outcome, place: &Path) {
    assert_eq!(code, Some(outcome.exit_code().into()), "{outcome}: {}", log(place));
    let kinds = control.kinds();
    let ends = kinds
        .iter()
        .filter(|kind| kind.starts_with("spec.execution_") && *kind != "spec.execution_started");
    assert_eq!(ends.count(), usize::from(outcome != Outcome::Fenced), "{outcome}: {kinds:?}");
    if !matches!(outcome, Outcome::Succeeded | Outcome::Fenced) {
        let said = control.describe("spec.execution_failed");
        assert!(said.contains(&format!(r#""outcome":"{outcome}""#)), "{said}");
        assert!(!said.contains(r#""message":"""#), "an end without a cause: {said}");
    }
}

#[test]
fn every_end_that_an_agent_brings_about_has_one_report_and_its_own_exit_code() {
    for Way { outcome, words, settings } in WAYS {
        let place = tempfile::tempdir().unwrap();
        let control = Control::start(Some(repository(place.path())));
        let agent = agent(place.path(), words);
        let settings: Vec<_> = settings.iter().copied().chain([("AGENT", &*agent)]).collect();
        let code = run(place.path(), &control, &settings);
        ended(&control, code, outcome, place.path());
    }
}

#[test]
fn every_end_that_others_bring_about_has_one_report_at_most_and_its_own_exit_code() {
    for outcome in [Outcome::Cancelled, Outcome::WorkerError, Outcome::Fenced] {
        let place = tempfile::tempdir().unwrap();
        let control = Control::start(Some(repository(place.path())));
        match outcome {
            Outcome::Cancelled => control.stop("enough"),
            Outcome::WorkerError => control.poison("spec.sync_completed"),
            _ => {}
        }
        // It never ends by itself where it is to be fenced off.
        let agent = agent(place.path(), Some(r#"/"type":"result"/d"#));
        let waits = [("AGENT", &*agent)];
        let more = if outcome == Outcome::Fenced { &waits[..] } else { &[] };
        let mut child = Child::start(worker(place.path(), &control.url, more));
        if outcome == Outcome::Fenced {
            control.wait_for("the agent is up", |kinds| kinds.iter().any(|k| k == "agent.started"));
            control.fence();
        }
        let code = child.exit_code(place.path());
        ended(&control, code, outcome, place.path());
    }
}

#[test]
fn a_worker_whose_parent_was_gone_before_it_could_look_begins_nothing() {
    for supervised in [false, true] {
        let place = tempfile::tempdir().unwrap();
        let control = Control::start(Some(repository(place.path())));
        // Process 1 has not started it: whoever had, and said so, is gone.
        let gone = [("DIE_WITH_PARENT", "1"), ("PARENT_PID", "1")];
        let mut command = worker(place.path(), &control.url, &gone);
        if supervised {
            command.arg("supervise");
        }
        let code = Child::start(command).exit_code(place.path());
        assert_eq!(code, Some(Outcome::Cancelled.exit_code().into()), "{}", log(place.path()));
        assert_eq!(control.generation(), 0);
        assert!(log(place.path()).contains("is gone"), "{}", log(place.path()));
    }
}
