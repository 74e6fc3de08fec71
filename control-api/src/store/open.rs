//! Opening a database: waiting for one that is not there yet, the limits of what it may take, and its
//! schema.
//!
//! What holds: a schema is brought up to date by one process at a time (an advisory lock there, a lock
//! on a file here); one that knows steps which this program does not know is not touched. While a
//! SQLite file is open, others can see that ([`super::held`]).

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

use super::engine::Engine;
use super::held::{Held, alone, beside};
use super::restore::RESTORING;
use super::turn::Turns;
use super::{Store, StoreError};

/// How many readers SQLite gets. Reads are short; four keep two cores busy and the memory small.
const SQLITE_READERS: u32 = 4;
/// What a connection that reads may keep of the file, as SQLite writes it: in KiB, negative. Four times
/// what it has by itself: the board's pages fit, and are not read from the file again and again.
const SQLITE_READER_CACHE: &str = "-8192";
/// How many connections one control API holds to PostgreSQL, whose default is 100 for everyone.
const POSTGRES_CONNECTIONS: u32 = 16;
/// How long a writer waits for another process's write to the same SQLite file.
const SQLITE_BUSY: Duration = Duration::from_secs(10);
/// How long what is done with a connection to a SQLite file may take from when it was taken, a statement
/// of it as long as on a server. The schema and copies are made over connections of their own.
const SQLITE_STATEMENT: Duration = Duration::from_secs(20);
/// After how many of its steps, in all its runs together, a statement is asked how late it is: some
/// milliseconds of work. A short one is asked now and then only.
const SQLITE_STEPS: i32 = 100_000;
/// How long a server may take to let us in, once.
const REACH: Duration = Duration::from_secs(10);
/// How long to wait before a server that is not there is asked again.
const REACH_AGAIN: Duration = Duration::from_millis(500);
/// How often the log says that we still wait.
const SAY_AGAIN: Duration = Duration::from_secs(10);
/// How long to wait for a free connection of a SQLite file: a little longer than its writer may wait.
const SQLITE_ACQUIRE: Duration = Duration::from_secs(15);
/// How long to wait for a free connection to a server, or for one that is gone to come back: who asks
/// is told to come again rather than left waiting, and finds a replica that has one.
const POSTGRES_ACQUIRE: Duration = Duration::from_secs(5);

/// After what time unused a connection is asked whether it is still there, before it is used: one that
/// was used a moment ago most likely is, and asking each time costs as much as a statement.
const POSTGRES_ASKED_AFTER: Duration = Duration::from_secs(1);

