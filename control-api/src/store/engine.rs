//! The adapter: one text per query, two engines.
//!
//! What holds: a [`Session`] is one transaction of one engine and sees one state of the database; a
//! reader cannot write (SQLite opens its file read-only for it, PostgreSQL begins `READ ONLY`); on
//! SQLite one connection writes and takes the file's lock when it begins, so that a write never
//! fails half-way with "database is locked"; those who wait for it commit together ([`super::turn`]).

mod query;

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction};
use uuid::Uuid;

#[cfg(test)]
pub(super) use self::query::Arguments;
pub(crate) use self::query::Query;

use super::StoreError;
use super::held::Held;
use super::turn::{Turn, Turns};
use crate::wake::Wakes;

/// An open database, and who waits for what is written to it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) engine: Engine,
    pub(crate) wakes: Arc<Wakes>,
}

/// Which database.
#[derive(Debug, Clone)]
pub(crate) enum Engine {
    /// A file, for one machine.
    Sqlite {
        /// The one connection that writes.
        writer: Turns,
        /// The connections that read.
        readers: SqlitePool,
        /// Lets others see that the file is open.
        #[expect(dead_code, reason = "a lock: held, not read")]
        held: Arc<Held>,
    },
    /// A server, for teams.
    Postgres(PgPool),
}

/// How many connections a pool has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) idle: i64,
    pub(crate) used: i64,
}

/// A transaction that reads; under [`Write`] also one that writes.
#[derive(Debug)]
pub(crate) enum Session {
    /// On a SQLite file.
    Sqlite(OnFile),
    /// On a PostgreSQL server.
    Postgres(OnServer),
}

/// How a session stands on a SQLite file.
#[derive(Debug)]
pub(crate) enum OnFile {
    Reading(Transaction<'static, Sqlite>),
    /// Each statement sees the moment when it begins.
    Asking(PoolConnection<Sqlite>),
    Writing(Turn),
}

impl OnFile {
    fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        match self {
            Self::Reading(transaction) => Ok(transaction),
            Self::Asking(connection) => Ok(connection),
            Self::Writing(turn) => turn.connection(),
        }
    }
}

/// How a session stands on a PostgreSQL server.
#[derive(Debug)]
pub(crate) enum OnServer {
    Transaction(Transaction<'static, Postgres>),
    /// Each statement is its own transaction.
    Statement(PoolConnection<Postgres>),
}

impl OnServer {
    fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Transaction(transaction) => transaction,
            Self::Statement(connection) => connection,
        }
    }
}

/// A transaction that writes. Dropped without [`Write::commit`], it never happened.
#[derive(Debug)]
pub(crate) struct Write {
    session: Session,
    /// Specs and sandboxes whose waiters are to look after the commit.
    news: BTreeSet<Uuid>,
    wakes: Arc<Wakes>,
}

impl Store {
    pub(super) fn on(engine: Engine) -> Self {
        Self { engine, wakes: Arc::new(Wakes::default()) }
    }

    /// Begins to read: all that is read in one session is of one moment.
    pub(crate) async fn read(&self) -> Result<Session, StoreError> {
        Ok(match &self.engine {
            Engine::Sqlite { readers, .. } => {
                Session::Sqlite(OnFile::Reading(readers.begin().await?))
            }
            Engine::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Session::Postgres(OnServer::Transaction(begun(pool, begin).await?))
            }
        })
    }

    /// Begins to ask questions that have nothing to do with each other: each is of its own moment, and
    /// takes one way to the database instead of three. On PostgreSQL nothing but their texts says that
    /// they only read.
    pub(crate) async fn ask(&self) -> Result<Session, StoreError> {
        Ok(match &self.engine {
            Engine::Sqlite { readers, .. } => {
                Session::Sqlite(OnFile::Asking(readers.acquire().await?))
            }
            Engine::Postgres(pool) => Session::Postgres(OnServer::Statement(pool.acquire().await?)),
        })
    }

    /// Begins to write.
    pub(crate) async fn write(&self) -> Result<Write, StoreError> {
        let session = match &self.engine {
            Engine::Sqlite { writer, .. } => Session::Sqlite(OnFile::Writing(writer.take().await?)),
            Engine::Postgres(pool) => {
                Session::Postgres(OnServer::Transaction(begun(pool, "BEGIN").await?))
            }
        };
        Ok(self.writing(session))
    }

    /// Begins to write with a single statement, which is then its own transaction: one way to the server
    /// and back instead of three. `None` on SQLite, where there is no way to save.
    pub(crate) async fn write_at_once(&self) -> Result<Option<Write>, StoreError> {
        let Engine::Postgres(pool) = &self.engine else { return Ok(None) };
        let session = Session::Postgres(OnServer::Statement(pool.acquire().await?));
        Ok(Some(self.writing(session)))
    }

    fn writing(&self, session: Session) -> Write {
        Write { session, news: BTreeSet::new(), wakes: Arc::clone(&self.wakes) }
    }

    /// Whether the database answers a question at all.
    #[cfg(test)]
    pub(crate) async fn answers(&self) -> Result<(), StoreError> {
        self.read().await?.query("SELECT 1").execute().await.map(|_| ())
    }

    /// The connections of each pool, by its name.
    pub(crate) fn connections(&self) -> Vec<(&'static str, Connections)> {
        fn of<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> Connections {
            let (all, idle) = (i64::from(pool.size()), pool.num_idle() as i64);
            Connections { idle, used: (all - idle).max(0) }
        }
        match &self.engine {
            Engine::Sqlite { writer, readers, .. } => {
                vec![("writer", of(writer.pool())), ("readers", of(readers))]
            }
            Engine::Postgres(pool) => vec![("all", of(pool))],
        }
    }

    /// Closes all connections. On SQLite the write-ahead log is folded into the file.
    pub(crate) async fn close(&self) {
        match &self.engine {
            Engine::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Engine::Postgres(pool) => pool.close().await,
        }
    }
}

/// Begins a transaction, to the end also when nobody waits for it any more: the driver (sqlx 0.9) gives a
/// connection back to the pool in an open transaction when `BEGIN` is given up half-way, and what its
/// next user writes with a single statement would then never be committed.
async fn begun(
    pool: &PgPool,
    begin: &'static str,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    let beginning = tokio::spawn(async move { pool.begin_with(begin).await });
    // Not joined: the runtime ends.
    beginning.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

impl Write {
    /// Something about this spec or sandbox is written: who waits for it is to look.
    pub(crate) fn tell(&mut self, about: Uuid) {
        self.news.insert(about);
    }

    /// Makes it so, and then wakes who waits for it, here and at other replicas.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let Self { session, news, wakes } = self;
        let tell = move || wakes.committed(news);
        match session {
            Session::Sqlite(OnFile::Writing(turn)) => return turn.commit(tell).await,
            Session::Sqlite(OnFile::Reading(transaction)) => transaction.commit().await?,
            Session::Sqlite(OnFile::Asking(_)) => {}
            Session::Postgres(OnServer::Transaction(transaction)) => transaction.commit().await?,
            // Committed with its answer.
            Session::Postgres(OnServer::Statement(_)) => {}
        }
        tell();
        Ok(())
    }
}

impl std::ops::Deref for Write {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

impl std::ops::DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}
