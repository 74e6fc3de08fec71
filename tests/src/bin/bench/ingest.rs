//! How many events a second the control API takes in over HTTP, beside what the same database takes
//! by itself: the same table with the same indexes, rows of the same size, in the same minute.
//!
//! Two loads: batches of 50 events from eight workers, and single events from 32 workers. Each worker
//! waits for its answer before it sends on, as the real one does. Load, control API and database
//! share the machine. Product and database take turns, a second and a half each, several times: what
//! else the machine does meanwhile meets both.

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
use raw::Raw;
use worker::Worker;

/// How long each turn lasts.
const LASTS: Duration = Duration::from_millis(1500);
/// How often each has its turn.
const ROUNDS: usize = 4;
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
        let mut raw = Raw::beside(&database, &workers).await?;
        let mut taken = Rates::default();
        let mut inserted = Rates::default();
        for _ in 0..ROUNDS {
            report(&mut workers, 1, &mut taken.singles).await?;
            raw.insert(1, &mut inserted.singles).await?;
            report(&mut workers[..BATCHING], BATCH, &mut taken.batches).await?;
            raw.insert(BATCH, &mut inserted.batches).await?;
        }
        raw.close().await;
        anyhow::Ok((taken, inserted))
    };
    let worked = worked.await;
    shutdown.cancel();
    server.await?.context("the control API ended badly")?;
    let (taken, inserted) = worked?;
    let names = if database.is_sqlite() {
        ["ingest_batches_over_raw_sqlite", "ingest_singles_over_raw_sqlite"]
    } else {
        ["ingest_batches_over_raw_postgres", "ingest_singles_over_raw_postgres"]
    };
    let aim = if database.is_sqlite() { 0.4 } else { 0.6 };
    let (batches, raw_batches) = (taken.batches.per_second(), inserted.batches.per_second());
    let (singles, raw_singles) = (taken.singles.per_second(), inserted.singles.per_second());
    Ok(vec![
        Figure::new(names[0], batches / raw_batches, "ratio").at_least(aim).beside(format!(
            "{batches:.0} events/s over HTTP in batches of {BATCH} from {BATCHING} workers, p99 {:.1} \
             ms; raw {raw_batches:.0}/s",
            taken.batches.p99_ms()?,
        )),
        Figure::new(names[1], singles / raw_singles, "ratio").at_least(1.0).beside(format!(
            "{singles:.0} events/s over HTTP from {SINGLE} workers, p99 {:.1} ms; raw, 8 clients: \
             {raw_singles:.0}/s",
            taken.singles.p99_ms()?,
        )),
    ])
}

/// What was measured of both loads.
#[derive(Default)]
struct Rates {
    batches: Measured,
    singles: Measured,
}

/// What was measured of one load, over all turns.
#[derive(Default)]
struct Measured {
    events: usize,
    seconds: f64,
    took_ms: Vec<f64>,
}

impl Measured {
    fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let events = self.events as f64;
        events / self.seconds
    }

    fn p99_ms(&self) -> Result<f64> {
        let mut took = self.took_ms.clone();
        took.sort_by(f64::total_cmp);
        took.get(took.len() * 99 / 100).copied().context("nothing was sent")
    }
}

/// All workers send at once, each its next batch when the last one was taken.
async fn report(workers: &mut [Worker], batch: usize, measured: &mut Measured) -> Result<()> {
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
    measured.seconds += began.elapsed().as_secs_f64();
    for took in took.into_iter().flatten() {
        measured.took_ms.push(took);
        measured.events += batch;
    }
    Ok(())
}