/// What PostgreSQL is to hold our sessions to; an address may say otherwise (`?options=-c …`).
///
/// A statement: the slowest of ours take a second on ten million rows; a request ends after 30 s. A
/// lock: transactions of ours hold one for milliseconds, so whoever waits longer waits for something
/// broken. Idle inside a transaction: a replica that is frozen in one would keep others from a spec,
/// and every stream of everything from going on. A page in no order: what we ask for all the time is in
/// memory, or on a disk without a head; the server's default (4) is for one with, and has it read tables
/// whole that an index knows.
const LIMITS: [(&str, &str); 4] = [
    ("statement_timeout", "20s"),
    ("lock_timeout", "8s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("random_page_cost", "1.1"),
];

/// What is acknowledged must survive a power cut: a server may be set to say "committed" before it is so.
const COMMITTED: &str = "synchronous_commit";

static SQLITE_SCHEMA: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES_SCHEMA: Migrator = sqlx::migrate!("../migrations/postgres");

impl Store {
    /// Opens the database at `sqlite://…` or `postgres://…` and brings its schema up to date. A
    /// missing SQLite file is made; its directory must be there.
    pub(crate) async fn open(address: &str) -> Result<Self, StoreError> {
        Self::open_within(address, Duration::ZERO).await
    }

    /// The same; for a server that is not there yet it waits, and says so on the log.
    pub(crate) async fn open_within(address: &str, patience: Duration) -> Result<Self, StoreError> {
        if let Some(path) = address.strip_prefix("sqlite://") {
            open_sqlite(Path::new(path), SQLITE_STATEMENT).await
        } else if address.starts_with("postgres://") || address.starts_with("postgresql://") {
            open_postgres(address, patience).await
        } else {
            // Not the whole: an address may hold a password.
            let start = address.split("://").next().unwrap_or_default();
            Err(StoreError::Address(start.chars().take(60).collect()))
        }
    }
}

async fn open_sqlite(path: &Path, statement: Duration) -> Result<Store, StoreError> {
    let failed = |error| StoreError::Open(path.display().to_string(), error);
    let io = |error| failed(sqlx::Error::Io(error));
    let held = Held::open(path).await.map_err(io)?;
    // An empty database in its place would look as if all were lost.
    if !path.exists() && beside(path, RESTORING).exists() {
        return Err(StoreError::HalfRestored(path.to_owned()));
    }
    // Made here, because SQLite would make it readable for all; it gives the files that it puts
    // beside it the same mode.
    crate::private::private_file(path).map_err(io)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An acknowledged event must survive a power cut, and the worker forgets what was
        // acknowledged: so every commit reaches the disk. NORMAL would lose the last ones.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(SQLITE_BUSY);
    let alone = alone(path).await.map_err(io)?;
    // Without our limits: a step of the schema may take minutes.
    let schema = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options.clone())
        .await
        .map_err(failed)?;
    SQLITE_SCHEMA.run(&schema).await.map_err(not_migrated)?;
    schema.close().await;
    drop(alone);
    let writer = sqlite_pool(1, statement).connect_with(options.clone()).await.map_err(failed)?;
    let readers = sqlite_pool(SQLITE_READERS, statement)
        .connect_with(
            options
                .create_if_missing(false)
                .read_only(true)
                .pragma("cache_size", SQLITE_READER_CACHE),
        )
        .await
        .map_err(failed)?;
    let writer = Turns::at(writer);
    Ok(Store::on(Engine::Sqlite { writer, readers, held: held.into() }))
}

/// Connections to a file, on which no statement runs much longer than so: the time counts from when a
/// connection was taken.
fn sqlite_pool(connections: u32, statement: Duration) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(SQLITE_ACQUIRE)
        .after_connect(move |connection, _| Box::pin(end_when_late(connection, statement)))
        .before_acquire(move |connection, _| {
            Box::pin(async move {
                end_when_late(connection, statement).await?;
                Ok(true)
            })
        })
}

/// Has SQLite end what runs on a connection later than so from now.
async fn end_when_late(
    connection: &mut SqliteConnection,
    statement: Duration,
) -> Result<(), sqlx::Error> {
    let late = Instant::now() + statement;
    let goes_on = move || Instant::now() < late;
    connection.lock_handle().await?.set_progress_handler(SQLITE_STEPS, goes_on);
    Ok(())
}

async fn open_postgres(address: &str, patience: Duration) -> Result<Store, StoreError> {
    let failed = |error| StoreError::Open("postgres://…".to_owned(), error);
    let options: PgConnectOptions = address.parse().map_err(failed)?;
    // One connection first: a pool tries a refused one again until its patience ends, and then
    // says only that it ended.
    let mut first = reach(&options, patience).await?;
    let committed = committed(&mut first).await.map_err(failed)?;
    first.close().await.map_err(failed)?;
    // Without our limits: a step of the schema may take minutes.
    let schema = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options.clone())
        .await
        .map_err(failed)?;
    POSTGRES_SCHEMA.run(&schema).await.map_err(not_migrated)?;
    schema.close().await;
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(POSTGRES_ACQUIRE)
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(async move {
                if known.idle_for >= POSTGRES_ASKED_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(limited(options, committed))
        .await
        .map_err(failed)?;
    Ok(Store::on(Engine::Postgres(pool)))
}

/// When sessions are to be told of a commit: not before it is on the disk, and where an operator chose
/// to wait for more, then. Said for each session, so that it cannot change under us.
async fn committed(session: &mut PgConnection) -> Result<&'static str, sqlx::Error> {
    let asked = sqlx::query_as("SELECT current_setting('synchronous_commit')");
    let (set,): (String,) = asked.fetch_one(session).await?;
    Ok(match set.as_str() {
        "local" => "local",
        "remote_write" => "remote_write",
        "remote_apply" => "remote_apply",
        _ => "on",
    })
}

