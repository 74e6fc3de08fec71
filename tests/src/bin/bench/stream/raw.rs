//! What the machine takes by itself: for one row in the product's own table with its indexes, one client,
//! each row committed alone; and for one line at the end of a file, each durable before the next.

use std::io::Write as _;
use std::path::Path;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use crate::fleet::seats::{Seat, Table};

/// So many are enough for a hundredth of them.
const ROWS: i64 = 500;
/// Where these rows begin: far behind those of the product.
const FIRST: i64 = 1 << 40;
/// About as much as an event of a worker in its spool.
const LINE_BYTES: usize = 300;
const INSERT: &str = "
    INSERT INTO events (
        spec_id, position, sandbox_id, seq, id, kind, phase, at, received_at, data
    )
    VALUES ($1, $2, $3, $4, $5, 'spec.progress', 'explore', $6, $6, $7)";

/// How long each row and its commit took, in ms.
pub(super) async fn commits(table: &Table, seats: &[Seat]) -> Result<Vec<f64>> {
    let seat = seats.first().context("no sandbox")?;
    let mut took_ms = Vec::new();
    for number in FIRST..FIRST + ROWS {
        let data = Json(serde_json::json!({ "message": "x".repeat(170) }));
        let (now, id) = (DateTime::<Utc>::from(SystemTime::now()), Uuid::now_v7());
        let began = Instant::now();
        // The two databases' statements are of different types, and otherwise the same.
        macro_rules! insert_into {
            ($pool:expr) => {
                sqlx::query(INSERT)
                    .bind(seat.spec)
                    .bind(number)
                    .bind(seat.sandbox)
                    .bind(number)
                    .bind(id)
                    .bind(now)
                    .bind(data)
                    .execute($pool)
                    .await
                    .map(drop)?
            };
        }
        match table {
            Table::Sqlite(pool) => insert_into!(pool),
            Table::Postgres(pool) => insert_into!(pool),
        }
        took_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took_ms)
}

/// How long each line at the end of a file in a directory took until it was durable, in ms.
pub(super) fn appends(directory: &Path) -> Result<Vec<f64>> {
    let mut file = tempfile::tempfile_in(directory)?;
    let mut took_ms = Vec::new();
    for _ in 0..ROWS {
        let began = Instant::now();
        file.write_all(&[b'x'; LINE_BYTES])?;
        file.sync_data()?;
        took_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took_ms)
}
