//! From an event to a subscriber: how long after a worker has it somebody who watches sees it, at
//! 1,000 events a second.
//!
//! `specwright serve` is a process of its own. Fifty workers in this one send 20 events a second each,
//! one at a time; each spec has a subscriber, and one subscriber watches all. Between a worker's event
//! and the subscriber lie the request, the commit and the push. Beside it, on the same database in the
//! same run: how long one such row and its commit take alone. On PostgreSQL also between replicas
//! ([`replicas`]). What lies before a worker's event, from the agent's line on, is measured with real
//! workers ([`agent_line`]).

mod agent_line;
mod raw;
mod replicas;
mod subscriber;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;

use crate::database::Database;
use crate::figure::{Figure, percentile};
use crate::fleet::seats::Table;
use crate::fleet::server::{Server, load_average};
use crate::fleet::worker::{Load, Worker};
use crate::fleet::{all_work, astray, template};
use subscriber::{Subscriber, all_seen};

const WORKERS: usize = 50;
/// Between two events of one worker: 1,000 a second from all.
const EVERY: Duration = Duration::from_millis(50);
const LASTS: Duration = Duration::from_secs(10);
const BEATS: Duration = Duration::from_secs(10);
/// From the last hello to the first event.
const LEAD: Duration = Duration::from_millis(200);
const P50_AIM_MS: f64 = 5.0;
const P99_AIM_MS: f64 = 25.0;

/// What the names of the figures are on one engine.
struct Names {
    p50: &'static str,
    p99: &'static str,
    over_raw: &'static str,
    all: &'static str,
    lost: &'static str,
}

const SQLITE: Names = Names {
    p50: "stream_sqlite_p50",
    p99: "stream_sqlite_p99",
    over_raw: "stream_sqlite_p50_over_raw_commit",
    all: "stream_sqlite_of_all_p50",
    lost: "stream_sqlite_lost_or_doubled",
};
const POSTGRES: Names = Names {
    p50: "stream_postgres_p50",
    p99: "stream_postgres_p99",
    over_raw: "stream_postgres_p50_over_raw_commit",
    all: "stream_postgres_of_all_p50",
    lost: "stream_postgres_lost_or_doubled",
};

pub(crate) async fn figures(url: Option<String>) -> Result<Vec<Figure>> {
    if let Some(url) = url {
        let database = Database::at(url)?;
        let mut figures = on(&database).await?;
        figures.extend(agent_line::figures(&database, LASTS).await?);
        if !database.is_sqlite() {
            figures.extend(replicas::figures(&database, LASTS).await?);
        }
        return Ok(figures);
    }
    let mut figures = on(&Database::sqlite()?).await?;
    figures.extend(agent_line::figures(&Database::sqlite()?, LASTS).await?);
    match Database::postgres()? {
        Some(database) => {
            figures.extend(on(&database).await?);
            figures.extend(agent_line::figures(&database, LASTS).await?);
            figures.extend(replicas::figures(&database, LASTS).await?);
        }
        None => {
            let why = "this machine has no PostgreSQL".to_owned();
            figures.push(Figure::skipped(POSTGRES.p50, "ms", why.clone()));
            figures.push(agent_line::skipped(why.clone()));
            figures.push(replicas::skipped(why));
        }
    }
    Ok(figures)
}

async fn on(database: &Database) -> Result<Vec<Figure>> {
    let Watch { took_ms, of_all_ms, acked_ms, events, astray, cores, raw_ms, load } =
        watch(database, WORKERS, LASTS).await?;
    let names = if database.is_sqlite() { SQLITE } else { POSTGRES };
    let at = |of| percentile(&took_ms, of).context("nothing was seen");
    let (p50, p99, most) = (at(0.5)?, at(0.99)?, at(1.0)?);
    let raw = |of| percentile(&raw_ms, of).context("no raw commit");
    let (raw_p50, raw_p99) = (raw(0.5)?, raw(0.99)?);
    let of_all = |of| percentile(&of_all_ms, of).context("nothing was seen of all");
    let acked = |of| percentile(&acked_ms, of).context("nothing was acknowledged");
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let (astray, rate) = (astray as f64, events as f64 / LASTS.as_secs_f64());
    Ok(vec![
        Figure::new(names.p50, p50, "ms").aim(P50_AIM_MS).beside(format!(
            "from a worker's event to the spec's subscriber, {rate:.0} events/s; acknowledged: p50 \
             {:.1} ms; the control API used {cores:.2} cores; load average {load}",
            acked(0.5)?
        )),
        Figure::new(names.p99, p99, "ms").aim(P99_AIM_MS).beside(format!(
            "longest {most:.0} ms; acknowledged: p99 {:.1} ms",
            acked(0.99)?
        )),
        Figure::new(names.over_raw, p50 / raw_p50, "ratio").beside(format!(
            "one row and its commit alone on this database: p50 {raw_p50:.2} ms, p99 {raw_p99:.2} ms"
        )),
        Figure::new(names.all, of_all(0.5)?, "ms").beside(format!(
            "one who watches all; p99 {:.1} ms; bursts of 10 ms are taken together",
            of_all(0.99)?
        )),
        Figure::new(names.lost, astray, "events")
            .aim(0.0)
            .beside("seen by the subscribers and stored, against what was acknowledged"),
    ])
}

