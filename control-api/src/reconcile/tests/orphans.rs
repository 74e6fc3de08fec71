//! Places that nobody knows, or that outlive their runs: real processes.

use serde_json::json;
use specwright_shared::id::SandboxId;

use super::with;
use crate::store::{backup, restore};
use crate::testing::worker::Worker;
use crate::testing::{Running, until, until_file};

async fn pid_of(api: &Running, sandbox: SandboxId) -> String {
    until_file(&api.sandbox_dir(sandbox).join("state/pid")).await.trim().to_owned()
}

fn is_there(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

async fn until_old(pid: &str) {
    until("it has been there for two seconds", async || {
        let age = std::fs::metadata(format!("/proc/{pid}")).ok()?.modified().ok()?.elapsed();
        age.is_ok_and(|age| age.as_secs() >= 2).then_some(())
    })
    .await;
}

async fn until_one_was_ended(api: &Running) {
    until("the duty says so", async || {
        let (_, duties) = api.get("/api/v1/duties").await;
        let orphans = duties.as_array()?.iter().find(|duty| duty["name"] == "orphans")?.clone();
        (orphans["did_total"] == 1 && orphans["machine"].is_string()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_place_that_the_database_knows_nothing_of_is_ended_after_its_grace() {
    let api = with(|config| {
        config.liveness.finished_s = 1;
        config.end_sandboxes_on_shutdown = false;
    })
    .await;
    assert_eq!(api.get("/api/v1/specs").await.0, 200);
    let address = api.config.database_url.clone();
    let copy = api.config.data_dir.join("copy.db");
    // The deployment's label is in the copy; the run that comes behind it is not. Nor is there anyone
    // in it who holds a duty: this process would be taken for that one.
    let api = api
        .restart_after(async || {
            backup::backup(&address, &copy).await.unwrap();
        })
        .await;
    let launched = api.launch(json!({})).await;
    let pid = pid_of(&api, launched.sandbox_id).await;
    let api = api
        .restart_after(async || {
            let now = std::time::SystemTime::now().into();
            restore::restore(&address, &copy, now).await.unwrap();
            assert!(is_there(&pid), "ending a control API leaves the place alone");
            until_old(&pid).await;
        })
        .await;
    let path = format!("/api/v1/sandboxes/{}", launched.sandbox_id);
    assert_eq!(api.get(&path).await.0, 404, "nobody knows it");
    until("the place is gone", async || (!is_there(&pid)).then_some(())).await;
    until_one_was_ended(&api).await;
    api.end().await;
}

#[tokio::test]
async fn a_place_that_is_still_there_when_its_run_is_over_is_ended() {
    let api = with(|config| {
        config.liveness.finished_s = 1;
        config.end_sandboxes_on_shutdown = false;
    })
    .await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    worker.fail().await;
    let pid = pid_of(&api, launched.sandbox_id).await;
    assert!(is_there(&pid), "the worker lingers");
    // The next control API looks when it starts; the run has been over for a second by then.
    let api = api.restart_after(async || until_old(&pid).await).await;
    until("the lingering worker is gone", async || (!is_there(&pid)).then_some(())).await;
    until_one_was_ended(&api).await;
    api.end().await;
}
