//! Whole runs: the real worker process with the rehearsal agent against a control API of a few lines
//! that keeps the rules of the wire (numbers without a gap, generations, replays).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod control;
mod documents;
mod exits;
mod full_disk;
mod hidden;
mod orphaned;
mod repository;
mod revoked;
mod starts;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use control::Control;
use specwright_shared::phase::Phase;
use specwright_shared::wire::message::{Deliver, MessageKind};

const SPEC: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const SANDBOX: &str = "01890a5d-ac96-774b-bcce-b302099a8058";
const TOKEN: &str = "sandbox-token-0123456789";
/// No run of these takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn git(directory: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t"])
        .args(arguments)
        .current_dir(directory)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "git {arguments:?}");
}

fn repository(place: &Path) -> String {
    let repo = place.join("repo");
    std::fs::create_dir_all(repo.join("src")).unwrap();
    std::fs::write(repo.join("README.md"), "# Limiter\n\nAn API server.\n").unwrap();
    std::fs::write(repo.join("Cargo.toml"), "[package]\nname = \"limiter\"\n").unwrap();
    std::fs::write(repo.join("src/main.rs"), "fn main() {}\n").unwrap();
    git(&repo, &["init", "--quiet"]);
    git(&repo, &["add", "--all"]);
    git(&repo, &["commit", "--quiet", "--message", "first"]);
    repo.to_str().unwrap().to_owned()
}

fn worker(place: &Path, url: &str, more: &[(&str, &str)]) -> Command {
    let at = |name: &str| place.join(name).to_str().unwrap().to_owned();
    let mut settings = BTreeMap::from([
        ("SPEC_ID", SPEC.to_owned()),
        ("SPEC_PHASE", "all".to_owned()),
        ("SANDBOX_ID", SANDBOX.to_owned()),
        ("SANDBOX_TOKEN", TOKEN.to_owned()),
        ("CONTROL_API_URL", url.to_owned()),
        ("WORKSPACE_DIR", at("workspace")),
        ("STATE_DIR", at("state")),
        ("OUTPUT_DIR", at("documents")),
        ("AGENT", "rehearsal".to_owned()),
        ("PATH", std::env::var("PATH").unwrap()),
    ]);
    for (name, value) in more {
        settings.insert(name, (*value).to_owned());
    }
    let log = std::fs::File::options().create(true).append(true).open(place.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_specwright-worker"));
    command.env_clear().envs(settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command
}

/// Where the worker keeps its facts; a short run fills one segment.
const SEGMENT: &str = "state/spool/events-00000000000000000001.jsonl";

/// What stands in the segment, as far as its lines are whole: one without its end is still being
/// written, and a worker that is killed then has not said it.
fn on_disk(place: &Path) -> String {
    let mut text = std::fs::read_to_string(place.join(SEGMENT)).unwrap_or_default();
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    text
}

/// A child that does not outlive its test.
struct Child(std::process::Child);

impl Child {
    fn start(mut command: Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// The exit code; a run that takes too long fails the test with its log.
    fn exit_code(&mut self, place: &Path) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(started.elapsed() < PATIENCE, "the worker does not end:\n{}", log(place));
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn log(place: &Path) -> String {
    std::fs::read_to_string(place.join("log")).unwrap_or_default()
}

fn run(place: &Path, control: &Control, more: &[(&str, &str)]) -> Option<i32> {
    Child::start(worker(place, &control.url, more)).exit_code(place)
}

#[test]
fn an_idea_goes_through_all_phases_with_one_terminal_event() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let code = run(place.path(), &control, &[]);
    assert_eq!(code, Some(0), "{}\n{:?}", log(place.path()), control.kinds());

    let kinds = control.kinds();
    let count = |kind: &str| kinds.iter().filter(|one| *one == kind).count();
    assert_eq!(kinds[0], "spec.execution_started");
    assert_eq!(kinds.last().unwrap(), "spec.execution_completed");
    assert_eq!(count("spec.phase_completed"), 6);
    assert_eq!(count("agent.started"), 4, "one process per phase");
    assert_eq!(count("agent.exited"), 4);
    assert_eq!(count("spec.phase_retry"), 0, "{}", control.describe("spec.phase_retry"));
    assert_eq!(count("spec.execution_failed"), 0);
    for name in ["explore.md", "requirements.md", "design.md", "tasks.md", "sync.md"] {
        let text = std::fs::read_to_string(place.path().join("documents").join(name)).unwrap();
        assert!(text.contains("rehearsal"), "{name} is not labelled");
    }
    let spool = std::fs::read_to_string(place.path().join(SEGMENT)).unwrap();
    assert!(!spool.contains(TOKEN) && !log(place.path()).contains(TOKEN));
}

#[test]
fn a_worker_that_is_killed_goes_on_where_it_was_without_repeating_a_phase() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let mut first = Child::start(worker(place.path(), &control.url, &[]));
    control.wait_for("design begins", |kinds| {
        kinds.iter().filter(|kind| *kind == "spec.phase_started").count() >= 3
    });
    first.signal("-KILL");
    first.0.wait().unwrap();
    let code = run(place.path(), &control, &[]);
    assert_eq!(code, Some(0), "{}", log(place.path()));
    let mut completed = control.phases_of("spec.phase_completed");
    assert_eq!(completed.len(), 6, "{completed:?}");
    completed.dedup();
    assert_eq!(completed, Phase::ALL.map(Some));
    assert_eq!(control.generation(), 2);
}

#[test]
fn accepted_outputs_that_were_never_delivered_are_not_made_again() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    control.refuse_events(true);
    let mut first = Child::start(worker(place.path(), &control.url, &[]));
    control::until("requirements are accepted on disk", || {
        on_disk(place.path()).matches("\"spec.phase_completed\"").count() >= 2
    });
    first.signal("-KILL");
    first.0.wait().unwrap();
    assert!(control.kinds().is_empty());
    control.refuse_events(false);
    assert_eq!(run(place.path(), &control, &[]), Some(0), "{}", log(place.path()));
    assert_eq!(control.phases_of("spec.phase_completed"), Phase::ALL.map(Some));
}

#[test]
fn a_stop_ends_the_run_as_cancelled() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    control.stop("enough");
    let code = run(place.path(), &control, &[]);
    assert_eq!(code, Some(11), "{}", log(place.path()));
    let end = control.describe("spec.execution_failed");
    assert!(end.contains("cancelled") && end.contains("enough"), "{end}");
}

