//! What the database takes by itself: prepared statements on the product's own table, beside its own
//! indexes and foreign keys, each committed alone. No check of a connection before its use, no
//! transaction around a single statement: nothing that is not the insert itself.

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
use super::{LASTS, Measured};
use crate::database::Database;

/// Who inserts at once.
const CLIENTS: usize = 8;
/// Where these rows begin: far behind those of the product.
const FIRST: i64 = 1 << 40;

/// The database beside the product, and who inserts there.
pub(super) struct Raw {
    pool: Pool,
    clients: Vec<Client>,
}

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Whose rows these are, and the number of the next one.
struct Client {
    spec: Uuid,
    sandbox: Uuid,
    next: i64,
}

impl Raw {
    /// Rows of these workers' runs.
    pub(super) async fn beside(database: &Database, workers: &[Worker]) -> Result<Self> {
        let pool = if database.is_sqlite() {
            let options = SqliteConnectOptions::from_str(&database.url)?
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true);
            Pool::Sqlite(SqlitePoolOptions::new().max_connections(1).connect_with(options).await?)
        } else {
            let pool = PgPoolOptions::new().max_connections(8).test_before_acquire(false);
            Pool::Postgres(pool.connect(&database.url).await?)
        };
        let clients = workers[..CLIENTS].iter().map(|worker| Client {
            spec: worker.launched.spec.id.0,
            sandbox: worker.launched.sandbox_id.0,
            next: FIRST,
        });
        Ok(Self { pool, clients: clients.collect() })
    }

    /// All insert at once, each its next rows when the last ones are committed.
    pub(super) async fn insert(&mut self, rows: usize, measured: &mut Measured) -> Result<()> {
        let sql = insert(rows);
        let began = Instant::now();
        let inserted = self.clients.iter_mut().map(|client| {
            let (pool, sql) = (&self.pool, &sql);
            async move {
                let mut count = 0;
                while began.elapsed() < LASTS {
                    one(pool, sql, client, rows).await?;
                    count += rows;
                }
                anyhow::Ok(count)
            }
        });
        let inserted = futures_util::future::try_join_all(inserted).await?;
        measured.seconds += began.elapsed().as_secs_f64();
        measured.events += inserted.into_iter().sum::<usize>();
        Ok(())
    }

    pub(super) async fn close(self) {
        match self.pool {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }
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

/// Inserts some rows in one statement.
async fn one(pool: &Pool, sql: &str, client: &mut Client, rows: usize) -> Result<()> {
    // The two databases' statements are of different types, and otherwise the same.
    macro_rules! insert_into {
        ($pool:expr) => {{
            let mut query = sqlx::query(AssertSqlSafe(sql));
            let data = serde_json::json!({ "message": "x".repeat(TEXT_CHARS) });
            for _ in 0..rows {
                query = query
                    .bind(client.spec)
                    .bind(client.next)
                    .bind(client.sandbox)
                    .bind(client.next)
                    .bind(Uuid::now_v7())
                    .bind("spec.progress")
                    .bind("explore")
                    .bind(DateTime::<Utc>::UNIX_EPOCH)
                    .bind(DateTime::<Utc>::UNIX_EPOCH)
                    .bind(Json(&data));
                client.next += 1;
            }
            query.execute($pool).await?;
        }};
    }
    match pool {
        Pool::Sqlite(pool) => insert_into!(pool),
        Pool::Postgres(pool) => insert_into!(pool),
    }
    Ok(())
}
