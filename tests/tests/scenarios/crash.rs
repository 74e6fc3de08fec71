//! Ends that nobody planned: what is said, what is kept, and what is left running.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::Value;
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::processes::Process;
use specwright_tests::system::{Running, System};
use specwright_tests::wait::{PATIENCE, wait_for};
use specwright_worker::agent::transcript;

use crate::shape::{is_a_complete_summary, list, phases_with, text};

/// A run with the real CLI that waits for its model in the phase `design`.
struct Scene {
    api: MessagesApi,
    system: System,
    repository: Repository,
    run: Running,
}

impl Scene {
    /// Launches, and waits until the model was asked for the design. It does not answer; the next
    /// time it is asked, it does.
    async fn in_design() -> Self {
        Self::in_design_with_restarts("0").await
    }

    /// The same, with so many sandboxes in reserve.
    async fn in_design_with_restarts(restarts: &str) -> Self {
        let playbook = Playbook::new().with(Phase::Design, [Answer::Hang]);
        let api = MessagesApi::start(playbook.script()).await.expect("loopback has a port");
        let system = System::with_claude(&api);
        let repository = Repository::with_files(sample::FILES);
        let arguments = ["launch", "--json", "--restarts", restarts, sample::IDEA];
        let mut run = system.start(repository.path(), arguments);
        // Accepted and stored, not only done: what is resumed later is what the store knows.
        run.event_where("spec.phase_completed", |event| event["phase"] == "requirements").await;
        let scene = Self { api, system, repository, run };
        wait_for("the model to be asked for the design", PATIENCE, async || {
            (scene.asks(Phase::Design) > 0).then_some(())
        })
        .await;
        scene
    }

    fn asks(&self, phase: Phase) -> usize {
        self.api.asks().iter().filter(|ask| ask.phase() == Some(phase)).count()
    }

    /// The processes of the run, by what they are.
    fn worker(&self) -> Process {
        let found = self.system.processes().into_iter().find(is_worker);
        found.unwrap_or_else(|| panic!("no worker: {:#?}", self.system.processes()))
    }
}

/// Not its supervisor.
fn is_worker(one: &Process) -> bool {
    one.arguments.get(1).is_some_and(|word| word == "worker")
}

/// The id of the only spec that there is.
async fn only_spec(system: &System) -> String {
    let run = system.run(system.root(), ["list", "--json"]).await.expect_code(0);
    let specs = run.summary();
    let [spec] = list(&specs) else { panic!("{run:#?}") };
    text(&spec["id"])
}

/// Resumes, and proves that the phases before `design` were not done again.
async fn resumes_from_design(api: &MessagesApi, system: &System, repository: &Repository) {
    let spec = only_spec(system).await;
    let rest = system.run(repository.path(), ["resume", "--json", &spec]).await.expect_code(0);
    is_a_complete_summary(&rest.summary(), "claude");
    let done = phases_with(&rest, "spec.phase_started");
    assert_eq!(done, ["design", "tasks", "sync", "complete"]);
    let asks = api.asks();
    for phase in [Phase::Explore, Phase::Requirements] {
        let count = asks.iter().filter(|ask| ask.phase() == Some(phase)).count();
        assert_eq!(count, 1, "{phase} was asked for once");
    }
    system.nothing_left().await;
}

#[tokio::test]
async fn a_killed_worker_is_started_again_and_its_agents_conversation_goes_on() {
    let mut scene = Scene::in_design().await;
    let in_design = |event: &Value| event["phase"] == "design";
    let started = scene.run.event_where("agent.started", in_design).await;
    let session = text(&started["data"]["session_id"]).parse().unwrap();
    let sandboxes = std::fs::read_dir(scene.system.data().join("sandboxes")).unwrap();
    let sandbox = sandboxes.map(|entry| entry.unwrap().path()).next().unwrap();
    // The CLI writes it a moment after it has asked the model.
    wait_for("the transcript", PATIENCE, async || {
        transcript(&sandbox.join("state/agent"), session)
    })
    .await;
    assert!(scene.worker().kill());

    let Scene { api, system, repository: _repository, run } = scene;
    let run = run.finish().await.expect_code(0);

    is_a_complete_summary(&run.summary(), "claude");
    let [resumed] = &run.events("agent.resumed")[..] else { panic!("{run:#?}") };
    assert_eq!(
        (&resumed["phase"], &resumed["data"]["rung"]),
        (&"design".into(), &"transcript".into())
    );
    let started = run.events("agent.started");
    let sessions: Vec<_> = started
        .iter()
        .filter(|event| event["phase"] == "design")
        .map(|event| &event["data"]["session_id"])
        .collect();
    let [before, after] = sessions[..] else { panic!("{started:#?}") };
    assert_eq!((before, after), (after, &resumed["data"]["session_id"]));
    // The model had the first question before it, and then ours to go on.
    let asks = api.asks();
    let designs: Vec<_> = asks.iter().filter(|ask| ask.phase() == Some(Phase::Design)).collect();
    let [first, .., last] = &designs[..] else { panic!("{} asks", designs.len()) };
    let (first, last) = (first.texts().join("\n"), last.texts().join("\n"));
    assert!(!first.contains("Specwright: go on"), "{first}");
    assert!(last.contains("Specwright: go on") && last.contains(sample::IDEA), "{last}");
    for phase in [Phase::Explore, Phase::Requirements] {
        assert_eq!(asks.iter().filter(|ask| ask.phase() == Some(phase)).count(), 1, "{phase}");
    }
    assert_eq!(run.events("spec.execution_completed").len(), 1);
    system.nothing_left().await;
}