#[test]
fn a_signal_ends_the_run_as_cancelled_with_its_report() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let mut child = Child::start(worker(place.path(), &control.url, &[]));
    control.wait_for("the run begins", |kinds| !kinds.is_empty());
    child.signal("-TERM");
    let code = child.exit_code(place.path());
    // A quick run may be over before the signal is seen; then it must have said so.
    let last = control.kinds().last().cloned().unwrap_or_default();
    match code {
        Some(11) => assert_eq!(last, "spec.execution_failed"),
        Some(0) => assert_eq!(last, "spec.execution_completed"),
        other => panic!("{other:?}\n{}", log(place.path())),
    }
}

#[test]
fn a_newer_generation_fences_this_one_off() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let mut child = Child::start(worker(place.path(), &control.url, &[]));
    control.wait_for("hello was said", |_| control.generation() == 1);
    control.fence();
    assert_eq!(child.exit_code(place.path()), Some(17), "{}", log(place.path()));
    assert!(!control.kinds().iter().any(|kind| kind.starts_with("spec.execution_f")));
}

#[test]
fn a_second_worker_in_the_same_place_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let state = place.path().join("state");
    std::fs::create_dir_all(&state).unwrap();
    let lock = std::fs::File::create(state.join("lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(run(place.path(), &control, &[]), Some(16));
    assert!(log(place.path()).contains("another worker is at work"), "{}", log(place.path()));
}

#[test]
fn a_repository_that_is_none_ends_the_run_with_a_sentence() {
    let place = tempfile::tempdir().unwrap();
    let plain = place.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    let control = Control::start(Some(plain.to_str().unwrap().to_owned()));
    assert_eq!(run(place.path(), &control, &[]), Some(16));
    let end = control.describe("spec.execution_failed");
    assert!(end.contains("is not a git repository"), "{end}");
}

#[test]
fn an_output_that_the_control_api_refuses_fails_the_run() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    control.poison("spec.sync_completed");
    assert_eq!(run(place.path(), &control, &[]), Some(16), "{}", log(place.path()));
    let kinds = control.kinds();
    assert!(kinds.contains(&"worker.event_refused".to_owned()), "{kinds:?}");
    assert_eq!(kinds.last().unwrap(), "spec.execution_failed");
}

#[test]
fn a_message_reaches_the_agent_and_its_receipts_come_back() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    // It waits before there is an agent: the first one gets it.
    let id = control.message("Mind the burst limit.", MessageKind::UserMessage, Deliver::Next);
    assert_eq!(run(place.path(), &control, &[]), Some(0), "{}", log(place.path()));
    let receipts = control.describe("agent.message_injected");
    assert!(receipts.contains(&id.to_string()), "{receipts}");
    let mut before = 0;
    for status in ["delivered", "written", "seen", "settled"] {
        let said = format!(r#""status":"{status}""#);
        let found: Vec<usize> = receipts.match_indices(&said).map(|(at, _)| at).collect();
        assert!(matches!(found[..], [at] if at > before), "{status}: {receipts}");
        before = found[0];
    }
}

