//! The adapter: one text per query, two engines.
//!
//! What holds: a [`Session`] is one transaction of one engine and sees one state of the database; a
//! reader cannot write (SQLite opens its file read-only for it, PostgreSQL begins `READ ONLY`); on
//! SQLite one connection writes and takes the file's lock when it begins, so that a write never
//! fails half-way with "database is locked"; those who wait for it commit together ([`super::turn`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{
    Arguments as _, FromRow, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool,
    Transaction,
};
use uuid::Uuid;

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

/// A statement with its arguments.
#[derive(Debug)]
pub(crate) struct Query<'s> {
    sql: &'static str,
    session: &'s mut Session,
    arguments: Result<Arguments, sqlx::error::BoxDynError>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) enum Arguments {
    Sqlite(SqliteArguments),
    Postgres(PgArguments),
}

/// What both engines can take as an argument.
pub(crate) trait Argument:
    for<'a> sqlx::Encode<'a, Sqlite>
    + sqlx::Type<Sqlite>
    + for<'a> sqlx::Encode<'a, Postgres>
    + sqlx::Type<Postgres>
{
}
impl<T> Argument for T where
    T: for<'a> sqlx::Encode<'a, Sqlite>
        + sqlx::Type<Sqlite>
        + for<'a> sqlx::Encode<'a, Postgres>
        + sqlx::Type<Postgres>
{
}

/// What both engines can give as a row.
pub(crate) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}
impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

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

impl Session {
    /// A statement in this transaction.
    pub(crate) fn query(&mut self, sql: &'static str) -> Query<'_> {
        let arguments = match self {
            Self::Sqlite(_) => Arguments::Sqlite(SqliteArguments::default()),
            Self::Postgres(_) => Arguments::Postgres(PgArguments::default()),
        };
        Query { sql, session: self, arguments: Ok(arguments) }
    }
}

#[cfg(test)]
impl<'s> Query<'s> {
    /// A statement with the arguments that another one had.
    pub(super) fn with(sql: &'static str, session: &'s mut Session, arguments: Arguments) -> Self {
        Self { sql, session, arguments: Ok(arguments) }
    }
}

impl Query<'_> {
    /// The next argument.
    pub(crate) fn bind(mut self, value: impl Argument) -> Self {
        if let Ok(arguments) = &mut self.arguments {
            let added = match arguments {
                Arguments::Sqlite(arguments) => arguments.add(value),
                Arguments::Postgres(arguments) => arguments.add(value),
            };
            if let Err(error) = added {
                self.arguments = Err(error);
            }
        }
        self
    }

    /// The next argument, as an array: PostgreSQL alone has such.
    pub(crate) fn bind_all<T>(mut self, values: impl Iterator<Item = T>) -> Self
    where
        for<'a> Vec<T>: sqlx::Encode<'a, Postgres> + sqlx::Type<Postgres>,
    {
        let added = match &mut self.arguments {
            Ok(Arguments::Postgres(arguments)) => arguments.add(values.collect::<Vec<T>>()),
            Ok(Arguments::Sqlite(_)) => Err("SQLite has no arrays".into()),
            Err(_) => return self,
        };
        if let Err(error) = added {
            self.arguments = Err(error);
        }
        self
    }

    /// Runs it; says how many rows it touched.
    pub(crate) async fn execute(self) -> Result<u64, StoreError> {
        let arguments = self.arguments.map_err(sqlx::Error::Encode)?;
        #[cfg(test)]
        super::contract::plans::note(self.sql, &arguments);
        Ok(match (self.session, arguments) {
            (Session::Sqlite(session), Arguments::Sqlite(arguments)) => {
                sqlx::query_with(self.sql, arguments)
                    .execute(session.connection()?)
                    .await?
                    .rows_affected()
            }
            (Session::Postgres(session), Arguments::Postgres(arguments)) => {
                sqlx::query_with(self.sql, arguments)
                    .execute(session.connection())
                    .await?
                    .rows_affected()
            }
            _ => unreachable_mixture()?,
        })
    }

    /// All rows.
    pub(crate) async fn fetch_all<R: Row>(self) -> Result<Vec<R>, StoreError> {
        let arguments = self.arguments.map_err(sqlx::Error::Encode)?;
        #[cfg(test)]
        super::contract::plans::note(self.sql, &arguments);
        Ok(match (self.session, arguments) {
            (Session::Sqlite(session), Arguments::Sqlite(arguments)) => {
                sqlx::query_as_with(self.sql, arguments).fetch_all(session.connection()?).await?
            }
            (Session::Postgres(session), Arguments::Postgres(arguments)) => {
                sqlx::query_as_with(self.sql, arguments).fetch_all(session.connection()).await?
            }
            _ => unreachable_mixture()?,
        })
    }

    /// The first row, if there is one.
    pub(crate) async fn fetch_optional<R: Row>(self) -> Result<Option<R>, StoreError> {
        Ok(self.fetch_all().await?.into_iter().next())
    }

    /// The one row that must be there.
    pub(crate) async fn fetch_one<R: Row>(self) -> Result<R, StoreError> {
        self.fetch_optional().await?.ok_or(StoreError::Statement(sqlx::Error::RowNotFound))
    }
}

/// A session's arguments are made for its own engine (`Session::query`), so the two cannot differ;
/// said as an error because a panic here would take a request down.
fn unreachable_mixture<T>() -> Result<T, StoreError> {
    Err(StoreError::Corrupt { table: "none", what: "arguments for another engine".to_owned() })
}