/// What was seen.
struct Watch {
    /// From an event to the subscriber of its spec, in ms.
    took_ms: Vec<f64>,
    /// The same to who watches all.
    of_all_ms: Vec<f64>,
    /// To the acknowledgement.
    acked_ms: Vec<f64>,
    events: usize,
    /// Events that were acknowledged and not stored or seen exactly once by both.
    astray: u64,
    /// Cores that the control API used.
    cores: f64,
    /// One row and its commit.
    raw_ms: Vec<f64>,
    load: String,
}

async fn watch(database: &Database, workers: usize, lasts: Duration) -> Result<Watch> {
    let server = Server::start(&database.url).await?;
    let table = Table::open(database).await?;
    let seats = table.seats(template(server.address).await?, workers).await?;
    let all = "/api/v1/events/stream";
    let of_all = Subscriber::open(server.address, all).await?;
    let (mut ready, mut subscribers) = (Vec::new(), Vec::new());
    for seat in &seats {
        let path = format!("/api/v1/specs/{}/events/stream", seat.spec);
        subscribers.push(Subscriber::open(server.address, &path).await?);
        ready.push(Worker::hello(server.address, seat.clone()).await?);
    }
    let load = Load { begins: Instant::now() + LEAD, lasts, every: EVERY, beats: BEATS };
    let cpu = server.cpu_seconds()?;
    let worked = all_work(ready, load).await?;
    let cores = (server.cpu_seconds()? - cpu) / load.begins.elapsed().as_secs_f64();
    let load = load_average();
    let events: u64 = worked.iter().map(|one| one.acked).sum();
    let mut astray = astray(&worked, &table).await?;
    let seen = all_seen(&worked, &seats, subscribers).await?;
    astray += seen.disorder;
    let took_ms = seen.took_ms;
    let of_all = of_all.until(events).await?;
    astray += of_all.disorder + (of_all.took_ms.len() as u64).abs_diff(events);
    let raw_ms = raw::commits(&table, &seats).await?;
    table.close().await;
    server.end().await;
    let acked_ms: Vec<f64> = worked.into_iter().flat_map(|one| one.took_ms).collect();
    ensure!(!acked_ms.is_empty(), "nothing was sent");
    let events = acked_ms.len();
    Ok(Watch { took_ms, of_all_ms: of_all.took_ms, acked_ms, events, astray, cores, raw_ms, load })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn subscribers_see_each_event_once() {
        let database = Database::sqlite().unwrap();
        let watch = watch(&database, 5, Duration::from_secs(2)).await.unwrap();
        assert_eq!(watch.astray, 0);
        assert!(watch.events > 0);
        assert_eq!(watch.took_ms.len(), watch.events);
        assert_eq!(watch.of_all_ms.len(), watch.events);
    }

    #[tokio::test]
    async fn subscribers_see_each_line_of_real_agents_once_and_in_order() {
        let database = Database::sqlite().unwrap();
        let lines = agent_line::lines(&database, 2, Duration::from_secs(2)).await.unwrap();
        assert_eq!(lines.astray, 0);
        assert!(!lines.took_ms.is_empty());
    }

    #[tokio::test]
    async fn subscribers_of_other_replicas_see_each_event_once() {
        let Some(database) = Database::postgres().unwrap() else {
            eprintln!("NOT run: this machine has no PostgreSQL");
            return;
        };
        let lasts = Duration::from_secs(2);
        let between = replicas::between(&database, 4, lasts).await.unwrap();
        assert_eq!(between.astray, 0);
        assert!(!between.took_ms.is_empty());
    }
}
