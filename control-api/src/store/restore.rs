//! A copy that [`super::backup`] made, put in the place of a SQLite database.
//!
//! What holds: nobody has the database open meanwhile, and whoever opens it waits until it is done.
//! What is put there was checked and brought up to date before; what was there is kept beside it, as is
//! what the restore before that had found. Broken off half-way it is told to who opens the database. The
//! restored database begins a new life: no cursor of the old one is taken for one of its own.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use specwright_shared::time::Timestamp;

use super::backup::{damage, file_of, open, sync_directory_of};
use super::held::{Held, beside};
use super::open::newest_sqlite_step;
use super::{Store, StoreError, event};

/// The files that SQLite keeps beside its own.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// What the file that is to take the place is called until it does.
pub(super) const RESTORING: &str = ".restoring";
/// What a file that was there before is called, with the time behind it.
const BEFORE: &str = ".before-";
/// How many of those are kept: the last one, and one more for who restored twice by mistake.
const BEFORE_MAX: usize = 2;

/// Why nothing was restored. The database is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The database is on a server, or nowhere.
    #[error("only a SQLite file can be restored this way; a PostgreSQL server has `pg_restore`")]
    NotSqlite,
    /// The copy cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The copy.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The copy is something else.
    #[error("{} is not a copy that `specwright backup` made", path.display())]
    NotACopy {
        /// The file.
        path: PathBuf,
        /// What SQLite says, if it does.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// The copy is damaged.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The copy.
        path: PathBuf,
        /// What SQLite says.
        why: String,
    },
    /// Someone has the database open.
    #[error(
        "a control API has {} open; end it first (`serve`, and every running `launch`)",
        .0.display()
    )]
    Open(PathBuf),
    /// The copy could not be opened as a store, or is of a newer version.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files could not be put in their places.
    #[error("the database at {} could not be replaced", path.display())]
    Replace {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What became of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the database that was there before is now; absent: there was none.
    pub aside: Option<PathBuf>,
    /// Databases that earlier restores had put aside, and that are no longer kept.
    pub removed: Vec<PathBuf>,
}

/// Puts a copy in the place of the database at `sqlite://…`.
///
/// # Errors
/// [`RestoreError`]; the database is as it was then.
pub async fn restore(address: &str, from: &Path, now: Timestamp) -> Result<Restored, RestoreError> {
    let database = file_of(address).ok_or(RestoreError::NotSqlite)?;
    check(from).await?;
    let replaced = |source| RestoreError::Replace { path: database.to_owned(), source };
    let held = Held::alone(database).map_err(replaced)?;
    let Some(held) = held else { return Err(RestoreError::Open(database.to_owned())) };
    let fresh = beside(database, RESTORING);
    remove_all_of(&fresh).map_err(replaced)?;
    crate::private::private_file(&fresh).map_err(replaced)?;
    let (source, target) = (from.to_owned(), fresh.clone());
    let copied = tokio::task::spawn_blocking(move || fs::copy(source, target)).await;
    copied.map_err(io::Error::other).and_then(|copied| copied).map_err(replaced)?;
    // In its own place, so that what fails here leaves the database alone.
    let prepared = prepare(&fresh).await;
    if let Err(error) = prepared {
        remove_all_of(&fresh).map_err(replaced)?;
        return Err(error.into());
    }
    let aside = replace(database, &fresh, now).map_err(replaced)?;
    remove_all_of(&fresh).map_err(replaced)?;
    drop(held);
    // The new one is in its place: what cannot be cleared away is no failure of that.
    let removed = remove_oldest_asides(database).unwrap_or_else(|error| {
        tracing::warn!(%error, "databases of earlier restores were not cleared away");
        Vec::new()
    });
    Ok(Restored { aside, removed })
}

/// Keeps the newest of the databases that restores put aside; says which went.
fn remove_oldest_asides(database: &Path) -> io::Result<Vec<PathBuf>> {
    let start = beside(database, BEFORE);
    let is_beside = |path: &PathBuf| {
        BESIDE.iter().any(|end| path.as_os_str().as_encoded_bytes().ends_with(end.as_bytes()))
    };
    let directory = database.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut asides = Vec::new();
    for entry in fs::read_dir(directory.unwrap_or(Path::new(".")))? {
        let path = database.with_file_name(entry?.file_name());
        let is_aside =
            path.as_os_str().as_encoded_bytes().starts_with(start.as_os_str().as_encoded_bytes());
        if is_aside && !is_beside(&path) {
            asides.push(path);
        }
    }
    // Their names end with the time.
    asides.sort_unstable();
    asides.truncate(asides.len().saturating_sub(BEFORE_MAX));
    for aside in &asides {
        remove_all_of(aside)?;
    }
    Ok(asides)
}

/// Whether a file is a copy that we can take.
async fn check(from: &Path) -> Result<(), RestoreError> {
    let path = || from.to_owned();
    File::open(from).map_err(|source| RestoreError::Read { path: path(), source })?;
    let alien = |source| RestoreError::NotACopy { path: path(), source: Some(source) };
    let mut connection = open(from).await.map_err(alien)?;
    if let Some(why) = damage(&mut connection).await.map_err(alien)? {
        return Err(RestoreError::Damaged { path: path(), why });
    }
    let step = "SELECT MAX(version) FROM _sqlx_migrations";
    let (step,): (Option<i64>,) =
        sqlx::query_as(step).fetch_one(&mut connection).await.map_err(alien)?;
    sqlx::query("SELECT 1 FROM specs LIMIT 1").execute(&mut connection).await.map_err(alien)?;
    match step {
        None => Err(RestoreError::NotACopy { path: path(), source: None }),
        Some(step) if step > newest_sqlite_step() => Err(StoreError::NewerSchema(step).into()),
        Some(_) => Ok(()),
    }
}

async fn prepare(fresh: &Path) -> Result<(), StoreError> {
    let store = Store::open(&format!("sqlite://{}", fresh.display())).await?;
    let mut write = store.write().await?;
    event::order::begin_life(&mut write).await?;
    write.commit().await?;
    store.close().await;
    Ok(())
}

/// Puts the old files aside and the new one in their place.
fn replace(database: &Path, fresh: &Path, now: Timestamp) -> io::Result<Option<PathBuf>> {
    File::open(fresh)?.sync_all()?;
    let aside = beside(database, &format!("{BEFORE}{}", now.as_utc().format("%Y%m%dT%H%M%S%6f")));
    let had_one = database.exists();
    // What a crash left in the log belongs to the old file. Its name goes first: a file without its
    // log would be an older one.
    for ending in ["", "-wal", "-shm"] {
        let (old, new) = (beside(database, ending), beside(&aside, ending));
        if old.exists() {
            fs::rename(old, new)?;
        }
    }
    fs::rename(fresh, database)?;
    sync_directory_of(database)?;
    Ok(had_one.then_some(aside))
}

/// Takes a database away, with all that stands beside it.
fn remove_all_of(path: &Path) -> io::Result<()> {
    for ending in ["", "-open", "-migrate"].into_iter().chain(BESIDE) {
        match fs::remove_file(beside(path, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
