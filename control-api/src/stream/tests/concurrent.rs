//! What subscribers saw is what the table holds: under concurrent writers, with replicas and the
//! database restarted and connections cut at random. The order of all that happens is the machine's
//! own; what is drawn here is who does what where.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::subscriber::Subscriber;
use super::{PostgresServer, TOKEN, all_of, progress};
use crate::testing::worker::Worker;
use crate::testing::{Running, until};

/// How many specs are written to at once, and how many batches each gets.
const SPECS: usize = 3;
const BATCHES: u64 = 30;
/// How often a replica is restarted.
const RESTARTS: u64 = 3;

/// How long a subscriber may take for all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Seeds in the place of the fixed ones, as a list with commas: to draw other cases, or one that failed
/// again.
const SEEDS: &str = "SPECWRIGHT_STREAM_SEEDS";

fn seeds(fixed: [u64; 2]) -> Vec<u64> {
    let Ok(list) = std::env::var(SEEDS) else { return fixed.to_vec() };
    let seed = |word: &str| word.trim().parse().unwrap_or_else(|_| panic!("{SEEDS}: `{word}`"));
    list.split(',').map(seed).collect()
}

/// A small generator of numbers; the seed is said when a case fails.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The replicas that come and go.
type Replicas = [RwLock<Option<Running>>];

/// Writes batches wherever a replica takes them, until all are acknowledged.
async fn write(home: &Running, worker: &Worker<'_>, replicas: &Replicas, mut dice: Dice) {
    let mut acked = 0;
    let mut sent = 0;
    while sent < BATCHES {
        let size = 1 + dice.below(4);
        let batch: Vec<_> = (acked + 1..=acked + size).map(progress).collect();
        let place = &replicas[usize::try_from(dice.below(replicas.len() as u64)).unwrap()];
        let place = place.read().await;
        let api = place.as_ref().unwrap_or(home);
        let path = format!("{}/api/v1/sandboxes/{}/events", api.base, worker.id);
        let body = json!({ "generation": worker.welcome.generation, "events": batch });
        let answer = api.http.post(path).bearer_auth(&worker.token).json(&body).send().await;
        // Anything but a yes is sent again, as a worker does.
        if answer.is_ok_and(|answer| answer.status() == 200) {
            acked += size;
            sent += 1;
        }
    }
}

/// What a list holds; a database that fell a moment ago may still be away.
async fn table(home: &Running, path: &str) -> Vec<Value> {
    all_of(path, async |query| {
        until("a page comes", async || {
            let (status, page) = home.get(query).await;
            assert!(status == 200 || status == 503, "{status}: {page}");
            (status == 200).then_some(page)
        })
        .await
    })
    .await
}

/// A page behind a cursor, from wherever a replica gives one.
async fn page(api: &Running, path: &str, after: Option<&str>, limit: u64) -> Option<Value> {
    let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
    let url = format!("{}{path}?limit={limit}&wait_ms=50{after}", api.base);
    let answer = api.http.get(url).bearer_auth(TOKEN).send().await.ok()?;
    if answer.status() != 200 {
        return None;
    }
    answer.json().await.ok()
}

/// Reads a stream from wherever a replica lets it, until all is written and it has as many as there
/// are; goes on behind the last id after each cut, and now and then by pages, whose cursors are the
/// same.
async fn subscribe(
    home: &Running,
    path: &str,
    replicas: &Replicas,
    written: &AtomicBool,
    mut dice: Dice,
) -> Vec<Value> {
    let mut seen: Vec<Value> = Vec::new();
    let mut last: Option<String> = None;
    let begun = Instant::now();
    loop {
        let place = usize::try_from(dice.below(replicas.len() as u64)).unwrap();
        if dice.below(3) == 0 {
            let replica = replicas[place].read().await;
            let api = replica.as_ref().unwrap_or(home);
            let list = path.trim_end_matches("/stream");
            let page = page(api, list, last.as_deref(), 1 + dice.below(30)).await;
            let Some(page) = page else { continue };
            seen.extend(page["items"].as_array().unwrap().iter().cloned());
            last = Some(page["next"].as_str().unwrap().to_owned());
            continue;
        }
        let opened = {
            let place = replicas[place].read().await;
            Subscriber::try_open(place.as_ref().unwrap_or(home), path, TOKEN, last.as_deref()).await
        };
        let Some(mut subscriber) = opened else { continue };
        let take = 1 + dice.below(40);
        for _ in 0..take {
            let next =
                tokio::time::timeout(Duration::from_millis(500), subscriber.try_next()).await;
            let was_written = written.load(Ordering::SeqCst);
            match next {
                Ok(Some(frame)) if frame.name.as_deref() == Some("goodbye") => {
                    last = Some(frame.json()["resume"].as_str().unwrap().to_owned());
                    break;
                }
                Ok(Some(frame)) => {
                    assert_eq!(frame.name, None, "{:?}", frame.json());
                    last.clone_from(&frame.id);
                    seen.push(frame.json());
                }
                Ok(None) => break,
                Err(_) => {
                    let list = path.trim_end_matches("/stream");
                    if was_written && seen.len() >= table(home, list).await.len() {
                        return seen;
                    }
                    assert!(begun.elapsed() < PATIENCE, "{path}: {} came in time", seen.len());
                }
            }
        }
    }
}

