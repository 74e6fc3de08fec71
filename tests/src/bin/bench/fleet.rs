//! Thousands of workers at one replica: `specwright serve` as a process of its own with the defaults
//! that users have; the workers in this one. Each says hello, keeps its stream of messages open, sends
//! a heartbeat every 10 s and one event a second; now and then one is said something. Load, control
//! API and database share the machine.
//!
//! What is measured: from the moment when an event is there to its acknowledgement; the most memory
//! that the control API held; and whether each acknowledged event is in the table, once.

pub(crate) mod http;
mod listener;
pub(crate) mod seats;
pub(crate) mod server;
pub(crate) mod worker;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use self::http::Connection;
use self::listener::Listeners;
use self::seats::{Seat, Table};
use self::server::{Server, TOKEN, load_average};
use self::worker::{Load, Worked, Worker};
use crate::database::Database;
use crate::figure::{Figure, percentile};

/// Between two events of one worker.
const EVERY: Duration = Duration::from_secs(1);
/// Between two heartbeats of one worker, as the control API asks for.
const BEATS: Duration = Duration::from_secs(10);
/// How many say hello at once: a fleet does not start in one moment.
const HELLOS_AT_ONCE: usize = 32;
/// From the last hello to the first event.
const LEAD: Duration = Duration::from_millis(500);
/// Files that are not connections.
const FILES_BESIDE: u64 = 200;
const P99_AIM_MS: f64 = 100.0;
const RESIDENT_AIM_MB: f64 = 600.0;

/// What the names of the figures are on one engine.
struct Names {
    rate: &'static str,
    p99: &'static str,
    lost: &'static str,
    resident: &'static str,
    message: &'static str,
}

const SQLITE: Names = Names {
    rate: "fleet_sqlite_rate_over_asked",
    p99: "fleet_sqlite_ingest_p99",
    lost: "fleet_sqlite_lost_or_doubled",
    resident: "fleet_sqlite_resident",
    message: "fleet_sqlite_message_p50",
};
const POSTGRES: Names = Names {
    rate: "fleet_postgres_rate_over_asked",
    p99: "fleet_postgres_ingest_p99",
    lost: "fleet_postgres_lost_or_doubled",
    resident: "fleet_postgres_resident",
    message: "fleet_postgres_message_p50",
};

pub(crate) async fn figures(
    url: Option<String>,
    workers: usize,
    lasts: Duration,
) -> Result<Vec<Figure>> {
    if let Some(url) = url {
        return on(&Database::at(url)?, workers, lasts).await;
    }
    let mut figures = on(&Database::sqlite()?, workers, lasts).await?;
    match Database::postgres()? {
        Some(database) => figures.extend(on(&database, workers, lasts).await?),
        None => {
            let why = "this machine has no PostgreSQL".to_owned();
            figures.push(Figure::skipped(POSTGRES.p99, "ms", why));
        }
    }
    Ok(figures)
}

/// What a fleet came to.
struct Fleet {
    worked: Vec<Worked>,
    /// From saying something to a worker to its push, in ms.
    pushed_ms: Vec<f64>,
    /// Events that are acknowledged and not in the table, or in it without that or twice.
    astray: u64,
    peak_mb: f64,
    /// Before the first worker came.
    alone_mb: f64,
    /// When the last one was there, and nothing was sent yet.
    ready_mb: f64,
    /// Cores that the control API used.
    cores: f64,
    load: String,
}

async fn on(database: &Database, workers: usize, lasts: Duration) -> Result<Vec<Figure>> {
    // One connection for requests and one for the stream each.
    may_open(2 * workers as u64 + FILES_BESIDE)?;
    let fleet = fleet(database, workers, lasts).await?;
    let refused: u64 = fleet.worked.iter().map(|one| one.refused).sum();
    let by_second = by_second(&fleet.worked);
    let took: Vec<f64> = fleet.worked.into_iter().flat_map(|one| one.took_ms).collect();
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let (events, asked) =
        (took.len() as f64, workers as f64 * (lasts.as_secs_f64() / EVERY.as_secs_f64()));
    let at = |of| percentile(&took, of).context("no event was taken");
    let (p50, p99, most) = (at(0.5)?, at(0.99)?, at(1.0)?);
    let names = if database.is_sqlite() { SQLITE } else { POSTGRES };
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let astray = fleet.astray as f64;
    let pushed = percentile(&fleet.pushed_ms, 0.5).unwrap_or_default();
    let most_pushed = percentile(&fleet.pushed_ms, 1.0).unwrap_or_default();
    Ok(vec![
        Figure::new(names.rate, events / asked, "ratio").at_least(0.99).beside(format!(
            "{events:.0} events of {workers} workers in {lasts:?}; {refused} batches had to come \
             again; load average {}",
            fleet.load
        )),
        Figure::new(names.p99, p99, "ms").aim(P99_AIM_MS).beside(format!(
            "p50 {p50:.1} ms, longest {most:.0} ms; p99 of each second: {by_second}; the control API \
             used {:.2} cores",
            fleet.cores
        )),
        Figure::new(names.lost, astray, "events")
            .aim(0.0)
            .beside("acknowledged, against the table"),
        Figure::new(names.resident, fleet.peak_mb, "MB").aim(RESIDENT_AIM_MB).beside(format!(
            "the most so far; {:.0} MB before the first worker, {:.0} MB when all were there",
            fleet.alone_mb, fleet.ready_mb
        )),
        Figure::new(names.message, pushed, "ms").beside(format!(
            "from saying it to its push; longest of {}: {most_pushed:.0} ms",
            fleet.pushed_ms.len()
        )),
    ])
}

