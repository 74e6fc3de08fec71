//! The adapter: one text per query, two engines.
//!
//! What holds: a [`Session`] is one transaction of one engine and sees one state of the database; a
//! reader cannot write (SQLite opens its file read-only for it, PostgreSQL begins `READ ONLY`); on
//! SQLite one connection writes and takes the file's lock when it begins, so that a write never
//! fails half-way with "database is locked".

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{
    Arguments as _, ConnectOptions as _, Connection as _, FromRow, PgPool, Postgres, Sqlite,
    SqlitePool, Transaction,
};

use super::StoreError;

/// How many readers SQLite gets. Reads are short; four keep two cores busy and the memory small.
const SQLITE_READERS: u32 = 4;
/// How many connections one control API holds to PostgreSQL, whose default is 100 for everyone.
const POSTGRES_CONNECTIONS: u32 = 16;
/// How long a writer waits for another process's write to the same SQLite file.
const SQLITE_BUSY: Duration = Duration::from_secs(10);
/// How long a server may take to let us in: it is asked once, when a person waits.
const REACH: Duration = Duration::from_secs(10);
/// How long to wait for a free connection.
const ACQUIRE: Duration = Duration::from_secs(15);

/// An open database.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    /// A file, for one machine.
    Sqlite {
        /// The one connection that writes.
        writer: SqlitePool,
        /// The connections that read.
        readers: SqlitePool,
    },
    /// A server, for teams.
    Postgres(PgPool),
}

/// A transaction that reads; under [`Write`] also one that writes.
#[derive(Debug)]
pub(crate) enum Session {
    /// On a SQLite file.
    Sqlite(Transaction<'static, Sqlite>),
    /// On a PostgreSQL server.
    Postgres(Transaction<'static, Postgres>),
}

/// A transaction that writes. Dropped without [`Write::commit`], it never happened.
#[derive(Debug)]
pub(crate) struct Write(Session);

/// A statement with its arguments.
#[derive(Debug)]
pub(crate) struct Query<'s> {
    sql: &'static str,
    session: &'s mut Session,
    arguments: Result<Arguments, sqlx::error::BoxDynError>,
}

#[derive(Debug)]
enum Arguments {
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
    /// Opens the database at `sqlite://…` or `postgres://…` and brings its schema up to date. A
    /// missing SQLite file is made; its directory must be there.
    pub(crate) async fn open(address: &str) -> Result<Self, StoreError> {
        if let Some(path) = address.strip_prefix("sqlite://") {
            Self::open_sqlite(Path::new(path)).await
        } else if address.starts_with("postgres://") || address.starts_with("postgresql://") {
            Self::open_postgres(address).await
        } else {
            // Not the whole: an address may hold a password.
            let start = address.split("://").next().unwrap_or_default();
            Err(StoreError::Address(start.chars().take(60).collect()))
        }
    }