/// The processes whose parent is this one, by `/proc`.
fn children(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn supervised(place: &Path, url: &str, more: &[(&str, &str)]) -> Command {
    let mut command = worker(place, url, more);
    command.arg("supervise");
    command
}

#[test]
fn a_supervised_worker_that_is_killed_goes_on_and_its_exit_code_is_passed_on() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let mut supervisor = Child::start(supervised(place.path(), &control.url, &[]));
    control.wait_for("design begins", |kinds| {
        kinds.iter().filter(|kind| *kind == "spec.phase_started").count() >= 3
    });
    let [worker] = children(supervisor.0.id())[..] else { panic!("{}", log(place.path())) };
    let status = Command::new("kill").args(["-KILL", &worker.to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(supervisor.exit_code(place.path()), Some(0), "{}", log(place.path()));
    let mut completed = control.phases_of("spec.phase_completed");
    completed.dedup();
    assert_eq!(completed, Phase::ALL.map(Some));
    assert_eq!(control.generation(), 2, "it was started again once: {}", log(place.path()));
    assert!(log(place.path()).contains("was ended by signal 9; it is started again"));
}

#[test]
fn a_supervised_worker_with_wrong_settings_is_not_started_again() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(None);
    let mut supervisor =
        Child::start(supervised(place.path(), &control.url, &[("MAX_TURNS", "many")]));
    assert_eq!(supervisor.exit_code(place.path()), Some(2), "{}", log(place.path()));
    assert_eq!(log(place.path()).matches("MAX_TURNS").count(), 1, "{}", log(place.path()));
}

#[test]
fn a_signal_to_the_supervisor_ends_the_worker_in_order_and_nothing_is_started_again() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let mut supervisor = Child::start(supervised(place.path(), &control.url, &[]));
    control.wait_for("the run begins", |kinds| !kinds.is_empty());
    supervisor.signal("-TERM");
    let code = supervisor.exit_code(place.path());
    // A quick run may be over before the signal is seen; then it must have said so.
    let last = control.kinds().last().cloned().unwrap_or_default();
    match code {
        Some(11) => assert_eq!(last, "spec.execution_failed"),
        Some(0) => assert_eq!(last, "spec.execution_completed"),
        other => panic!("{other:?}\n{}", log(place.path())),
    }
    assert_eq!(control.generation(), 1);
}

#[test]
fn no_secret_is_in_the_environment_block_of_the_supervisor_or_the_worker() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    control.refuse_events(true);
    let more = [("ANTHROPIC_API_KEY", "sk-ant-a-key-of-a-test")];
    let supervisor = Child::start(supervised(place.path(), &control.url, &more));
    control::until("hello was said", || control.generation() == 1);
    let [worker] = children(supervisor.0.id())[..] else { panic!("{}", log(place.path())) };
    for pid in [supervisor.0.id(), worker] {
        // Who may not read it has proven the same.
        let block = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let block = String::from_utf8_lossy(&block);
        assert!(!block.contains(TOKEN) && !block.contains("sk-ant-a-key-of-a-test"), "{block}");
        let stdin = std::fs::read_link(format!("/proc/{pid}/fd/0"));
        assert!(stdin.map_or(true, |stdin| stdin == Path::new("/dev/null")));
        // Not dumpable: the files in /proc belong to root.
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(std::fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(), 0);
    }
}

#[test]
fn wrong_settings_are_refused_together_before_anything_starts() {
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(None);
    let wrong = [("SPEC_ID", "x"), ("MAX_TURNS", "many"), ("TASK_ID", "1")];
    assert_eq!(run(place.path(), &control, &wrong), Some(2));
    let said = log(place.path());
    for name in ["SPEC_ID", "MAX_TURNS", "TASK_ID"] {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(!place.path().join("state").exists());
    assert_eq!(control.generation(), 0);
}

#[test]
fn a_key_in_the_idea_is_taken_out_and_the_phases_are_accepted() {
    let key = "sk-ant-in-the-idea";
    assert!(control::IDEA.contains(key));
    let place = tempfile::tempdir().unwrap();
    let control = Control::start(Some(repository(place.path())));
    let code = run(place.path(), &control, &[("ANTHROPIC_API_KEY", key)]);
    assert_eq!(code, Some(0), "{}\n{:?}", log(place.path()), control.kinds());
    for directory in ["documents", "state"] {
        let found = Command::new("grep")
            .args(["--recursive", "--files-with-matches", "--fixed-strings", key])
            .arg(place.path().join(directory))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "the key is in {directory}");
    }
    let explored = std::fs::read_to_string(place.path().join("documents/explore.md")).unwrap();
    assert!(explored.contains("[redacted]"), "{explored}");
}
