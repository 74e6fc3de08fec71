//! Who has a SQLite file open, as locks on two small files beside it.
//!
//! What holds: every control API on a file holds `…-open` together with others, as long as it has the
//! file open; whoever wants to put another file in its place needs it alone. The kernel lets go of a
//! lock when its process ends, however it ends. The files stay: a lock on one that is taken away and
//! made anew would be no lock.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A claim on a SQLite file; gone with the value.
#[derive(Debug)]
pub(crate) struct Held {
    _lock: File,
}

impl Held {
    /// Says that the file is open. Waits while another one is being put in its place.
    pub(super) async fn open(database: &Path) -> io::Result<Self> {
        let file = lock_file(database, "-open")?;
        let locked = tokio::task::spawn_blocking(move || file.lock_shared().map(|()| file));
        Ok(Self { _lock: locked.await.map_err(io::Error::other)?? })
    }

    /// Claims it for us alone; `None`: someone has it open.
    pub(super) fn alone(database: &Path) -> io::Result<Option<Self>> {
        let file = lock_file(database, "-open")?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _lock: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Waits until no other process opens or migrates the same file; while the answer is kept, none does.
/// sqlx takes a lock of its own on PostgreSQL only, and two commands may start at once.
pub(super) async fn alone(database: &Path) -> io::Result<File> {
    let file = lock_file(database, "-migrate")?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    locked.await.map_err(io::Error::other)?
}

/// The path with something behind its name.
pub(super) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn lock_file(database: &Path, ending: &str) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600).open(beside(database, ending))
}
