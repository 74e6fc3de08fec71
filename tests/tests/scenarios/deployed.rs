//! What `docs/deploy` describes: three replicas on one PostgreSQL, behind the nginx whose settings
//! stand there, over TLS; and the units that start them ([`units`]).

mod nginx;
mod units;

use std::net::SocketAddr;

use rustix::process::Signal;
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Running, System};
use tokio_util::sync::CancellationToken;

use self::nginx::Front;
use crate::replicas::postgres_server::PostgresServer;
use crate::replicas::until_asked;
use crate::shape::{is_a_complete_summary, text};

const TOKEN: &str = "swo_of_the_three_replicas_9d41c7e05b2f4a68";

async fn replica(system: &System, database: &str, front: &Front) -> (Running, SocketAddr) {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--json", "--own-keys"];
    let more = ["--database", database, "--public-url", front.url()];
    let mut process = system.start(system.root(), arguments.into_iter().chain(more));
    let address = process.url().await;
    let address = address.trim_start_matches("http://").parse().unwrap();
    (process, address)
}

/// Whether a process started the worker that runs in this world.
fn started_the_worker(system: &System, replica: &Running) -> bool {
    let parent = format!("PPid:\t{}", replica.pid());
    system.processes().iter().any(|process| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid));
        process.arguments.iter().any(|one| one == "supervise" || one == "worker")
            && status.is_ok_and(|status| status.lines().any(|line| line == parent))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_behind_the_documented_nginx_outlives_its_replica_and_a_restart_of_another() {
    let (Some(database), Some(program)) = (PostgresServer::start(), nginx::installed()) else {
        let must_run = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(
            !must_run,
            "CI=true, and PostgreSQL or nginx is missing; ./tests/run installs both"
        );
        eprintln!("the deployment did NOT run: this machine has no PostgreSQL, or no nginx");
        return;
    };
    let (design, tasks) = (CancellationToken::new(), CancellationToken::new());
    let playbook = Playbook::new().held(Phase::Design, &design).held(Phase::Tasks, &tasks);
    let api = MessagesApi::start(playbook.script()).await.unwrap();
    let (mut system, repository) =
        (System::with_claude(&api), Repository::with_files(sample::FILES));
    let front = Front::new(&system);
    system.set("SPECWRIGHT_OWNER_TOKEN", TOKEN).set("SPECWRIGHT_TOKEN", TOKEN);
    system.set("SSL_CERT_FILE", front.authority());
    let address = database.address();
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(replica(&system, &address, &front).await);
    }
    let behind = [replicas[0].1, replicas[1].1, replicas[2].1];
    let nginx = front.start(program, behind).await;
    let metrics = front.client().get(format!("{}/metrics", front.url())).bearer_auth(TOKEN);
    let metrics = metrics.send().await.unwrap();
    assert_eq!(metrics.status().as_u16(), 404, "what all projects run is nothing for outside");
    assert!(metrics.headers().contains_key("strict-transport-security"), "{metrics:?}");

    let launch = ["launch", "--json", "--server", front.url(), sample::IDEA];
    let mut run = system.start(repository.path(), launch);
    until_asked(&api, Phase::Design).await;
    let own = replicas.iter().position(|(one, _)| started_the_worker(&system, one));
    let (own, _) = replicas.remove(own.expect("one of the three started the worker"));
    own.signal(Signal::KILL);
    assert!(!own.finish().await.status.success());
    design.cancel();
    let of = |phase: Phase| move |event: &serde_json::Value| event["phase"] == phase.as_str();
    run.event_where("spec.phase_completed", of(Phase::Design)).await;

    until_asked(&api, Phase::Tasks).await;
    let (another, _) = replicas.remove(0);
    another.signal(Signal::TERM);
    another.finish().await.expect_code(0);
    tasks.cancel();
    let run = run.finish().await.expect_code(0);
    is_a_complete_summary(&run.summary(), "claude");
    // Who followed it through all this has every event once, in order.
    let positions: Vec<u64> =
        run.json().iter().filter_map(|event| event["position"].as_u64()).collect();
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>());
    assert_eq!(text(&run.summary()["status"]), "completed");

    let (last, _) = replicas.remove(0);
    last.signal(Signal::TERM);
    last.finish().await.expect_code(0);
    drop(nginx);
    system.nothing_left().await;
}