    async fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Open(path.display().to_string(), error);
        // Made here, because SQLite would make it readable for all; it gives the files that it puts
        // beside it the same mode.
        crate::private::private_file(path).map_err(|error| failed(sqlx::Error::Io(error)))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged event must survive a power cut, and the worker forgets what was
            // acknowledged: so every commit reaches the disk. NORMAL would lose the last ones.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(SQLITE_BUSY);
        let alone = alone(path).await.map_err(|error| failed(sqlx::Error::Io(error)))?;
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            .connect_with(options.clone())
            .await
            .map_err(failed)?;
        sqlx::migrate!("../migrations/sqlite").run(&writer).await.map_err(StoreError::Migrate)?;
        drop(alone);
        let readers = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS)
            .acquire_timeout(ACQUIRE)
            .connect_with(options.create_if_missing(false).read_only(true))
            .await
            .map_err(failed)?;
        Ok(Self::Sqlite { writer, readers })
    }

    async fn open_postgres(address: &str) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Open("postgres://…".to_owned(), error);
        let options: PgConnectOptions = address.parse().map_err(failed)?;
        // One connection first: a pool tries a refused one again until its patience ends, and then
        // says only that it ended.
        reach(&options).await?;
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .connect_with(options)
            .await
            .map_err(failed)?;
        sqlx::migrate!("../migrations/postgres").run(&pool).await.map_err(StoreError::Migrate)?;
        Ok(Self::Postgres(pool))
    }

    /// Begins to read: all that is read in one session is of one moment.
    pub(crate) async fn read(&self) -> Result<Session, StoreError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Session::Sqlite(readers.begin().await?),
            Self::Postgres(pool) => Session::Postgres(
                pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
            ),
        })
    }

    /// Begins to write.
    pub(crate) async fn write(&self) -> Result<Write, StoreError> {
        Ok(Write(match self {
            Self::Sqlite { writer, .. } => {
                Session::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            Self::Postgres(pool) => Session::Postgres(pool.begin().await?),
        }))
    }

    /// Whether the database answers a question at all.
    pub(crate) async fn answers(&self) -> Result<(), StoreError> {
        self.read().await?.query("SELECT 1").execute().await.map(|_| ())
    }

    /// Closes all connections. On SQLite the write-ahead log is folded into the file.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Connects once, and says in words why that does not work.
async fn reach(options: &PgConnectOptions) -> Result<(), StoreError> {
    let unreachable = |why, source| StoreError::Unreachable {
        place: match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        },
        why,
        source,
    };
    let Ok(connected) = tokio::time::timeout(REACH, options.connect()).await else {
        return Err(unreachable("it does not answer", None));
    };
    let connection = connected.map_err(|error| match &error {
        sqlx::Error::Io(io) => match io.kind() {
            ErrorKind::ConnectionRefused => {
                unreachable("the connection was refused; is the server running?", Some(error))
            }
            ErrorKind::NotFound => unreachable("there is no such socket", Some(error)),
            // Names that do not resolve have no kind of their own.
            _ if io.to_string().contains("lookup") => {
                unreachable("the host is not known", Some(error))
            }
            _ => unreachable("the connection failed", Some(error)),
        },
        _ => unreachable("the server does not let us in", Some(error)),
    })?;
    connection.close().await?;
    Ok(())
}

impl Write {
    /// Makes it so.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self.0 {
            Session::Sqlite(transaction) => transaction.commit().await?,
            Session::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }
}

impl std::ops::Deref for Write {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.0
    }
}

impl std::ops::DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.0
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

    /// Runs it; says how many rows it touched.
    pub(crate) async fn execute(self) -> Result<u64, StoreError> {
        let arguments = self.arguments.map_err(sqlx::Error::Encode)?;
        Ok(match (self.session, arguments) {
            (Session::Sqlite(session), Arguments::Sqlite(arguments)) => {
                sqlx::query_with(self.sql, arguments).execute(&mut **session).await?.rows_affected()
            }
            (Session::Postgres(session), Arguments::Postgres(arguments)) => {
                sqlx::query_with(self.sql, arguments).execute(&mut **session).await?.rows_affected()
            }
            _ => unreachable_mixture()?,
        })
    }

    /// All rows.
    pub(crate) async fn fetch_all<R: Row>(self) -> Result<Vec<R>, StoreError> {
        let arguments = self.arguments.map_err(sqlx::Error::Encode)?;
        Ok(match (self.session, arguments) {
            (Session::Sqlite(session), Arguments::Sqlite(arguments)) => {
                sqlx::query_as_with(self.sql, arguments).fetch_all(&mut **session).await?
            }
            (Session::Postgres(session), Arguments::Postgres(arguments)) => {
                sqlx::query_as_with(self.sql, arguments).fetch_all(&mut **session).await?
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

/// Waits until no other process opens or migrates the same SQLite file; while the answer is kept, none
/// does. sqlx takes a lock of its own on PostgreSQL only, and two commands may start at once.
async fn alone(database: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut path = database.as_os_str().to_owned();
    path.push("-migrate");
    let lock = move || {
        let mut options = std::fs::File::options();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(path)?;
        file.lock()?;
        Ok(file)
    };
    tokio::task::spawn_blocking(lock).await.map_err(std::io::Error::other)?
}

/// A session's arguments are made for its own engine (`Session::query`), so the two cannot differ;
/// said as an error because a panic here would take a request down.
fn unreachable_mixture<T>() -> Result<T, StoreError> {
    Err(StoreError::Corrupt { table: "none", what: "arguments for another engine".to_owned() })
}
