//! A control API that is killed while it takes in: what it acknowledged is there, once.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use specwright_shared::wire::event::RawEvent;
use tokio::process::Command;

use crate::store::postgres_server::PostgresServer;
use crate::testing::worker::{Worker, event};
use crate::testing::{Running, WAITING_WORKER, until, until_file};

/// Tells the process that plays the control API where its data is, and its database.
const DATA: &str = "SPECWRIGHT_TEST_KILLED_DATA";
const DATABASE: &str = "SPECWRIGHT_TEST_KILLED_DATABASE";
/// Events that were acknowledged before it is killed: some rounds of all workers.
const BEFORE: u64 = 60;
/// Workers that report at once.
const WORKERS: usize = 6;

/// The same test, started again as a process of its own, is the control API that is killed.
#[tokio::test]
async fn what_a_killed_control_api_acknowledged_on_sqlite_is_there_once() {
    let name = "what_a_killed_control_api_acknowledged_on_sqlite_is_there_once";
    if plays_the_killed_one().await {
        return;
    }
    killed(Running::with_waiting_worker().await, name).await;
}

#[tokio::test]
async fn what_a_killed_control_api_acknowledged_on_postgres_is_there_once() {
    let name = "what_a_killed_control_api_acknowledged_on_postgres_is_there_once";
    if plays_the_killed_one().await {
        return;
    }
    let Some(server) = PostgresServer::start() else {
        return;
    };
    killed(Running::on(server.address()).await, name).await;
}

/// In the process that is killed: takes in until then.
async fn plays_the_killed_one() -> bool {
    let Some(data) = std::env::var_os(DATA).map(PathBuf::from) else { return false };
    let database = std::env::var(DATABASE).unwrap();
    let ready = data.join("killed-one");
    let change = |config: &mut crate::Config| {
        config.data_dir = data;
        config.database_url = database;
    };
    let api = Running::with_settings(WAITING_WORKER, change).await;
    // It answers before anyone is told where it is; on a busy machine it may first say "come again".
    until("it answers", async || (api.get("/api/v1/specs").await.0 == 200).then_some(())).await;
    std::fs::write(ready, format!("{}\n", api.base)).unwrap();
    std::future::pending().await
}

fn said(seq: u64) -> RawEvent {
    event(seq, "spec.progress", None, json!({ "message": format!("{seq}") }))
}

/// Reports to the one that is killed, until it does not answer; up to where it acknowledged.
async fn report(worker: &Worker<'_>, base: &str, all: &AtomicU64) -> u64 {
    let url = format!("{base}/api/v1/sandboxes/{}/events", worker.id);
    let mut acked = 0;
    loop {
        let events = [said(acked + 1), said(acked + 2), said(acked + 3)];
        let batch = json!({ "generation": worker.welcome.generation, "events": events });
        let post = || worker.api.http.post(&url).bearer_auth(&worker.token).json(&batch).send();
        // Twice at once: one of the two is a replay.
        let (one, two) = tokio::join!(post(), post());
        let answered = one.is_ok() || two.is_ok();
        for answer in [one, two].into_iter().flatten() {
            let status = answer.status().as_u16();
            // Cut off in the middle of an answer is not answered, nor is "come again" (a file that
            // two processes write to may be busy).
            let Ok(answer) = answer.json::<Value>().await else { continue };
            if status == 503 {
                continue;
            }
            assert_eq!((status, &answer["acked"]), (200, &json!(acked + 3)), "{answer}");
            acked += 3;
            all.fetch_add(3, Ordering::Relaxed);
            break;
        }
        if !answered {
            return acked;
        }
    }
}

async fn killed(api: Running, name: &str) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("ingest::tests::killed::{name}")])
        .env(DATA, &api.config.data_dir)
        .env(DATABASE, &api.config.database_url)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let base = until_file(&api.config.data_dir.join("killed-one")).await;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let launched = api.launch(json!({})).await;
        workers.push(Worker::hello(&api, launched.sandbox_id).await);
    }
    let all = AtomicU64::new(0);
    let reports = workers.iter().map(|worker| report(worker, base.trim(), &all));
    let kill = async {
        until("enough is acknowledged", async || {
            (all.load(Ordering::Relaxed) >= BEFORE).then_some(())
        })
        .await;
        // By SIGKILL; it is waited for.
        child.kill().await.unwrap();
    };
    let (acked, ()) = tokio::join!(futures_util::future::join_all(reports), kill);
    for (worker, acked) in workers.iter().zip(acked) {
        let path = format!("/api/v1/sandboxes/{}/events?limit=200", worker.id);
        let stored = async || {
            let (mut seqs, mut after) = (Vec::new(), String::new());
            loop {
                let (status, page) = api.get(&format!("{path}{after}")).await;
                assert_eq!(status, 200, "{page}");
                let items = page["items"].as_array().unwrap();
                seqs.extend(items.iter().map(|item| item["seq"].as_u64().unwrap()));
                let Some(next) = page["next"].as_str().filter(|_| !items.is_empty()) else {
                    return seqs;
                };
                after = format!("&after={next}");
            }
        };
        let seqs = stored().await;
        let count = seqs.len() as u64;
        assert_eq!(seqs, (1..=count).collect::<Vec<_>>(), "each once, in order");
        assert!(count >= acked, "{acked} were acknowledged, and {count} are there");
        // What was under way is sent again, to whoever is there.
        let (status, answer) =
            worker.send(&[said(acked + 1), said(acked + 2), said(acked + 3)]).await;
        assert_eq!((status, &answer["acked"]), (200, &json!(acked + 3)), "{answer}");
        assert_eq!(stored().await, (1..=acked + 3).collect::<Vec<_>>());
    }
    api.end().await;
}
