//! Between replicas: three control APIs on one PostgreSQL. Workers report to one, and who watches their
//! specs is connected to the two others.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;

use super::subscriber::{Subscriber, all_seen};
use super::{BEATS, EVERY, LEAD};
use crate::database::Database;
use crate::figure::{Figure, percentile};
use crate::fleet::seats::Table;
use crate::fleet::server::{Server, load_average};
use crate::fleet::worker::{Load, Worker};
use crate::fleet::{all_work, astray, template};

/// 200 events a second: three control APIs, the database and the load share the machine.
const WORKERS: usize = 10;
const AIM_MS: f64 = 50.0;
const P99: &str = "stream_replicas_p99";
const LOST: &str = "stream_replicas_lost_or_doubled";

pub(super) async fn figures(database: &Database, lasts: Duration) -> Result<Vec<Figure>> {
    let Between { took_ms, astray, load } = between(database, WORKERS, lasts).await?;
    let at = |of| percentile(&took_ms, of).context("nothing was seen");
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let (astray, rate) = (astray as f64, took_ms.len() as f64 / lasts.as_secs_f64());
    Ok(vec![
        Figure::new(P99, at(0.99)?, "ms").aim(AIM_MS).beside(format!(
            "from an event at one of three replicas to a subscriber of another, {rate:.0} events/s; \
             p50 {:.1} ms, longest {:.0} ms; load average {load}",
            at(0.5)?,
            at(1.0)?
        )),
        Figure::new(LOST, astray, "events")
            .aim(0.0)
            .beside("seen at the other replicas and stored, against what was acknowledged"),
    ])
}

pub(super) fn skipped(why: String) -> Figure {
    Figure::skipped(P99, "ms", why)
}

/// What was seen at another replica than the one that took it in.
pub(super) struct Between {
    pub(super) took_ms: Vec<f64>,
    /// Events that were acknowledged and not stored or seen exactly once.
    pub(super) astray: u64,
    load: String,
}

pub(super) async fn between(
    database: &Database,
    workers: usize,
    lasts: Duration,
) -> Result<Between> {
    let one = Server::start(&database.url).await?;
    let others = [Server::start(&database.url).await?, Server::start(&database.url).await?];
    let table = Table::open(database).await?;
    let seats = table.seats(template(one.address).await?, workers).await?;
    let (mut ready, mut subscribers) = (Vec::new(), Vec::new());
    for (seat, other) in seats.iter().zip(others.iter().cycle()) {
        let path = format!("/api/v1/specs/{}/events/stream", seat.spec);
        subscribers.push(Subscriber::open(other.address, &path).await?);
        ready.push(Worker::hello(one.address, seat.clone()).await?);
    }
    let load = Load { begins: Instant::now() + LEAD, lasts, every: EVERY, beats: BEATS };
    let worked = all_work(ready, load).await?;
    let load = load_average();
    let seen = all_seen(&worked, &seats, subscribers).await?;
    let (took_ms, astray) = (seen.took_ms, astray(&worked, &table).await? + seen.disorder);
    table.close().await;
    for server in others.into_iter().chain([one]) {
        server.end().await;
    }
    Ok(Between { took_ms, astray, load })
}
