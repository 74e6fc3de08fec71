//! A worker's side of the wire, without a worker: hello, events as they fall due, heartbeats, and an
//! open stream of messages.
//!
//! Like the real one it has one batch under way at a time: what falls due meanwhile goes with the next,
//! and its time counts from when it fell due. What is refused for now is sent again.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use axum::body::Body;
use serde_json::{Value, json};
use specwright_shared::liveness::Signals;
use specwright_shared::wire::PROTOCOL;
use specwright_shared::wire::sandbox::{Ack, BATCH_MAX_EVENTS, Heartbeat};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::http::Connection;
use super::seats::Seat;

/// What fills an event up to 330 bytes.
const PADDING: usize = 150;
/// How long to wait before what was refused is sent again, as the real worker does at first.
const AGAIN: Duration = Duration::from_millis(100);
/// How often one batch may be refused before the measurement breaks.
const REFUSED_MAX: u64 = 200;

/// What all workers are to do.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) begins: Instant,
    pub(crate) lasts: Duration,
    /// Between two events of one worker.
    pub(crate) every: Duration,
    /// Between two of its heartbeats.
    pub(crate) beats: Duration,
}

/// What one worker did.
pub(crate) struct Worked {
    pub(crate) sandbox: Uuid,
    pub(crate) acked: u64,
    /// From the moment when each event was there until it was acknowledged.
    pub(crate) took_ms: Vec<f64>,
    /// In which second of the load each was there.
    pub(crate) in_second: Vec<usize>,
    /// How often it was told to come again.
    pub(crate) refused: u64,
}

pub(crate) struct Worker {
    pub(crate) seat: Seat,
    connection: Connection,
    generation: u64,
    acked: u64,
}

impl Worker {
    /// Takes a seat and says hello.
    pub(crate) async fn hello(address: SocketAddr, seat: Seat) -> Result<Self> {
        let mut connection = Connection::open(address, &seat.token).await?;
        let hello = json!({
            "protocol": PROTOCOL, "worker_version": "bench", "boot_id": Uuid::now_v7(),
        });
        let path = format!("/api/v1/sandboxes/{}/hello", seat.sandbox);
        let (status, answer) = connection.post(&path, hello.to_string()).await?;
        ensure!(status.is_success(), "hello: {status}: {}", String::from_utf8_lossy(&answer));
        let welcome: Value = serde_json::from_slice(&answer)?;
        let generation = welcome["generation"].as_u64().context("no generation")?;
        Ok(Self { seat, connection, generation, acked: 0 })
    }

    /// Opens its stream of messages on a connection of its own, which is to be kept.
    pub(crate) async fn messages(&self, address: SocketAddr) -> Result<(Connection, Body)> {
        let mut connection = Connection::open(address, &self.seat.token).await?;
        let path = format!("/api/v1/sandboxes/{}/messages/stream?after=0", self.seat.sandbox);
        let body = connection.stream(&path).await?;
        Ok((connection, body))
    }

    /// Works until the load ends. `share` of an interval later than others.
    pub(crate) async fn work(mut self, load: Load, share: f64) -> Result<Worked> {
        let end = load.begins + load.lasts;
        let mut due = load.begins + load.every.mul_f64(share);
        let mut beat = load.begins + load.beats.mul_f64(share);
        let (mut took_ms, mut in_second, mut refused) = (Vec::new(), Vec::new(), 0);
        while due.min(beat) < end {
            let next = due.min(beat);
            // Who was busy when an event fell due makes it wait; a timer that rings late does not.
            let idle = Instant::now() < next;
            sleep_until(next).await;
            let now = Instant::now();
            if beat <= now {
                self.beat().await?;
                beat += load.beats;
            }
            let mut lines = Vec::new();
            while due <= now && due < end && lines.len() < BATCH_MAX_EVENTS {
                lines.push(if idle { now } else { due });
                due += load.every;
            }
            if lines.is_empty() {
                continue;
            }
            let batch = self.batch(&lines)?;
            let mut tries = 0;
            while !self.report(&batch, lines.len() as u64).await? {
                tries += 1;
                ensure!(tries < REFUSED_MAX, "a batch was refused {tries} times");
                sleep(AGAIN).await;
            }
            refused += tries;
            took_ms.extend(lines.iter().map(|line| line.elapsed().as_secs_f64() * 1e3));
            let since = |line: &Instant| line.duration_since(load.begins).as_secs();
            in_second.extend(lines.iter().map(|line| since(line) as usize));
        }
        Ok(Worked { sandbox: self.seat.sandbox, acked: self.acked, took_ms, in_second, refused })
    }

    /// A batch; each event says when it was there, in microseconds of the clock.
    fn batch(&self, lines: &[Instant]) -> Result<String> {
        let mut batch = format!("{{\"generation\":{},\"events\":[", self.generation);
        for (seq, line) in (self.acked + 1..).zip(lines) {
            let comma = if seq == self.acked + 1 { "" } else { "," };
            let (id, at) =
                (Uuid::now_v7(), micros_of_the_clock()?.saturating_sub(line.elapsed().as_micros()));
            write!(
                batch,
                "{comma}{{\"seq\":{seq},\"id\":\"{id}\",\"type\":\"spec.progress\",\
                 \"phase\":\"explore\",\"at\":\"2026-11-01T12:00:00.123456Z\",\
                 \"data\":{{\"message\":\"{at} {:x<PADDING$}\"}}}}",
                ""
            )?;
        }
        batch.push_str("]}");
        Ok(batch)
    }

    /// Sends a batch; `false`: it is to come again.
    async fn report(&mut self, batch: &str, events: u64) -> Result<bool> {
        let path = format!("/api/v1/sandboxes/{}/events", self.seat.sandbox);
        let (status, answer) = self.connection.post(&path, batch.to_owned()).await?;
        if matches!(status.as_u16(), 429 | 503) {
            return Ok(false);
        }
        ensure!(status.is_success(), "events: {status}: {}", String::from_utf8_lossy(&answer));
        let ack: Ack = serde_json::from_slice(&answer)?;
        self.acked += events;
        ensure!(ack.acked == self.acked && !ack.ended, "{ack:?} after {}", self.acked);
        Ok(true)
    }

    async fn beat(&mut self) -> Result<()> {
        let heartbeat = Heartbeat {
            generation: self.generation,
            phase: None,
            attempt: None,
            operation: Some("tool Grep".to_owned()),
            agent_alive: true,
            spool_depth: 0,
            signals: Some(Signals { event_age_ms: Some(500), ..Signals::default() }),
        };
        let path = format!("/api/v1/sandboxes/{}/heartbeat", self.seat.sandbox);
        let heartbeat = serde_json::to_string(&heartbeat)?;
        let (status, answer) = self.connection.post(&path, heartbeat).await?;
        // One that is refused for now is followed by the next.
        let fine = status.is_success() || matches!(status.as_u16(), 429 | 503);
        ensure!(fine, "heartbeat: {status}: {}", String::from_utf8_lossy(&answer));
        Ok(())
    }
}

/// What the clock says, in microseconds.
pub(crate) fn micros_of_the_clock() -> Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())
}
