//! What stays in memory, from `/proc`.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::System;
use specwright_tests::wait::wait_for;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use uuid::Uuid;

use crate::figure::Figure;
use crate::{programs, run};

const WORKER_AIM_MB: f64 = 15.0;
const CONTROL_API_AIM_MB: f64 = 25.0;
/// A start takes a tenth of a second; this is for a machine that is busy with other things.
const START_AT_MOST: Duration = Duration::from_secs(20);
/// Between two looks at a run: a hundredth of one.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A worker that has said hello and waits for its job.
pub(crate) async fn worker_idle() -> Result<Vec<Figure>> {
    let place = tempfile::tempdir()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let mut worker = Command::new(programs::worker())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("SPEC_ID", Uuid::now_v7().to_string())
        .env("SPEC_PHASE", "all")
        .env("SANDBOX_ID", Uuid::now_v7().to_string())
        .env("SANDBOX_TOKEN", "a-token-that-nobody-asks-for")
        .env("CONTROL_API_URL", format!("http://{address}"))
        .env("WORKSPACE_DIR", place.path().join("workspace"))
        .env("STATE_DIR", place.path().join("state"))
        .env("AGENT", "rehearsal")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("the worker cannot be started")?;
    let pid = worker.id().context("the worker has ended")?;
    let (mut connection, _) = tokio::time::timeout(START_AT_MOST, listener.accept())
        .await
        .context("the worker does not say hello")??;
    let mut hello = [0; 4096];
    let read = tokio::time::timeout(START_AT_MOST, connection.read(&mut hello))
        .await
        .context("the worker's hello does not come")??;
    ensure!(hello[..read].starts_with(b"POST "), "the worker said something else than hello");
    let resident = kilobytes(pid, "VmRSS:").context("the worker's memory cannot be read")?;
    worker.kill().await?;
    Ok(vec![Figure::new("worker_memory_idle", resident / 1000.0, "MB").aim(WORKER_AIM_MB)])
}

/// The most that the worker of a rehearsal run holds, without its agent.
pub(crate) async fn worker_in_a_run() -> Result<Vec<Figure>> {
    let system = System::new();
    let repository = Repository::with_files(sample::FILES);
    let mut running = run::launch_rehearsal(&system, &repository);
    let pid = wait_for("the worker of the run", START_AT_MOST, async || {
        let is_worker = |arguments: &[String]| arguments.get(1).is_some_and(|one| one == "worker");
        let found = system.processes().into_iter().find(|one| is_worker(&one.arguments))?;
        u32::try_from(found.pid).ok()
    })
    .await;
    let mut peak = None;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    // VmHWM is the highest so far, so only what grows after the last look is missed.
    let watched = async {
        loop {
            looks.tick().await;
            match kilobytes(pid, "VmHWM:") {
                Some(now) => peak = Some(now),
                None => return,
            }
        }
    };
    tokio::time::timeout(START_AT_MOST, watched).await.context("the run does not end")?;
    running.line("the summary", |line| line.contains("\"summary\"").then_some(())).await;
    drop(running.finish().await.expect_code(0));
    let peak = peak.context("the worker was gone before its memory could be read")?;
    Ok(vec![
        Figure::new("worker_memory_rehearsal_peak", peak / 1000.0, "MB")
            .aim(WORKER_AIM_MB)
            .beside("`specwright worker`: the worker inside the one binary of a laptop"),
    ])
}

/// A control API that has just said where it is.
pub(crate) async fn control_api() -> Result<Vec<Figure>> {
    let system = System::new();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--json"];
    let mut serving = system.start(system.root(), arguments);
    let url = serving.url().await;
    let pid = u32::try_from(serving.pid())?;
    let answer = specwright_control_api::client::Client::new(&url, "")?.health().await;
    answer.context("the control API is not well")?;
    let resident = kilobytes(pid, "VmRSS:").context("its memory cannot be read")?;
    serving.signal(rustix::process::Signal::TERM);
    serving.finish().await;
    let figure = Figure::new("control_api_memory_start", resident / 1000.0, "MB");
    Ok(vec![figure.aim(CONTROL_API_AIM_MB)])
}

/// A number of `/proc/<pid>/status`, in thousands of bytes; `None` when the process is gone.
pub(crate) fn kilobytes(pid: u32, name: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1.024)
}
