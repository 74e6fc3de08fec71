//! Ends that nobody planned: what is said, what is kept, and what is left running.

use std::time::Duration;

use rustix::process::Signal;
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::processes::Process;
use specwright_tests::system::{Running, System};
use specwright_tests::wait::wait_for;

use crate::shape::{is_a_complete_summary, list, phases_with, text};

/// How soon everything of a run that was ended is gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

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
        let playbook = Playbook::new().with(Phase::Design, [Answer::Hang]);
        let api = MessagesApi::start(playbook.script()).await.expect("loopback has a port");
        let system = System::with_claude(&api);
        let repository = Repository::with_files(sample::FILES);
        let mut run = system.start(repository.path(), ["launch", "--json", sample::IDEA]);
        // Accepted and stored, not only done: what is resumed later is what the store knows.
        run.event_where("spec.phase_completed", |event| event["phase"] == "requirements").await;
        let scene = Self { api, system, repository, run };
        wait_for("the model to be asked for the design", Duration::from_secs(30), async || {
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
        let is_worker = |one: &Process| one.arguments.get(1).is_some_and(|word| word == "worker");
        let found = self.system.processes().into_iter().find(is_worker);
        found.unwrap_or_else(|| panic!("no worker: {:#?}", self.system.processes()))
    }
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
    system.nothing_left_within(GONE_WITHIN).await;
}

#[tokio::test]
async fn a_killed_worker_fails_the_run_with_a_sentence_and_the_rest_can_be_resumed() {
    let scene = Scene::in_design().await;
    assert!(scene.worker().kill());

    let Scene { api, system, repository, run } = scene;
    let run = run.finish().await.expect_code(1);

    assert!(run.stderr.contains("signal 9"), "{run:#?}");
    assert!(run.stderr.contains("specwright resume"), "{run:#?}");
    assert_eq!(run.summary()["status"], "failed");
    system.nothing_left_within(GONE_WITHIN).await;
    resumes_from_design(&api, &system, &repository).await;
}

#[tokio::test]
async fn a_killed_launch_leaves_nothing_running_and_the_rest_can_be_resumed() {
    let scene = Scene::in_design().await;
    scene.run.signal(Signal::KILL);

    let Scene { api, system, repository, run } = scene;
    assert!(!run.finish().await.status.success());
    system.nothing_left_within(GONE_WITHIN).await;
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
    system.nothing_left_within(GONE_WITHIN).await;
    resumes_from_design(&api, &system, &repository).await;
}

#[tokio::test]
async fn a_second_interrupt_ends_everything_at_once() {
    let scene = Scene::in_design().await;
    // The worker cannot do what the first interrupt asks for.
    assert!(scene.worker().signal(Signal::STOP));
    scene.run.signal(Signal::INT);
    let Scene { system, run, repository, api } = scene;
    wait_for("the stop to be asked for", Duration::from_secs(10), async || {
        run.stderr().iter().any(|line| line.contains("stopping")).then_some(())
    })
    .await;
    run.signal(Signal::INT);

    run.finish().await.expect_code(130);
    system.nothing_left_within(GONE_WITHIN).await;
    resumes_from_design(&api, &system, &repository).await;
}
