//! From the start of a worker to its first event in the store.
//!
//! The control API is the real one, in this process, on a SQLite file. Local sandboxes run a small
//! script that writes down the time and then becomes the worker, so that nothing of the control
//! API's own work before the start is counted.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use specwright_control_api::client::Client;
use specwright_control_api::{Config, OwnerToken, WorkerProgram, serve};
use specwright_shared::phase::Phase;
use specwright_shared::text::Text;
use specwright_shared::wire::spec::{Launch, NewSpec, RunOptions};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::figure::{Figure, median};
use crate::programs;

/// Starts of which the median is told.
const STARTS: usize = 7;
const AIM_MS: f64 = 60.0;
/// How long one start is waited for.
const WAIT: Duration = Duration::from_secs(20);
const TOKEN: &str = "the-owners-token-of-a-bench-0123456789abcdef";

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let place = tempfile::tempdir()?;
    let began = place.path().join("began");
    let script = place.path().join("worker.sh");
    write_script(&script, &began)?;
    let worker = WorkerProgram { program: script, arguments: Vec::new() };
    let mut config = Config::new(place.path().join("data"), OwnerToken::new(TOKEN)?, worker);
    config.environment = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
    config.end_sandboxes_on_shutdown = true;
    config.die_with_parent = true;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let client = Client::new(&format!("http://{}", listener.local_addr()?), TOKEN)?;
    let shutdown = CancellationToken::new();
    // Also when this is given up half-way.
    let _ends_with_us = shutdown.clone().drop_guard();
    let server = tokio::spawn(serve(config, listener, shutdown.clone()));
    let measured = starts(&client, &began).await;
    shutdown.cancel();
    server.await?.context("the control API ended badly")?;
    let median = median(measured?).context("no start")?;
    Ok(vec![
        Figure::new("worker_start_to_first_event", median, "ms")
            .aim(AIM_MS)
            .beside(format!("median of {STARTS}; until a waiting reader has the committed event")),
    ])
}

async fn starts(client: &Client, began: &Path) -> Result<Vec<f64>> {
    let repository = Repository::with_files(sample::FILES);
    let mut took = Vec::new();
    for _ in 0..STARTS {
        let launch = Launch {
            spec: NewSpec {
                project_id: None,
                title: None,
                description: Text::new(sample::IDEA)?,
                repository: Some(Text::new(repository.path().to_string_lossy())?),
            },
            run: RunOptions {
                agent: Some(Text::new("rehearsal")?),
                until: Some(Phase::Explore),
                ..RunOptions::default()
            },
        };
        let spec = client.launch(&launch).await?.spec.id;
        let mut cursor = None;
        let arrived = loop {
            let page = client.events(spec, cursor.as_deref(), WAIT).await?;
            ensure!(!page.items.is_empty(), "no event within {WAIT:?}");
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
            if page.items.iter().any(|event| event.sandbox_id.is_some()) {
                break now;
            }
            cursor = page.next;
        };
        let text = fs::read_to_string(began).context("the script did not write down the time")?;
        let began = Duration::from_nanos(text.trim().parse()?);
        took.push(arrived.saturating_sub(began).as_secs_f64() * 1000.0);
        until_ended(client, spec).await?;
    }
    Ok(took)
}

/// Waits for the run's end, so that runs do not slow each other down.
async fn until_ended(client: &Client, spec: specwright_shared::id::SpecId) -> Result<()> {
    let ended = ["spec.execution_completed", "spec.execution_failed"];
    let mut cursor: Option<String> = None;
    loop {
        let page = client.events(spec, cursor.as_deref(), WAIT).await?;
        ensure!(!page.items.is_empty(), "the run does not end");
        if page.items.iter().any(|event| ended.contains(&event.event.kind.as_str())) {
            return Ok(());
        }
        cursor = page.next;
    }
}

fn write_script(script: &Path, began: &Path) -> Result<()> {
    let (began, worker) = (began.display(), programs::worker());
    let text = format!("#!/bin/sh\ndate +%s%N > '{began}'\nexec '{}'\n", worker.display());
    fs::write(script, text)?;
    fs::set_permissions(script, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
