//! Sandboxes as another machine would have made them: rows with the hash of a token, and a worker that
//! is yet to say hello. Thousands of them are made in a second, and no process with them.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::time::SystemTime;

use anyhow::Result;
use chrono::{DateTime, Duration, Utc};
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::types::Json;
use sqlx::{PgPool, SqlitePool};
use uuid::Uuid;

use crate::database::Database;

const SPEC: &str = "
    INSERT INTO specs (
        id, project_id, owner, title, description, status, current_phase, agent, rehearsal,
        cost_micro_usd, events, created_at, updated_at
    )
    SELECT $1, project_id, owner, title, description, 'executing', current_phase, 'claude',
           rehearsal, 0, 0, $2, $2
    FROM specs
    WHERE id = $3";
/// The place is on no machine that the control API sees: its life is judged by what is heard of it.
const SANDBOX: &str = "
    INSERT INTO sandboxes (
        id, spec_id, state, provider, place, token_hash, generation, acked_seq, messages,
        cost_micro_usd, lease_expires_at, agent, options, created_at
    )
    VALUES ($1, $2, 'requested', 'local', $3, $4, 0, 0, 0, 0, $5, 'claude', $6, $7)";
/// How long to wait for the control API's own writes.
const BUSY: std::time::Duration = std::time::Duration::from_secs(30);
const STORED: &str = "
    SELECT sandbox_id, COUNT(*), MIN(seq), MAX(seq)
    FROM events
    WHERE sandbox_id IS NOT NULL
    GROUP BY sandbox_id";

/// A sandbox without its worker.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) sandbox: Uuid,
    pub(crate) spec: Uuid,
    pub(crate) token: String,
}

/// What the table holds of one sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) rows: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// The database, beside the control API.
#[derive(Clone)]
pub(crate) enum Table {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Table {
    pub(crate) async fn open(database: &Database) -> Result<Self> {
        Ok(if database.is_sqlite() {
            let options = SqliteConnectOptions::from_str(&database.url)?
                .foreign_keys(true)
                .busy_timeout(BUSY);
            let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
            Self::Sqlite(pool)
        } else {
            let pool = PgPoolOptions::new().max_connections(1).connect(&database.url).await?;
            Self::Postgres(pool)
        })
    }

    /// Makes specs like a given one, each with a sandbox.
    pub(crate) async fn seats(&self, like: Uuid, count: usize) -> Result<Vec<Seat>> {
        let seat = |_| Seat {
            sandbox: Uuid::now_v7(),
            spec: Uuid::now_v7(),
            token: format!("sws_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()),
        };
        let seats: Vec<Seat> = (0..count).map(seat).collect();
        let now = DateTime::<Utc>::from(SystemTime::now());
        // The two databases' statements are of different types, and otherwise the same.
        macro_rules! insert_into {
            ($pool:expr) => {{
                let mut transaction = $pool.begin().await?;
                for seat in &seats {
                    sqlx::query(SPEC)
                        .bind(seat.spec)
                        .bind(now)
                        .bind(like)
                        .execute(&mut *transaction)
                        .await?;
                    sqlx::query(SANDBOX)
                        .bind(seat.sandbox)
                        .bind(seat.spec)
                        .bind(Json(serde_json::json!({ "elsewhere": seat.sandbox })))
                        .bind(Sha256::digest(&seat.token).to_vec())
                        .bind(now + Duration::minutes(10))
                        .bind(Json(serde_json::json!({})))
                        .bind(now)
                        .execute(&mut *transaction)
                        .await?;
                }
                transaction.commit().await?;
            }};
        }
        match self {
            Self::Sqlite(pool) => insert_into!(pool),
            Self::Postgres(pool) => insert_into!(pool),
        }
        Ok(seats)
    }

    /// What is stored of each sandbox.
    pub(crate) async fn stored(&self) -> Result<HashMap<Uuid, Stored>> {
        let rows: Vec<(Uuid, i64, i64, i64)> = match self {
            Self::Sqlite(pool) => sqlx::query_as(STORED).fetch_all(pool).await?,
            Self::Postgres(pool) => sqlx::query_as(STORED).fetch_all(pool).await?,
        };
        let stored = |(id, rows, first, last)| (id, Stored { rows, first, last });
        Ok(rows.into_iter().map(stored).collect())
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}