async fn case(home: Running, server: Option<&PostgresServer>, seed: u64) {
    // Shown with whatever fails.
    eprintln!("seed {seed}");
    let replicas: Vec<RwLock<Option<Running>>> =
        vec![RwLock::new(Some(home.beside().await)), RwLock::new(Some(home.beside().await))];
    let mut specs = Vec::new();
    for _ in 0..SPECS {
        let launched = home.launch(json!({})).await;
        let worker = Worker::hello(&home, launched.sandbox_id).await;
        specs.push((launched.spec.id, worker));
    }
    let mut paths = vec!["/api/v1/events".to_owned()];
    for (spec, worker) in &specs {
        paths.push(format!("/api/v1/specs/{spec}/events"));
        paths.push(format!("/api/v1/sandboxes/{}/events", worker.id));
    }
    let written = AtomicBool::new(false);
    let dice = |number: usize| Dice(seed.wrapping_mul(1_000).wrapping_add(number as u64));
    let streams: Vec<String> = paths.iter().map(|path| format!("{path}/stream")).collect();
    let subscribers = streams
        .iter()
        .enumerate()
        .map(|(number, path)| subscribe(&home, path, &replicas, &written, dice(100 + number)));
    let writers = specs
        .iter()
        .enumerate()
        .map(|(number, (_, worker))| write(&home, worker, &replicas, dice(number)));
    let breaks = async {
        let mut dice = dice(200);
        let mut crashes = 0;
        for restart in 1..=RESTARTS {
            let place = &replicas[usize::try_from(dice.below(2)).unwrap()];
            let mut place = place.write().await;
            if let Some(replica) = place.take() {
                let replica = replica.restart().await;
                until("the replica is there", async || {
                    (replica.status("GET", "/readyz", "", &()).await == 200).then_some(())
                })
                .await;
                *place = Some(replica);
            }
            drop(place);
            // No seed leaves the database alone.
            let falls = dice.below(2) == 0 || (restart == RESTARTS && crashes == 0);
            if let Some(server) = server.filter(|_| falls) {
                tokio::task::block_in_place(|| server.crash_and_start());
                crashes += 1;
            }
            tokio::task::yield_now().await;
        }
    };
    let all_written = async {
        futures_util::future::join(futures_util::future::join_all(writers), breaks).await;
        written.store(true, Ordering::SeqCst);
    };
    let ((), seen) =
        futures_util::future::join(all_written, futures_util::future::join_all(subscribers)).await;
    for (path, seen) in paths.iter().zip(seen) {
        let table = table(&home, path).await;
        assert!(table.len() as u64 >= BATCHES, "seed {seed}: {path} has only {}", table.len());
        if path == "/api/v1/events" {
            // Specs may be interleaved in another way; each one's own order is kept.
            assert_eq!(by_spec(&seen), by_spec(&table), "seed {seed}: {path}");
        } else {
            assert!(seen == table, "seed {seed}: {path}: {} of {}", seen.len(), table.len());
        }
    }
    drop(specs);
    for replica in replicas {
        if let Some(replica) = replica.into_inner() {
            replica.end().await;
        }
    }
    home.end().await;
}

fn by_spec(events: &[Value]) -> HashMap<String, Vec<u64>> {
    let mut specs: HashMap<String, Vec<u64>> = HashMap::new();
    for event in events {
        let spec = event["spec_id"].as_str().unwrap().to_owned();
        specs.entry(spec).or_default().push(event["position"].as_u64().unwrap());
    }
    specs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_see_what_the_table_holds_on_sqlite() {
    for seed in seeds([1, 2]) {
        case(Running::with_waiting_worker().await, None, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_see_what_the_table_holds_on_postgres() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    for seed in seeds([3, 4]) {
        case(Running::on(server.address()).await, Some(&server), seed).await;
    }
}
