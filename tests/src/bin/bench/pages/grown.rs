//! What it costs to take events in when the table has grown, beside a table that has not: two control
//! APIs on two PostgreSQLs take batches in turns, so that what else the machine does meets both.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fill::{execute, written};
use crate::database::Database;
use crate::figure::{Figure, median};
use crate::fleet::http::Connection;
use crate::fleet::seats::Table;
use crate::fleet::server::{Server, load_average};
use crate::fleet::template;

/// Workers that send at once.
const WORKERS: usize = 8;
/// Each turn has others, until all had one: in the long run a worker may send 2,000 events a second, and
/// eight of them at once would send several times as many.
const SHIFTS: usize = 4;
/// Events of a batch.
const BATCH: u64 = 50;
/// How often each of the two has its turn.
const TURNS: usize = 6;
const TURN: Duration = Duration::from_secs(2);
/// What one event may cost more than on an empty table.
const COST_AIM: f64 = 1.2;
/// Rows that one statement adds.
const CHUNK: u32 = 250_000;
/// Events of one spec.
const EVENTS: u32 = 1000;
const NAME: &str = "pages_postgres_ingest_cost_when_grown";

/// Specs, their sandboxes and events, numbered from `{from}` up to `{to}`.
const SPECS: &str = "
    INSERT INTO specs (
        id, project_id, owner, title, description, status, current_phase, rehearsal,
        cost_micro_usd, events, created_at, updated_at
    )
    SELECT {id: i}, (SELECT id FROM projects LIMIT 1), 'owner', 'Old', 'Old', 'completed',
           'complete', FALSE, 0, 1000, '{time}', '{time}'
    FROM generate_series({from}, {to}) AS numbers (i)";
const SANDBOXES: &str = "
    INSERT INTO sandboxes (
        id, spec_id, state, provider, token_hash, generation, acked_seq, messages, cost_micro_usd,
        lease_expires_at, agent, options, created_at, ended_at
    )
    SELECT {id: i}, {id: i}, 'ended', 'local', decode(md5(i::TEXT), 'hex'), 1, 1000, 0, 0, '{time}',
           'claude', '{}', '{time}', '{time}'
    FROM generate_series({from}, {to}) AS numbers (i)";
const OLD_EVENTS: &str = "
    INSERT INTO events (
        spec_id, position, sandbox_id, seq, id, kind, phase, at, received_at, data
    )
    SELECT {id: i / 1000}, i % 1000 + 1, {id: i / 1000}, i % 1000 + 1, gen_random_uuid(),
           'spec.progress', 'explore', '{time}', '{time}', '{\"message\": \"{line}{line}\"}'
    FROM generate_series({from}, {to}) AS numbers (i)";

pub(crate) async fn figures(url: Option<String>, rows: u32) -> Result<Vec<Figure>> {
    let Some(empty) = Database::postgres()? else {
        let why = "this machine has no PostgreSQL".to_owned();
        return Ok(vec![Figure::skipped(NAME, "ratio", why)]);
    };
    let grown = match url {
        Some(url) => Database::at(url)?,
        None => Database::postgres()?.context("the second PostgreSQL")?,
    };
    ensure!(!grown.is_sqlite(), "this is measured on PostgreSQL");
    let grown = Ground::start(&grown).await?;
    let began = Instant::now();
    grow(&grown.table, rows).await?;
    let filled_in = began.elapsed().as_secs();
    // Only now: a worker that says nothing while a table is filled is lost by then.
    let (mut empty, mut grown) = (Ground::start(&empty).await?.side().await?, grown.side().await?);
    // One turn each that does not count.
    empty.turn().await?;
    grown.turn().await?;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        before.push(empty.turn().await?);
        after.push(grown.turn().await?);
    }
    empty.end().await;
    grown.end().await;
    let before = median(before).context("nothing was measured")?;
    let after = median(after).context("nothing was measured")?;
    let figure = Figure::new(NAME, before / after, "ratio").aim(COST_AIM).beside(format!(
        "{after:.0} events/s with {rows} rows before (filled in {filled_in} s), {before:.0} with \
         none; batches of {BATCH} from {WORKERS} workers; load average {}",
        load_average()
    ));
    Ok(vec![figure])
}

