//! Planned ends: what is done before a run is over, in which order, and that it is bounded.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::processes::Process;
use specwright_tests::system::{Running, System};
use specwright_tests::wait::{PATIENCE, wait_for};

use crate::faulty::install;
use crate::shape::{list, text};

/// What the faulty agent writes.
const FILE: &str = "written-by-the-agent.txt";

/// A run whose agent is at its turn.
async fn at_work(system: &System, repository: &Repository, behaviour: &str) -> Running {
    let agent = install(system, behaviour).display().to_string();
    // A lost one is not what is looked at here.
    let arguments = ["launch", "--json", "--restarts", "0", "--agent", &agent, sample::IDEA];
    let mut run = system.start(repository.path(), arguments);
    run.event("agent.started").await;
    if behaviour.contains("writes-file") {
        run.event_where("agent.file_edited", |event| event["data"]["path"] == FILE).await;
    }
    run
}

/// The process of a run by its sub-command: `worker` or `supervise`.
fn process(system: &System, name: &str) -> Process {
    let found = system.processes();
    let found = found.into_iter().find(|one| one.arguments.get(1).is_some_and(|word| word == name));
    found.unwrap_or_else(|| panic!("no {name}: {:#?}", system.processes()))
}

/// The types of the last events of a run, from the agent's interruption on.
fn end_of(events: &[Value]) -> Vec<String> {
    let kinds: Vec<String> = events.iter().map(|event| text(&event["type"])).collect();
    let from = kinds.iter().rposition(|kind| kind == "agent.interrupted").unwrap_or_default();
    kinds[from..].to_vec()
}

#[tokio::test]
async fn each_signal_to_the_worker_drains_the_run_in_order_with_one_report() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let system = System::new();
        let repository = Repository::with_files(sample::FILES);
        let before = repository.contents();
        let run = at_work(&system, &repository, "writes-file, waits").await;
        assert!(process(&system, "worker").signal(signal));

        let run = run.finish().await.expect_code(1);

        let events: Vec<Value> =
            run.json().into_iter().filter(|line| line["type"] != "summary").collect();
        // It was interrupted and ended its turn; its tree was gone; then what it did was saved.
        let end = end_of(&events);
        let order = ["agent.interrupted", "agent.completed", "agent.exited", "worker.work_saved"];
        let at = order.map(|kind| end.iter().position(|one| one == kind));
        assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{signal:?}: {end:?}");
        assert_eq!(end.last().unwrap(), "spec.execution_failed", "{signal:?}: {end:?}");
        assert_eq!(run.events("spec.execution_failed").len(), 1);
        let failed = &run.events("spec.execution_failed")[0]["data"];
        assert_eq!(failed["outcome"], "cancelled", "{failed:#}");
        before.is_still_in(repository.path());
        system.nothing_left().await;
    }
}

#[tokio::test]
async fn a_stop_by_the_control_api_saves_the_work_before_its_one_report() {
    let system = System::new();
    let repository = Repository::with_files(sample::FILES);
    let before = repository.contents();
    let run = at_work(&system, &repository, "writes-file, waits").await;
    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).summary();
    let spec = text(&list(&listed)[0]["id"]);
    drop(system.run(system.root(), ["stop", &spec]).await.expect_code(0));

    let run = run.finish().await.expect_code(1);

    let events: Vec<Value> =
        run.json().into_iter().filter(|line| line["type"] != "summary").collect();
    let end = end_of(&events);
    let order = ["agent.interrupted", "agent.completed", "agent.exited", "worker.work_saved"];
    let at = order.map(|kind| end.iter().position(|one| one == kind));
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{end:?}");
    let [failed] = &run.events("spec.execution_failed")[..] else { panic!("{run:#?}") };
    assert_eq!(failed["data"]["outcome"], "cancelled", "{failed:#}");
    let saved = run.events("worker.work_saved")[0]["data"].clone();
    assert_eq!((&saved["kept"], &saved["files"]), (&"bundled".into(), &1.into()), "{saved:#}");
    before.is_still_in(repository.path());
    let (bundle, reference) = (text(&saved["bundle"]), text(&saved["reference"]));
    repository.git(&["fetch", "--quiet", &bundle, &reference]);
    let content = repository.git(&["show", &format!("FETCH_HEAD:{FILE}")]);
    assert_eq!(content, "the agent was here\n");
    system.nothing_left().await;
}