/// The same with our limits, but for those that the address sets.
fn limited(options: PgConnectOptions, committed: &'static str) -> PgConnectOptions {
    let given = options.get_options().unwrap_or_default().to_owned();
    let ours = LIMITS.into_iter().chain([(COMMITTED, committed)]);
    options.options(ours.filter(|(name, _)| !given.contains(name)))
}

/// The steps of our schema on an engine.
pub(super) fn steps(engine: &Engine) -> BTreeSet<i64> {
    let schema = match engine {
        Engine::Sqlite { .. } => &SQLITE_SCHEMA,
        Engine::Postgres(_) => &POSTGRES_SCHEMA,
    };
    schema.iter().map(|step| step.version).collect()
}

/// The newest step of our schema on SQLite.
pub(super) fn newest_sqlite_step() -> i64 {
    SQLITE_SCHEMA.iter().map(|step| step.version).max().unwrap_or_default()
}

fn not_migrated(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(step) => StoreError::NewerSchema(step),
        other => StoreError::Migrate(other),
    }
}

/// Connects; waits for a server that is not there yet.
async fn reach(options: &PgConnectOptions, patience: Duration) -> Result<PgConnection, StoreError> {
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let begin = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        let Absent { why, may_come, source } = match connect(options).await {
            Ok(connection) => return Ok(connection),
            Err(absent) => absent,
        };
        if !may_come || begin.elapsed() >= patience {
            let waited = begin.elapsed().as_secs();
            let waited = if waited > 0 { format!(" (waited {waited} s)") } else { String::new() };
            return Err(StoreError::Unreachable { place, why: format!("{why}{waited}"), source });
        }
        if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            let left = patience.saturating_sub(begin.elapsed()).as_secs();
            tracing::warn!(place, why, "waiting for PostgreSQL, at most {left} s more");
            said = Some(Instant::now());
        }
        tokio::time::sleep(REACH_AGAIN).await;
    }
}

/// Why there is no connection, in words.
struct Absent {
    why: &'static str,
    /// Whether that may change without anyone's help.
    may_come: bool,
    source: Option<sqlx::Error>,
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Absent> {
    match tokio::time::timeout(REACH, options.connect()).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => {
            let (why, may_come) = absence(&error);
            Err(Absent { why, may_come, source: Some(error) })
        }
        Err(_) => Err(Absent { why: "it does not answer", may_come: true, source: None }),
    }
}