/// The p99 of what was there in each second, in ms: whether it is slow all the time, or now and then.
fn by_second(worked: &[Worked]) -> String {
    let mut seconds: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for one in worked {
        for (second, took) in one.in_second.iter().zip(&one.took_ms) {
            seconds.entry(*second).or_default().push(*took);
        }
    }
    let p99 = |took: &Vec<f64>| format!("{:.0}", percentile(took, 0.99).unwrap_or_default());
    seconds.values().map(p99).collect::<Vec<_>>().join(" ")
}

/// Lets a fleet work, and compares what was acknowledged with what is stored.
async fn fleet(database: &Database, workers: usize, lasts: Duration) -> Result<Fleet> {
    let server = Server::start(&database.url).await?;
    let table = Table::open(database).await?;
    let seats = table.seats(template(server.address).await?, workers).await?;
    let alone_mb = server.resident_mb()?;
    let (listeners, workers) = take_seats(server.address, seats).await?;
    let ready_mb = server.resident_mb()?;

    let load = Load { begins: Instant::now() + LEAD, lasts, every: EVERY, beats: BEATS };
    let cpu = server.cpu_seconds()?;
    let said = listeners.say(server.address, load);
    let (worked, pushed_ms) = tokio::try_join!(all_work(workers, load), said)?;
    let cores = (server.cpu_seconds()? - cpu) / load.begins.elapsed().as_secs_f64();
    let load = load_average();
    let peak_mb = server.peak_mb()?;
    listeners.end().await?;
    let astray = astray(&worked, &table).await?;
    table.close().await;
    server.end().await;
    Ok(Fleet { worked, pushed_ms, astray, peak_mb, alone_mb, ready_mb, cores, load })
}

/// A spec that the others are made like.
pub(crate) async fn template(address: SocketAddr) -> Result<Uuid> {
    let mut owner = Connection::open(address, TOKEN).await?;
    let spec = json!({ "description": "Measure" }).to_string();
    let (status, answer) = owner.post("/api/v1/specs", spec).await?;
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&answer));
    let spec: Value = serde_json::from_slice(&answer)?;
    Ok(spec["id"].as_str().context("a spec without an id")?.parse()?)
}

/// Everybody says hello and opens its stream.
async fn take_seats(address: SocketAddr, seats: Vec<Seat>) -> Result<(Listeners, Vec<Worker>)> {
    let mut listeners = Listeners::default();
    let hellos = seats.into_iter().map(async |seat| {
        let worker = Worker::hello(address, seat).await?;
        let open = worker.messages(address).await?;
        anyhow::Ok((worker, open))
    });
    let mut hellos = stream::iter(hellos).buffer_unordered(HELLOS_AT_ONCE);
    let mut workers = Vec::new();
    while let Some((worker, (connection, body))) = hellos.try_next().await? {
        listeners.listen(worker.seat.sandbox, connection, body);
        workers.push(worker);
    }
    Ok((listeners, workers))
}

/// All work; their events are spread evenly over an interval.
pub(crate) async fn all_work(workers: Vec<Worker>, load: Load) -> Result<Vec<Worked>> {
    let mut working = JoinSet::new();
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let all = workers.len() as f64;
    for (at, worker) in workers.into_iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let share = at as f64 / all;
        working.spawn(worker.work(load, share));
    }
    let mut worked = Vec::new();
    while let Some(one) = working.join_next().await {
        worked.push(one??);
    }
    Ok(worked)
}

/// How many events are not where they should be: each acknowledged one in the table, once, and no
/// other.
pub(crate) async fn astray(worked: &[Worked], table: &Table) -> Result<u64> {
    let stored = table.stored().await?;
    let of_one = |one: &Worked| {
        let Some(stored) = stored.get(&one.sandbox) else { return one.acked };
        let acked = i64::try_from(one.acked).unwrap_or(i64::MAX);
        // From the first to the last without a hole: as many rows as numbers.
        let expected = [acked, 1, acked];
        let found = [stored.rows, stored.first, stored.last];
        found.iter().zip(expected).map(|(found, expected)| found.abs_diff(expected)).sum()
    };
    Ok(worked.iter().map(of_one).sum())
}

/// Lets this process, and what it starts, open so many files.
fn may_open(files: u64) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= files) {
        return Ok(());
    }
    let limit = Rlimit { current: Some(files), maximum: now.maximum };
    setrlimit(Resource::Nofile, limit)
        .with_context(|| format!("{files} files must be open at once; raise `ulimit -n`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fleet_loses_nothing_and_doubles_nothing() {
        let database = Database::sqlite().unwrap();
        let fleet = fleet(&database, 20, Duration::from_secs(3)).await.unwrap();
        assert_eq!(fleet.astray, 0);
        assert_eq!(fleet.worked.len(), 20);
        let acked: u64 = fleet.worked.iter().map(|one| one.acked).sum();
        let timed: usize = fleet.worked.iter().map(|one| one.took_ms.len()).sum();
        assert_eq!(acked, timed as u64, "each acknowledgement was timed");
        assert!(acked > 0 && !fleet.pushed_ms.is_empty());
    }
}
