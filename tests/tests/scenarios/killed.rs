//! A test that is killed leaves nothing running, whatever it had started.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{System, processes};
use specwright_tests::wait::{PATIENCE, wait_for};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::faulty::install;

/// Set: this process is the one to be killed.
const VICTIM: &str = "SPECWRIGHT_TEST_TO_BE_KILLED";
/// What the victim begins its line with.
const WORLD: &str = "the world is ";
/// The test itself, by which the victim is started.
const OURSELVES: &str = "killed::a_test_that_is_killed_leaves_no_process_and_no_directory";

/// Starts a server whose worker and agent outlive it, says where, and waits to be killed.
async fn wait_to_be_killed() {
    let (system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let agent = install(&system, "hang").display().to_string();
    let mut server = system.start(system.root(), ["serve", "--listen", "127.0.0.1:0", "--json"]);
    let url = server.url().await;
    let token = std::fs::read_to_string(system.directory("config").join("owner-token")).unwrap();
    let mut client = system;
    client.set("SPECWRIGHT_TOKEN", token.trim());
    let launch = ["launch", "--json", "--server", &url, "--agent", &agent, sample::IDEA];
    let mut run = client.start(repository.path(), launch);
    run.event("agent.started").await;
    println!("{WORLD}{}", client.root().display());
    std::future::pending::<()>().await;
}

async fn world_of(stdout: tokio::process::ChildStdout) -> PathBuf {
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        // The runner may have written something in front of it.
        if let Some((_, world)) = line.split_once(WORLD) {
            return PathBuf::from(world);
        }
    }
    panic!("the victim ended before it could be killed")
}

fn runs(world: &Path, word: &str) -> bool {
    processes::naming(world).iter().any(|one| one.arguments.iter().any(|part| part.contains(word)))
}

#[tokio::test]
async fn a_test_that_is_killed_leaves_no_process_and_no_directory() {
    if std::env::var_os(VICTIM).is_some() {
        return wait_to_be_killed().await;
    }
    let place = tempfile::tempdir().unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([OURSELVES, "--exact", "--nocapture"])
        .env(VICTIM, "1")
        // Its repository is no part of its world, and left behind.
        .env("TMPDIR", place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let world = world_of(victim.stdout.take().unwrap()).await;
    for word in ["serve", "worker", "faulty-agent"] {
        assert!(runs(&world, word), "{word}: {:#?}", processes::naming(&world));
    }
    victim.kill().await.unwrap();
    wait_for("the end of all that it had started", PATIENCE, async || {
        (processes::naming(&world).is_empty() && !world.exists()).then_some(())
    })
    .await;
}