#[tokio::test]
async fn a_worker_that_dies_again_and_again_fails_the_run_with_a_sentence() {
    let scene = Scene::in_design().await;
    let mut killed = BTreeSet::new();
    // The first start and five more.
    while killed.len() < 6 {
        let worker = wait_for("the next worker", PATIENCE, async || {
            scene
                .system
                .processes()
                .into_iter()
                .find(|one| is_worker(one) && !killed.contains(&one.pid))
        })
        .await;
        if worker.kill() {
            killed.insert(worker.pid);
        }
    }

    let Scene { api, system, repository, run } = scene;
    let run = run.finish().await.expect_code(1);

    assert!(run.stderr.contains("signal 9"), "{run:#?}");
    assert!(run.stderr.contains("specwright resume"), "{run:#?}");
    assert_eq!(run.summary()["status"], "failed");
    system.nothing_left().await;
    resumes_from_design(&api, &system, &repository).await;
}

#[tokio::test]
async fn a_lost_sandbox_is_replaced_and_the_launch_goes_on_from_what_was_accepted() {
    let scene = Scene::in_design_with_restarts("1").await;
    let processes = scene.system.processes();
    let is_supervisor =
        |one: &&Process| one.arguments.get(1).is_some_and(|word| word == "supervise");
    let supervisor = processes.iter().find(is_supervisor).expect("the supervisor runs");
    assert!(supervisor.kill());

    let Scene { api, system, repository: _repository, run } = scene;
    let run = run.finish().await.expect_code(0);

    is_a_complete_summary(&run.summary(), "claude");
    let [again] = &run.events("spec.restarted")[..] else { panic!("{run:#?}") };
    assert_eq!(
        (&again["data"]["phase"], &again["data"]["outcome"]),
        (&"design".into(), &"lost".into())
    );
    let asks = api.asks();
    for phase in [Phase::Explore, Phase::Requirements] {
        let count = asks.iter().filter(|ask| ask.phase() == Some(phase)).count();
        assert_eq!(count, 1, "{phase} was asked for once");
    }
    system.nothing_left().await;
}

#[tokio::test]
async fn a_killed_launch_leaves_nothing_running_and_the_rest_can_be_resumed() {
    let scene = Scene::in_design_with_restarts("1").await;
    scene.run.signal(Signal::KILL);

    let Scene { api, system, repository, run } = scene;
    assert!(!run.finish().await.status.success());
    system.nothing_left().await;
    resumes_from_design(&api, &system, &repository).await;
}

#[tokio::test]
async fn an_interrupt_ends_the_agent_and_the_rest_can_be_resumed() {
    ends_in_order_by(Signal::INT).await;
}

#[tokio::test]
async fn a_terminated_launch_ends_as_if_interrupted() {
    ends_in_order_by(Signal::TERM).await;
}

async fn ends_in_order_by(signal: Signal) {
    let scene = Scene::in_design().await;
    scene.run.signal(signal);

    let Scene { api, system, repository, run } = scene;
    let run = run.finish().await.expect_code(130);

    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "cancelled", "{failed:#}");
    assert!(run.stderr.contains("specwright resume"), "{run:#?}");
    system.nothing_left().await;
    resumes_from_design(&api, &system, &repository).await;
}

#[tokio::test]
async fn a_second_interrupt_ends_everything_at_once() {
    let scene = Scene::in_design().await;
    // The worker cannot do what the first interrupt asks for.
    assert!(scene.worker().signal(Signal::STOP));
    scene.run.signal(Signal::INT);
    let Scene { system, run, repository, api } = scene;
    wait_for("the stop to be asked for", PATIENCE, async || {
        run.stderr().iter().any(|line| line.contains("stopping")).then_some(())
    })
    .await;
    run.signal(Signal::INT);

    run.finish().await.expect_code(130);
    system.nothing_left().await;
    resumes_from_design(&api, &system, &repository).await;
}

#[tokio::test]
async fn what_a_killed_workers_agent_left_behind_is_gone_before_the_next_one_works() {
    let system = System::new();
    let agent = crate::faulty::install(&system, "waits, setsid-grandchild").display().to_string();
    let repository = Repository::with_files(sample::FILES);
    let arguments = ["launch", "--json", "--agent", &agent, sample::IDEA];
    let mut run = system.start(repository.path(), arguments);
    let place = system.directory("bin");
    let left = ["child.pid", "orphan.pid"].map(|name| place.join(name));
    wait_for("the agent's descendants", PATIENCE, async || {
        left.iter().all(|path| path.exists()).then_some(())
    })
    .await;
    let left = left.map(|path| std::fs::read_to_string(path).unwrap().parse::<i32>().unwrap());
    let worker = system.processes().into_iter().find(is_worker).expect("the worker runs");
    assert!(left.iter().all(|pid| Process::read(*pid).is_some()), "{left:?}");

    assert!(worker.kill());

    wait_for("the end of what was left", PATIENCE, async || {
        left.iter().all(|pid| Process::read(*pid).is_none()).then_some(())
    })
    .await;
    let resumed = run.event("agent.resumed").await;
    assert_eq!(resumed["data"]["rung"], "same_session", "it keeps no transcript: {resumed:#}");
    run.signal(Signal::INT);
    run.finish().await.expect_code(130);
    system.nothing_left().await;
}
