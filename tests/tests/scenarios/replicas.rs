//! Three control APIs on one PostgreSQL, behind a load balancer that keeps nobody to one of them.

mod balancer;
#[expect(dead_code, reason = "not every test of it needs all that it can")]
#[path = "../../../control-api/src/store/postgres_server.rs"]
pub(crate) mod postgres_server;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use specwright_control_api::client::Client;
use specwright_shared::id::SpecId;
use specwright_shared::phase::{Phase, SpecStatus};
use specwright_shared::text::Text;
use specwright_shared::wire::event::EventView;
use specwright_shared::wire::spec::{Launch, NewSpec, RunOptions};
use specwright_tests::messages_api::{MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Running, System};
use specwright_tests::wait::{PATIENCE, wait_for};
use tokio_util::sync::CancellationToken;

use self::balancer::Balancer;
use self::postgres_server::PostgresServer;
use crate::shape::text;

/// One of the three.
struct Replica {
    process: Running,
    client: Client,
    url: String,
    token: String,
}

async fn replica(system: &System, database: &str, balancer: &Balancer) -> Replica {
    let public = balancer.url();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--json", "--database", database];
    let arguments = arguments.into_iter().chain(["--own-keys", "--public-url", public.as_str()]);
    let mut process = system.start(system.root(), arguments);
    let started = process.started().await;
    let token = std::fs::read_to_string(text(&started["token_file"])).unwrap();
    let (url, token) = (text(&started["url"]), token.trim().to_owned());
    let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    balancer.add(address);
    let client = Client::new(&url, &token).unwrap();
    Replica { process, client, url, token }
}

async fn events(client: &Client, id: SpecId) -> Vec<EventView> {
    client.events(id, None, Duration::ZERO).await.unwrap().items
}

/// Who does the background duties, all of them.
async fn holders(replica: &Replica) -> Option<BTreeSet<Option<String>>> {
    let http = reqwest::Client::builder().no_proxy().build().ok()?;
    let asked = http.get(format!("{}/api/v1/duties", replica.url)).bearer_auth(&replica.token);
    let duties = asked.send().await.ok()?.text().await.ok()?;
    let duties: Vec<serde_json::Value> = serde_json::from_str(&duties).ok()?;
    let holder = |duty: &serde_json::Value| duty["holder"].as_str().map(str::to_owned);
    // The eight of them.
    (duties.len() >= 8).then(|| duties.iter().map(holder).collect())
}

fn is_done(events: &[EventView], phase: Phase) -> bool {
    let done = |one: &EventView| {
        one.event.kind == "spec.phase_completed" && one.event.phase == Some(phase)
    };
    events.iter().filter(|one| done(one)).count() == 1
}

/// Whether a file below a directory has a line about a phase with an event of a type.
fn spooled(directory: &Path, kind: &str, phase: Phase) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return spooled(&path, kind, phase);
        }
        let in_spool = path.components().any(|part| part.as_os_str() == "spool");
        let text = std::fs::read(&path).unwrap_or_default();
        in_spool
            && String::from_utf8_lossy(&text).lines().any(|line| {
                let of_phase = format!("\"phase\":\"{phase}\"");
                line.contains(&format!("\"{kind}\"")) && line.contains(&of_phase)
            })
    })
}

pub(crate) async fn until_asked(api: &MessagesApi, phase: Phase) {
    wait_for("the model to be asked", PATIENCE, async || {
        api.asks().iter().any(|ask| ask.phase() == Some(phase)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_survives_two_of_three_replicas_and_a_restart_of_their_database() {
    let Some(database) = PostgresServer::start() else {
        return;
    };
    let (design, tasks) = (CancellationToken::new(), CancellationToken::new());
    let playbook = Playbook::new().held(Phase::Design, &design).held(Phase::Tasks, &tasks);
    let api = MessagesApi::start(playbook.script()).await.unwrap();
    let (system, repository) = (System::with_claude(&api), Repository::with_files(sample::FILES));
    let balancer = Balancer::start().await.unwrap();
    let address = database.address();
    let one = replica(&system, &address, &balancer).await;
    let before = wait_for("every duty to have a holder", PATIENCE, async || {
        holders(&one).await.filter(|holders| !holders.contains(&None))
    })
    .await;
    let two = replica(&system, &address, &balancer).await;
    let three = replica(&system, &address, &balancer).await;
    let anyone = Client::new(&balancer.url(), &one.token).unwrap();
    let launched = anyone
        .launch(&Launch {
            spec: NewSpec {
                project_id: None,
                title: None,
                description: Text::new(sample::IDEA).unwrap(),
                repository: Some(Text::new(repository.path().display().to_string()).unwrap()),
            },
            run: RunOptions::default(),
        })
        .await
        .unwrap();
    let id = launched.spec.id;
    until_asked(&api, Phase::Design).await;

    // What was posted to one is readable on all.
    wait_for("the phase before on all replicas", PATIENCE, async || {
        let mut seen = BTreeSet::new();
        for replica in [&one, &two, &three] {
            let events = events(&replica.client, id).await;
            seen.insert(is_done(&events, Phase::Requirements).then_some(events.len()));
        }
        (seen.len() == 1 && seen.iter().all(Option::is_some)).then_some(())
    })
    .await;

    one.process.signal(Signal::KILL);
    assert!(!one.process.finish().await.status.success());
    design.cancel();
    wait_for("the design on another replica", PATIENCE, async || {
        is_done(&events(&three.client, id).await, Phase::Design).then_some(())
    })
    .await;
    until_asked(&api, Phase::Tasks).await;

    two.process.signal(Signal::KILL);
    assert!(!two.process.finish().await.status.success());
    tokio::task::block_in_place(|| database.stop());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = http.get(format!("{}/api/v1/specs", three.url)).bearer_auth(&three.token);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.headers().contains_key("retry-after"), "{:?}", answer.headers());
    // The worker needs no database to go on: what it says waits in its spool.
    tasks.cancel();
    wait_for("the tasks in the worker's spool", PATIENCE, async || {
        spooled(&system.data(), "spec.phase_completed", Phase::Tasks).then_some(())
    })
    .await;
    tokio::task::block_in_place(|| database.start_again());

    wait_for("the spec to be completed", PATIENCE, async || {
        let spec = three.client.spec(id).await.ok()?;
        assert_ne!(spec.status, SpecStatus::Failed, "{spec:#?}");
        (spec.status == SpecStatus::Completed).then_some(())
    })
    .await;
    let events = events(&three.client, id).await;
    let positions: Vec<u64> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=events.len() as u64).collect::<Vec<_>>());
    let numbers: Vec<u64> =
        events.iter().filter(|one| one.sandbox_id.is_some()).map(|one| one.event.seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    for phase in Phase::ALL {
        assert!(is_done(&events, phase), "{phase} is done once");
    }
    assert_eq!(three.client.sandboxes().await.unwrap().len(), 1, "it was one run in one sandbox");
    // What the killed ones did is done by the one that is left.
    wait_for("every duty to have another holder", PATIENCE, async || {
        holders(&three)
            .await
            .filter(|now| now.len() == 1 && !now.contains(&None) && before.is_disjoint(now))
    })
    .await;
    three.process.signal(Signal::TERM);
    three.process.finish().await.expect_code(0);
    system.nothing_left().await;
}