#[tokio::test]
async fn work_on_a_users_own_repository_is_kept_for_the_user_to_fetch_and_the_repository_is_not_written()
 {
    let system = System::new();
    let repository = Repository::with_files(sample::FILES);
    repository.write("not yet committed.txt", "typed by the user\n");
    let before = repository.contents();
    let agent = install(&system, "writes-file, waits").display().to_string();
    let run = system.start(repository.path(), ["launch", "--agent", &agent, sample::IDEA]);
    wait_for("the file in the clone", PATIENCE, async || {
        let sandboxes = std::fs::read_dir(system.data().join("sandboxes")).ok()?;
        let mut clones = sandboxes.filter_map(|one| Some(one.ok()?.path().join("workspace")));
        clones.any(|clone| clone.join(FILE).exists()).then_some(())
    })
    .await;
    run.signal(Signal::INT);
    let run = run.finish().await.expect_code(130);
    before.is_still_in(repository.path());

    // The words on the terminal are the command to give.
    let said = format!("{}\n{}", run.stdout, run.stderr);
    let command = said.split("git fetch '").nth(1).unwrap_or_else(|| panic!("{said}"));
    let (bundle, rest) = command.split_once("' ").unwrap_or_else(|| panic!("{said}"));
    let reference = rest.lines().next().unwrap();
    repository.git(&["fetch", "--quiet", bundle, reference]);
    let changed = repository.git(&["diff", "--name-only", "FETCH_HEAD~", "FETCH_HEAD"]);
    assert_eq!(changed.trim(), FILE);
    let head = repository.git(&["rev-parse", "HEAD"]);
    assert_eq!(repository.git(&["rev-parse", "FETCH_HEAD~~"]), head, "below it: the snapshot");
}

#[tokio::test]
async fn an_agent_that_changed_nothing_leaves_nothing_to_save_and_that_is_said() {
    let system = System::new();
    let agent = install(&system, "ok:outputs.json").display().to_string();
    let repository = Repository::with_files(sample::FILES);
    // A lost one is not what is looked at here.
    let arguments = ["launch", "--json", "--restarts", "0", "--agent", &agent, sample::IDEA];
    let run = system.run(repository.path(), arguments).await.expect_code(0);
    let saved = run.events("worker.work_saved");
    assert_eq!(saved.len(), 1, "{run:#?}");
    assert_eq!(saved[0]["data"]["kept"], "nothing");
}

#[tokio::test]
async fn a_deaf_agent_does_not_hold_up_the_end() {
    let system = System::new();
    let repository = Repository::with_files(sample::FILES);
    let run = at_work(&system, &repository, "deaf, hang, setsid-grandchild").await;
    assert!(process(&system, "worker").signal(Signal::TERM));
    // It would never end by itself.
    let run = run.finish().await.expect_code(1);
    assert_eq!(run.events("spec.execution_failed")[0]["data"]["outcome"], "cancelled");
    assert_eq!(run.events("worker.work_saved").len(), 1);
    system.nothing_left().await;
}

#[tokio::test]
async fn a_second_signal_ends_the_worker_at_once_and_nothing_is_left_running() {
    let system = System::new();
    let repository = Repository::with_files(sample::FILES);
    let run = at_work(&system, &repository, "deaf, hang, setsid-grandchild").await;
    let worker = process(&system, "worker");
    assert!(worker.signal(Signal::TERM));
    // Deaf to the interrupt for a second: the end is under way, and not near.
    assert!(worker.signal(Signal::INT));
    wait_for("the worker's end", PATIENCE, async || {
        Process::read(worker.pid).is_none().then_some(())
    })
    .await;
    let run = run.finish().await.expect_code(1);
    assert!(run.events("spec.execution_failed").len() <= 1, "{run:#?}");
    // An end in order would have said what became of the work.
    assert!(run.events("worker.work_saved").is_empty(), "{run:#?}");
    system.nothing_left().await;
}

#[tokio::test]
async fn supervisor_and_worker_killed_in_the_same_instant_leave_nothing_of_the_agent() {
    let system = System::new();
    let repository = Repository::with_files(sample::FILES);
    let run = at_work(&system, &repository, "waits, setsid-grandchild").await;
    let place = system.directory("bin");
    let left = ["child.pid", "orphan.pid"].map(|name| place.join(name));
    wait_for("the agent's descendants", PATIENCE, async || {
        left.iter().all(|path| path.exists()).then_some(())
    })
    .await;
    let left = left.map(|path| std::fs::read_to_string(path).unwrap().parse::<i32>().unwrap());
    let (supervisor, worker) = (process(&system, "supervise"), process(&system, "worker"));
    // Stopped first, so that neither sees the other's end.
    for one in [&supervisor, &worker] {
        assert!(one.signal(Signal::STOP));
    }
    for one in [&supervisor, &worker] {
        kill_process(Pid::from_raw(one.pid).unwrap(), Signal::KILL).unwrap();
    }
    wait_for("the end of what was left", PATIENCE, async || {
        left.iter().all(|pid| Process::read(*pid).is_none()).then_some(())
    })
    .await;
    let run = run.finish().await.expect_code(1);
    assert_eq!(run.summary()["status"], "failed");
    system.nothing_left().await;
    let shown = system.run(system.root(), ["list", "--json"]).await.expect_code(0);
    assert_eq!(list(&shown.summary()).len(), 1);
}
