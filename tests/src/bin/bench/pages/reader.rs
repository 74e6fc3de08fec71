//! Somebody who reads over HTTP, one request after the other.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use axum::body::{Bytes, to_bytes};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::fill::token;
use crate::fleet::http::Connection;

/// No page is larger.
const PAGE_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Items of a page where many are read: the most that there may be.
const LIMIT: usize = 200;
/// The same of a log.
const EVENTS_LIMIT: usize = 1_000;
/// What stands before each event of a stream, and nowhere else: JSON has no line breaks.
const FRAME: &[u8] = b"\ndata: {";

pub(super) struct Reader {
    pub(super) address: SocketAddr,
    pub(super) user: Uuid,
}

/// Some readings of a page.
pub(super) struct Read {
    pub(super) took_ms: Vec<f64>,
    pub(super) bytes: usize,
}

/// A page whose items are not looked into.
#[derive(Deserialize)]
struct Page<'p> {
    #[serde(borrow)]
    items: Vec<&'p RawValue>,
    next: Option<String>,
}

impl Reader {
    /// A connection with a token of its own: what one measurement asks does not count against another's
    /// rate.
    async fn connection(&self) -> Result<Connection> {
        Connection::open(self.address, &token(self.address, self.user).await?).await
    }

    /// Reads a page so many times, after some that do not count.
    pub(super) async fn times(&self, path: &str, times: usize) -> Result<Read> {
        let mut connection = self.connection().await?;
        let mut read = Read { took_ms: Vec::new(), bytes: 0 };
        for _ in 0..times / 10 {
            read.bytes = get(&mut connection, path).await?.len();
        }
        for _ in 0..times {
            let began = Instant::now();
            get(&mut connection, path).await?;
            read.took_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(read)
    }

    /// How long it takes until so many events have come through a stream.
    pub(super) async fn replay_stream(&self, path: &str, events: usize) -> Result<f64> {
        let mut connection = self.connection().await?;
        let began = Instant::now();
        let mut body = connection.stream(path).await?.into_data_stream();
        let (mut seen, mut kept) = (0, Vec::new());
        while seen < events {
            let bytes = body.next().await.context("the stream ended early")??;
            kept.extend_from_slice(&bytes);
            seen += memmem(&kept);
            // A mark may be cut in two.
            let last = kept.len().saturating_sub(FRAME.len() - 1);
            kept.drain(..last);
        }
        ensure!(seen == events, "{seen} events came");
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    /// How long it takes to read so many events page by page.
    pub(super) async fn replay_pages(&self, path: &str, events: usize) -> Result<f64> {
        let mut connection = self.connection().await?;
        let began = Instant::now();
        let (mut seen, mut after) = (0, String::new());
        while seen < events {
            let body = get(&mut connection, &format!("{path}?limit={EVENTS_LIMIT}{after}")).await?;
            let page: Page<'_> = serde_json::from_slice(&body)?;
            ensure!(!page.items.is_empty(), "the log ended after {seen} events");
            seen += page.items.len();
            after = format!("&after={}", page.next.context("no cursor")?);
        }
        ensure!(seen == events, "{seen} events came");
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    /// A page of a column half-way down.
    pub(super) async fn middle_of_the_board(&self) -> Result<String> {
        let first = format!("/api/v1/board?phase=PHASE_INITIAL&limit={LIMIT}");
        let next = |page: &Value| page["columns"][0]["next"].as_str().map(str::to_owned);
        let places = self.walk(&first, next).await?;
        let middle = places.get(places.len() / 2).context("the board has one page")?;
        Ok(format!("/api/v1/board?phase=PHASE_INITIAL&after={middle}"))
    }

    /// A page of the specs half-way down.
    pub(super) async fn middle_of_the_specs(&self) -> Result<String> {
        let first = format!("/api/v1/specs?limit={LIMIT}");
        let places = self.walk(&first, |page| page["next"].as_str().map(str::to_owned)).await?;
        let middle = places.get(places.len() / 2).context("the specs are one page")?;
        Ok(format!("/api/v1/specs?after={middle}"))
    }

    /// The cursors of a list, to its end.
    async fn walk(
        &self,
        first: &str,
        next: impl Fn(&Value) -> Option<String>,
    ) -> Result<Vec<String>> {
        let mut connection = self.connection().await?;
        let (mut places, mut path) = (Vec::new(), first.to_owned());
        loop {
            let page = serde_json::from_slice(&get(&mut connection, &path).await?)?;
            let Some(place) = next(&page) else { return Ok(places) };
            path = format!("{first}&after={place}");
            places.push(place);
        }
    }
}

async fn get(connection: &mut Connection, path: &str) -> Result<Bytes> {
    Ok(to_bytes(connection.stream(path).await?, PAGE_MAX_BYTES).await?)
}

/// How often the mark stands in it.
fn memmem(bytes: &[u8]) -> usize {
    bytes.windows(FRAME.len()).filter(|window| *window == FRAME).count()
}
