//! What the database takes by itself: prepared statements on the product's own table, beside its own
//! indexes and foreign keys, each committed alone.

use std::str::FromStr as _;
use std::time::Instant;

use anyhow::Result;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};
use uuid::Uuid;

use super::worker::{TEXT_CHARS, Worker};
use super::{BATCH, LASTS};
use crate::database::Database;

/// Who inserts at once.
const CLIENTS: usize = 8;
/// Where these rows begin: far behind those of the product.
const FIRST: i64 = 1 << 40;

/// Rows a second.
pub(super) struct Rates {
    pub(super) batches: f64,
    pub(super) singles: f64,
}

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

pub(super) async fn rates(database: &Database, workers: &[Worker]) -> Result<Rates> {
    let pool = if database.is_sqlite() {
        let options = SqliteConnectOptions::from_str(&database.url)?
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        Pool::Sqlite(SqlitePoolOptions::new().max_connections(1).connect_with(options).await?)
    } else {
        Pool::Postgres(PgPoolOptions::new().max_connections(8).connect(&database.url).await?)
    };
    let singles = rate(&pool, &workers[..CLIENTS], 1, FIRST).await?;
    let batches = rate(&pool, &workers[..CLIENTS], BATCH, FIRST * 2).await?;
    match pool {
        Pool::Sqlite(pool) => pool.close().await,
        Pool::Postgres(pool) => pool.close().await,
    }
    Ok(Rates { batches, singles })
}

async fn rate(pool: &Pool, clients: &[Worker], rows: usize, first: i64) -> Result<f64> {
    let sql = insert(rows);
    let began = Instant::now();
    let inserted = clients.iter().map(|client| {
        let (pool, sql) = (pool.clone(), sql.clone());
        let (spec, sandbox) = (client.launched.spec.id.0, client.launched.sandbox_id.0);
        async move {
            let mut next = first;
            while began.elapsed() < LASTS {
                next = one(&pool, &sql, (spec, sandbox), next, rows).await?;
            }
            anyhow::Ok(next - first)
        }
    });
    let inserted: i64 = futures_util::future::try_join_all(inserted).await?.into_iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let inserted = inserted as f64;
    Ok(inserted / began.elapsed().as_secs_f64())
}

fn insert(rows: usize) -> String {
    let rows: Vec<String> = (0..rows)
        .map(|row| {
            let own: Vec<String> = (1..=10).map(|n| format!("${}", row * 10 + n)).collect();
            format!("({})", own.join(", "))
        })
        .collect();
    format!(
        "INSERT INTO events (
             spec_id, position, sandbox_id, seq, id, kind, phase, at, received_at, data
         )
         VALUES {}",
        rows.join(", ")
    )
}

/// Inserts some rows in one statement; the number of the next one.
async fn one(
    pool: &Pool,
    sql: &str,
    (spec, sandbox): (Uuid, Uuid),
    first: i64,
    rows: usize,
) -> Result<i64> {
    let mut next = first;
    // The two databases' statements are of different types, and otherwise the same.
    macro_rules! insert_into {
        ($pool:expr) => {{
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for _ in 0..rows {
                let data = serde_json::json!({ "message": "x".repeat(TEXT_CHARS) });
                query = query
                    .bind(spec)
                    .bind(next)
                    .bind(sandbox)
                    .bind(next)
                    .bind(Uuid::now_v7())
                    .bind("spec.progress")
                    .bind("explore")
                    .bind(DateTime::<Utc>::UNIX_EPOCH)
                    .bind(DateTime::<Utc>::UNIX_EPOCH)
                    .bind(Json(data));
                next += 1;
            }
            query.execute($pool).await?;
        }};
    }
    match pool {
        Pool::Sqlite(pool) => insert_into!(pool),
        Pool::Postgres(pool) => insert_into!(pool),
    }
    Ok(next)
}