async fn grow(table: &Table, rows: u32) -> Result<()> {
    for sql in [SPECS, SANDBOXES] {
        grow_by(table, sql, 0, rows / EVENTS).await?;
    }
    let mut from = 0;
    while from < rows {
        let to = rows.min(from + CHUNK) - 1;
        grow_by(table, OLD_EVENTS, from, to).await?;
        from = to + 1;
    }
    // As its autovacuum does in time.
    execute(table, "VACUUM ANALYZE".to_owned()).await
}

async fn grow_by(table: &Table, sql: &str, from: u32, to: u32) -> Result<()> {
    let sql = sql.replace("{from}", &from.to_string()).replace("{to}", &to.to_string());
    execute(table, written(table, &sql)?).await
}

/// A control API on a database of its own.
struct Ground {
    server: Server,
    table: Table,
    /// A spec in a project, like which all are made.
    template: Uuid,
}

/// The same, and those who send to it.
struct Side {
    server: Server,
    table: Table,
    workers: Vec<Sender>,
    /// Whose turn it is.
    shift: usize,
}

impl Ground {
    async fn start(database: &Database) -> Result<Self> {
        let server = Server::start(&database.url).await?;
        let template = template(server.address).await?;
        Ok(Self { server, table: Table::open(database).await?, template })
    }

    async fn side(self) -> Result<Side> {
        let Self { server, table, template } = self;
        let seats = table.seats(template, WORKERS * SHIFTS).await?;
        let mut workers = Vec::new();
        for seat in seats {
            let mut connection = Connection::open(server.address, &seat.token).await?;
            let hello = json!({
                "protocol": 1, "worker_version": "bench", "boot_id": Uuid::now_v7(),
            });
            let path = format!("/api/v1/sandboxes/{}", seat.sandbox);
            let answer = post(&mut connection, &format!("{path}/hello"), &hello).await?;
            let generation = answer["generation"].as_u64().context("no generation")?;
            let path = format!("{path}/events");
            workers.push(Sender { connection, path, generation, acked: 0 });
        }
        Ok(Side { server, table, workers, shift: 0 })
    }
}

impl Side {
    /// All of a shift send at once, each its next batch when the last one was taken; events a second.
    async fn turn(&mut self) -> Result<f64> {
        let first = WORKERS * (self.shift % SHIFTS);
        self.shift += 1;
        let began = Instant::now();
        let sent = self.workers[first..first + WORKERS].iter_mut().map(|worker| worker.send(began));
        let sent: u32 = futures_util::future::try_join_all(sent).await?.into_iter().sum();
        Ok(f64::from(sent) / began.elapsed().as_secs_f64())
    }

    async fn end(self) {
        self.table.close().await;
        self.server.end().await;
    }
}

struct Sender {
    connection: Connection,
    path: String,
    generation: u64,
    acked: u64,
}

impl Sender {
    async fn send(&mut self, began: Instant) -> Result<u32> {
        let before = self.acked;
        while began.elapsed() < TURN {
            let last = self.acked + BATCH;
            let events: Vec<Value> = (self.acked + 1..=last)
                .map(|seq| {
                    json!({
                        "seq": seq, "id": Uuid::now_v7(), "type": "spec.progress",
                        "phase": "explore", "at": "2026-11-01T12:00:00.123456Z",
                        "data": { "message": "x".repeat(170) },
                    })
                })
                .collect();
            let batch = json!({ "generation": self.generation, "events": events });
            let answer = post(&mut self.connection, &self.path, &batch).await?;
            ensure!(answer["acked"] == last, "{answer}");
            self.acked = last;
        }
        Ok(u32::try_from(self.acked - before)?)
    }
}

async fn post(connection: &mut Connection, path: &str, body: &Value) -> Result<Value> {
    let (status, answer) = connection.post(path, body.to_string()).await?;
    ensure!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&answer));
    Ok(serde_json::from_slice(&answer)?)
}
