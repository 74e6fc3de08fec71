//! Places that are lost as a whole, with facts in them that nobody had sent.

use rustix::process::Signal;
use serde_json::Value;
use specwright_shared::phase::Phase;
use specwright_tests::chaos::spool::{self, Durable};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::System;
use specwright_tests::wait::{PATIENCE, wait_for};

use crate::shape::{list, phases_with, text};

/// Launches the rehearsal, holds the control API still once the agent is at work, and lets the worker go
/// on alone until a fact is durable; then everything is killed at once.
async fn lost_behind(
    system: &System,
    repository: &Repository,
    last: impl Fn(&Durable) -> bool,
) -> Vec<Durable> {
    let arguments = ["launch", "--json", "--agent", "rehearsal", sample::IDEA];
    let mut run = system.start(repository.path(), arguments);
    run.event("spec.execution_started").await;
    run.signal(Signal::STOP);
    wait_for("the worker to get there alone", PATIENCE, async || {
        durable(system).iter().any(&last).then_some(())
    })
    .await;
    let is = |one: &str, word: &str| one == word;
    let mut places = system.processes();
    places.retain(|one| {
        one.arguments.get(1).is_some_and(|arg| is(arg, "supervise") || is(arg, "worker"))
    });
    // Supervisors first, so that nothing is started again.
    places.sort_by_key(|one| is(&one.arguments[1], "worker"));
    assert_eq!(places.len(), 2, "{places:#?}");
    assert!(places.iter().all(|one| one.kill()));
    run.signal(Signal::KILL);
    drop(run.finish().await);
    durable(system)
}

fn durable(system: &System) -> Vec<Durable> {
    spool::states(&system.data()).iter().flat_map(|state| spool::read(state)).collect()
}

/// The only spec, as `list` tells it.
async fn only_spec(system: &System) -> Value {
    let run = system.run(system.root(), ["list", "--json"]).await.expect_code(0);
    let specs = run.summary();
    let [spec] = list(&specs) else { panic!("{run:#?}") };
    spec.clone()
}

#[tokio::test]
async fn a_run_that_finished_while_nobody_listened_is_finished() {
    let system = System::new();
    let repository = Repository::with_files(sample::FILES);
    let left =
        lost_behind(&system, &repository, |fact| fact.kind == "spec.execution_completed").await;
    let spec = only_spec(&system).await;
    assert_eq!(spec["status"], "completed", "{spec:#}");
    assert_eq!(
        spec["events"].as_u64().unwrap(),
        left.len() as u64 + 1,
        "and the tickets: {spec:#}"
    );
    system.nothing_left().await;
}

#[tokio::test]
async fn what_a_lost_place_had_accepted_is_not_done_again() {
    let system = System::new();
    let repository = Repository::with_files(sample::FILES);
    let accepted =
        |fact: &Durable, phase| fact.kind == "spec.phase_completed" && fact.phase == Some(phase);
    let left = lost_behind(&system, &repository, |fact| accepted(fact, Phase::Requirements)).await;
    let spec = only_spec(&system).await;
    assert_eq!((&spec["status"], &spec["reason"]), (&"failed".into(), &"lost".into()), "{spec:#}");

    let rest = system.run(repository.path(), ["resume", "--json", &text(&spec["id"])]).await;
    let rest = rest.expect_code(0);

    let to_do = |phase: &Phase| !left.iter().any(|fact| accepted(fact, *phase));
    let to_do: Vec<String> =
        Phase::ALL.into_iter().filter(to_do).map(|phase| phase.to_string()).collect();
    assert!(to_do.len() <= 4, "{to_do:?}");
    assert_eq!(phases_with(&rest, "spec.phase_started"), to_do);
    system.nothing_left().await;
}
