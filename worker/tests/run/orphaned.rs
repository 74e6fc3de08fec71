//! A worker whose supervisor alone was killed.

use super::*;

fn send(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// Ended, whether or not who adopted it has taken notice.
fn is_over(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

#[test]
fn a_worker_whose_supervisor_is_gone_ends_without_a_report_since_nobody_asked() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    // What is not taken holds the end of the run back.
    control.refuse_events(true);
    let supervisor = Child::start(supervised(place.path(), &control.url, &[]));
    control::until("a phase on disk", || on_disk(place.path()).contains("spec.phase_started"));
    let [worker] = children(supervisor.0.id())[..] else { panic!("{}", log(place.path())) };
    // Held, so that it has the time to hear of it, however busy the machine is.
    send("-STOP", worker);
    assert!(!on_disk(place.path()).contains("spec.execution_completed"), "it was held too late");
    send("-KILL", supervisor.0.id());
    drop(supervisor);
    send("-CONT", worker);
    control::until("the worker's end", || is_over(worker));
    let said = on_disk(place.path());
    assert!(!said.contains("spec.execution_failed"), "{said}");
    assert!(log(place.path()).contains("whoever started this worker is gone"));
}
