//! How many events a second the control API takes in over HTTP, beside what the same database takes
//! by itself: the same table with the same indexes, rows of the same size, in the same minute.
//!
//! Two loads: batches of 50 events from eight workers, and single events from 32 workers. Each worker
//! waits for its answer before it sends on, as the real one does. Load, control API and database
//! share the machine.

mod raw;
mod worker;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use specwright_control_api::{Config, OwnerToken, Rate, WorkerProgram, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::figure::Figure;
use worker::Worker;

/// How long each load lasts.
const LASTS: Duration = Duration::from_secs(5);
/// Events of a batch.
const BATCH: usize = 50;
/// Workers that send batches.
const BATCHING: usize = 8;
/// Workers that send single events.
const SINGLE: usize = 32;
const TOKEN: &str = "the-owners-token-of-a-bench-0123456789abcdef";

pub(crate) async fn figures(url: Option<String>) -> Result<Vec<Figure>> {
    if let Some(url) = url {
        return on(Database::at(url)?).await;
    }
    let mut figures = on(Database::sqlite()?).await?;
    match Database::postgres()? {
        Some(database) => figures.extend(on(database).await?),
        None => {
            let why = "this machine has no PostgreSQL".to_owned();
            figures.push(Figure::skipped("ingest_batches_over_raw_postgres", "ratio", why));
        }
    }
    Ok(figures)
}

async fn on(database: Database) -> Result<Vec<Figure>> {
    // The second database finds it installed.
    drop(rustls::crypto::ring::default_provider().install_default());
    let place = tempfile::tempdir()?;
    let waiting = WorkerProgram {
        program: "/bin/sh".into(),
        arguments: ["-c", "env >\"$STATE_DIR/env\"; exec sleep 600"].map(Into::into).into(),
    };
    let mut config = Config::new(place.path().join("data"), OwnerToken::new(TOKEN)?, waiting);
    config.database_url.clone_from(&database.url);
    config.environment = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
    config.end_sandboxes_on_shutdown = true;
    config.die_with_parent = true;
    // What is measured is the way in, not its gate.
    let free = Rate { per_second: 1_000_000, burst: 10_000_000 };
    (config.rates.person, config.rates.sandbox, config.rates.events) = (free, free, free);
    let data = config.data_dir.clone();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let base = format!("http://{}", listener.local_addr()?);
    let shutdown = CancellationToken::new();
    // Also when this is given up half-way.
    let _ends_with_us = shutdown.clone().drop_guard();
    let server = tokio::spawn(serve(config, listener, shutdown.clone()));
    let worked = async {
        let mut workers = Vec::new();
        for _ in 0..SINGLE {
            workers.push(Worker::start(&base, TOKEN, &data).await?);
        }
        let singles = rate(&mut workers, 1).await?;
        let batches = rate(&mut workers[..BATCHING], BATCH).await?;
        let raw = raw::rates(&database, &workers).await?;
        anyhow::Ok((singles, batches, raw))
    };
    let worked = worked.await;
    shutdown.cancel();
    server.await?.context("the control API ended badly")?;
    let (singles, batches, raw) = worked?;
    let names = if database.is_sqlite() {
        ["ingest_batches_over_raw_sqlite", "ingest_singles_over_raw_sqlite"]
    } else {
        ["ingest_batches_over_raw_postgres", "ingest_singles_over_raw_postgres"]
    };
    let aim = if database.is_sqlite() { 0.4 } else { 0.6 };
    Ok(vec![
        Figure::new(names[0], batches.per_second / raw.batches, "ratio").at_least(aim).beside(
            format!(
                "{:.0} events/s over HTTP in batches of {BATCH} from {BATCHING} workers, p99 {:.1} \
                 ms; raw {:.0}/s",
                batches.per_second, batches.p99_ms, raw.batches
            ),
        ),
        Figure::new(names[1], singles.per_second / raw.singles, "ratio").at_least(1.0).beside(
            format!(
                "{:.0} events/s over HTTP from {SINGLE} workers, p99 {:.1} ms; raw, 8 clients: {:.0}/s",
                singles.per_second, singles.p99_ms, raw.singles
            ),
        ),
    ])
}

struct Measured {
    per_second: f64,
    p99_ms: f64,
}

/// All workers send at once, each its next batch when the last one was taken.
async fn rate(workers: &mut [Worker], batch: usize) -> Result<Measured> {
    let began = Instant::now();
    let sent = workers.iter_mut().map(|worker| async move {
        let mut took = Vec::new();
        while began.elapsed() < LASTS {
            let sent = Instant::now();
            worker.report(batch).await?;
            took.push(sent.elapsed().as_secs_f64() * 1e3);
        }
        anyhow::Ok(took)
    });
    let took = futures_util::future::try_join_all(sent).await?;
    let seconds = began.elapsed().as_secs_f64();
    let mut took: Vec<f64> = took.into_iter().flatten().collect();
    took.sort_by(f64::total_cmp);
    let p99_ms = took.get(took.len() * 99 / 100).copied().context("nothing was sent")?;
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let events = (took.len() * batch) as f64;
    Ok(Measured { per_second: events / seconds, p99_ms })
}
