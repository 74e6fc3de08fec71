//! A copy of a SQLite database while it is being written, of one moment.
//!
//! What holds: the copy is whole, checked and on disk before it has its name; nothing that is there is
//! written over. It is one file, readable for its owner alone: it holds ideas and transcripts, and
//! credentials only as they are sealed.
//!
//! Deliberately absent: PostgreSQL, which has tools of its own for that.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::held::{Held, beside};

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database is on a server, or nowhere.
    #[error(
        "only a SQLite file can be copied this way; a PostgreSQL server has `pg_dump` and \
         `pg_basebackup`"
    )]
    NotSqlite,
    /// There is no such database.
    #[error("there is no database at {}", .0.display())]
    NoDatabase(PathBuf),
    /// The name of the copy is taken.
    #[error("{} is there already, and nothing is written over; give another name", .0.display())]
    Taken(PathBuf),
    /// The copy could not be written.
    #[error("the copy could not be written to {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// SQLite could not make it.
    #[error("the database at {} could not be copied", path.display())]
    Copy {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// What was copied is damaged.
    #[error("the copy of {} is damaged, so the database may be, too: {why}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        why: String,
    },
}

/// The file of a SQLite address.
pub(super) fn file_of(address: &str) -> Option<&Path> {
    address.strip_prefix("sqlite://").map(Path::new)
}

/// Copies the database at `sqlite://…` into a file; says how many bytes that has. Others may read and
/// write the database meanwhile.
///
/// # Errors
/// [`BackupError`]; no file of that name is left then.
pub async fn backup(address: &str, to: &Path) -> Result<u64, BackupError> {
    let database = file_of(address).ok_or(BackupError::NotSqlite)?;
    if !database.exists() {
        return Err(BackupError::NoDatabase(database.to_owned()));
    }
    if to.exists() {
        return Err(BackupError::Taken(to.to_owned()));
    }
    let written = |source| BackupError::Write { path: to.to_owned(), source };
    let held = Held::open(database).await.map_err(written)?;
    let part = beside(to, ".part");
    let copied = copy(database, &part).await;
    drop(held);
    if copied.is_ok() {
        put(&part, to).map_err(written)
    } else {
        // What is left of it is worth nothing; the reason is what counts.
        drop(std::fs::remove_file(&part));
        copied.map(|()| 0)
    }
}

async fn copy(database: &Path, part: &Path) -> Result<(), BackupError> {
    let written = |source| BackupError::Write { path: part.to_owned(), source };
    let failed = |source| BackupError::Copy { path: database.to_owned(), source };
    // Of an earlier try that was broken off. SQLite takes an empty file for one that is not there.
    File::create(part).and_then(|file| file.set_len(0)).map_err(written)?;
    crate::private::private_file(part).map_err(written)?;
    let mut connection = open(database).await.map_err(failed)?;
    sqlx::query("VACUUM INTO $1")
        .bind(part.display().to_string())
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    connection.close().await.map_err(failed)?;
    let mut connection = open(part).await.map_err(failed)?;
    let damage = damage(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    damage.map_or(Ok(()), |why| Err(BackupError::Damaged { path: database.to_owned(), why }))
}

/// Opens a file to read it as it is.
pub(super) async fn open(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new().filename(path).read_only(true).connect().await
}

/// What SQLite finds wrong with a file.
pub(super) async fn damage(
    connection: &mut SqliteConnection,
) -> Result<Option<String>, sqlx::Error> {
    let (found,): (String,) =
        sqlx::query_as("PRAGMA integrity_check(1)").fetch_one(connection).await?;
    Ok((found != "ok").then_some(found))
}

/// Gives a whole file its name, for good.
fn put(part: &Path, to: &Path) -> io::Result<u64> {
    let file = File::open(part)?;
    file.sync_all()?;
    std::fs::rename(part, to)?;
    sync_directory_of(to)?;
    Ok(file.metadata()?.len())
}

/// Makes a change of names below a directory survive a power cut.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
