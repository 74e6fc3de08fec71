//! What other processes wrote, told by the database.
//!
//! PostgreSQL: a notification with the ids of specs and sandboxes, sent *after* the commit that it is
//! about. Inside that transaction it would cost the commits their concurrency: a transaction that
//! notifies holds one lock of the whole cluster until its commit is on disk. A replica that is killed
//! between the two has told nobody; a look every second finds what it wrote ([`untold`]).
//!
//! SQLite: the version of the file as the one connection that writes sees it, which moves only when
//! another process committed. Who did what is not said.

pub(crate) mod untold;

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::postgres::PgListener;
use uuid::Uuid;

use super::engine::Engine;
use super::{Store, StoreError};

/// The name under which replicas tell each other.
const CHANNEL: &str = "specwright_news";
/// The most ids of one notification: 33 bytes each, and PostgreSQL takes 8,000 in all.
const IDS_MAX: usize = 200;
/// How often a shared SQLite file is looked at; the look is one read of shared memory.
const LOOK: Duration = Duration::from_millis(50);

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// Something was committed about these.
    About(Vec<Uuid>),
    /// Something may have been committed about anything.
    Anything,
    /// The connection was lost and is there again: the database may be another one.
    Reconnected,
}

/// Hears what other processes wrote.
#[derive(Debug)]
pub(crate) enum Ear {
    Sqlite { writer: SqlitePool, version: Option<i64> },
    Postgres { listener: PgListener, own: String },
}

impl Ear {
    /// Begins to hear. What `own` told is left out.
    pub(crate) async fn open(store: &Store, own: Uuid) -> Result<Self, StoreError> {
        Ok(match &store.engine {
            Engine::Sqlite { writer, .. } => {
                Self::Sqlite { writer: writer.pool().clone(), version: None }
            }
            Engine::Postgres(pool) => {
                let mut listener = PgListener::connect_with(pool).await?;
                listener.listen(CHANNEL).await?;
                Self::Postgres { listener, own: own.simple().to_string() }
            }
        })
    }

    /// Waits for news.
    pub(crate) async fn next(&mut self) -> Result<News, StoreError> {
        match self {
            Self::Sqlite { writer, version } => loop {
                tokio::time::sleep(LOOK).await;
                let (now,): (i64,) =
                    sqlx::query_as("PRAGMA data_version").fetch_one(&*writer).await?;
                if version.replace(now).is_some_and(|before| before != now) {
                    return Ok(News::Anything);
                }
            },
            Self::Postgres { listener, own } => loop {
                let Some(told) = listener.try_recv().await? else {
                    return Ok(News::Reconnected);
                };
                let Some((by, ids)) = told.payload().split_once(' ') else { continue };
                if by != own {
                    return Ok(News::About(
                        ids.split(' ').filter_map(|id| id.parse().ok()).collect(),
                    ));
                }
            },
        }
    }
}

/// Tells the other replicas what was committed; does nothing on SQLite.
pub(crate) async fn tell(
    store: &Store,
    own: Uuid,
    about: &BTreeSet<Uuid>,
) -> Result<(), StoreError> {
    let Engine::Postgres(pool) = &store.engine else { return Ok(()) };
    let ids: Vec<String> = about.iter().map(|id| id.simple().to_string()).collect();
    for some in ids.chunks(IDS_MAX) {
        let payload = format!("{} {}", own.simple(), some.join(" "));
        // No transaction of ours around it, and none that writes: it waits for no disk.
        sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(pool).await?;
    }
    Ok(())
}