fn absence(error: &sqlx::Error) -> (&'static str, bool) {
    match error {
        sqlx::Error::Io(io) => match io.kind() {
            ErrorKind::ConnectionRefused => {
                ("the connection was refused; is the server running?", true)
            }
            ErrorKind::NotFound => ("there is no such socket", true),
            // Names that do not resolve have no kind of their own.
            _ if io.to_string().contains("lookup") => ("the host is not known", true),
            _ => ("the connection failed", true),
        },
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("57P03") => ("it is starting up or shutting down", true),
            Some("53300") => ("it has no connection left for us", true),
            Some("3D000") => ("there is no database of that name; make it with `createdb`", true),
            _ => ("the server does not let us in", false),
        },
        _ => ("the server does not let us in", false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::postgres_server::PostgresServer;
    use crate::store::trouble::{Trouble, trouble};
    use crate::testing::until;

    #[test]
    fn both_engines_have_the_same_steps_by_number_and_name() {
        let of = |schema: &'static Migrator| {
            schema.iter().map(|step| (step.version, &*step.description)).collect::<Vec<_>>()
        };
        let steps = of(&SQLITE_SCHEMA);
        assert_eq!(steps, of(&POSTGRES_SCHEMA));
        assert!(steps.is_sorted_by(|one, next| one.0 < next.0), "{steps:?}");
    }

    #[test]
    fn limits_that_an_address_sets_are_kept() {
        let options: PgConnectOptions =
            "postgres://h/d?options=-c%20statement_timeout%3D3s".parse().unwrap();
        let given = limited(options, "on");
        let given = given.get_options().unwrap();
        assert_eq!(given.matches("statement_timeout").count(), 1, "{given}");
        assert!(given.contains("lock_timeout=8s"), "{given}");
    }

    #[tokio::test]
    async fn a_statement_that_does_not_end_is_ended_on_a_file_and_the_next_one_is_served() {
        const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
             SELECT COUNT(*) FROM n";
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("specwright.db");
        let store = open_sqlite(&path, Duration::from_millis(50)).await.unwrap();
        for _ in 0..SQLITE_READERS {
            let mut session = store.read().await.unwrap();
            let ended = session.query(ENDLESS).fetch_one::<(i64,)>().await.unwrap_err();
            assert_eq!(trouble(&ended), Some(Trouble::Busy), "{ended:?}");
            drop(session);
            store.answers().await.unwrap();
        }
        let mut write = store.write().await.unwrap();
        let insert = "INSERT INTO event_order (id, epoch, life, gone_txid, gone_ordinal)
             SELECT i, 'x', 'x', 0, 0 FROM (
                 WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n
             ) WHERE i < 0";
        let ended = write.query(insert).execute().await.unwrap_err();
        assert_eq!(trouble(&ended), Some(Trouble::Busy), "{ended:?}");
        drop(write);
        let mut write = store.write().await.unwrap();
        write.query("UPDATE event_order SET gone_txid = 0").execute().await.unwrap();
        write.commit().await.unwrap();
        store.close().await;
    }

    async fn synchronous_commit(store: &Store) -> String {
        let mut session = store.read().await.unwrap();
        let (is,): (String,) = session.query("SHOW synchronous_commit").fetch_one().await.unwrap();
        is
    }

    #[tokio::test]
    async fn a_server_that_says_committed_too_early_does_not_say_so_to_us() {
        let Some(server) = PostgresServer::start() else {
            return;
        };
        let mut connection = PgConnection::connect(&server.address()).await.unwrap();
        for (set, ours) in [
            ("ALTER ROLE postgres SET synchronous_commit = off", "on"),
            ("ALTER ROLE postgres SET synchronous_commit = remote_apply", "remote_apply"),
            ("ALTER ROLE postgres RESET synchronous_commit", "on"),
        ] {
            sqlx::query(set).execute(&mut connection).await.unwrap();
            let store = Store::open(&server.address()).await.unwrap();
            assert_eq!(synchronous_commit(&store).await, ours, "{set}");
            store.close().await;
        }
        // Nor when it is changed under us: an own session shows when the change has come.
        let store = Store::open(&server.address()).await.unwrap();
        assert_eq!(synchronous_commit(&store).await, "on");
        for change in ["ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()"] {
            sqlx::query(change).execute(&mut connection).await.unwrap();
        }
        until("the server has read its settings again", async || {
            let asked = sqlx::query_as("SELECT current_setting('synchronous_commit')");
            let mut fresh = PgConnection::connect(&server.address()).await.unwrap();
            let (now,): (String,) = asked.fetch_one(&mut fresh).await.unwrap();
            fresh.close().await.unwrap();
            (now == "off").then_some(())
        })
        .await;
        assert_eq!(synchronous_commit(&store).await, "on");
        store.close().await;
        connection.close().await.unwrap();
    }
}
