//! The spool: the only way out of a sandbox.
//!
//! What holds:
//! - a fact has a number if and only if its line is durable: numbers are given by one writer thread,
//!   and a caller gets its number after `fdatasync`;
//! - numbers rise by one, also over a restart;
//! - no known secret is in a line: values are redacted before they are written;
//! - `acked` never runs ahead of the control API: it is written after the answer, aside and renamed;
//!   losing it only means that known events are sent again;
//! - a torn last line was never given a number to anyone, so recovery cuts it. A broken line in the
//!   middle is damage that we did not do, and is refused.
//!
//! Policy of `fdatasync`: group commit. The writer takes what is queued (up to
//! [`writer::GROUP_MAX`] facts), writes it at once, syncs once, then answers all of them. A lone
//! fact costs one sync; a flood of tool results costs one per group.
//!
//! Deliberately absent: a limit of the disk and rotation. A planning run writes a few megabytes.

mod fold;
mod line;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use specwright_shared::id::EventId;
use specwright_shared::phase::Phase;
use specwright_shared::redact::Redactor;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::Event;
use tokio::sync::{mpsc, oneshot, watch};

pub use fold::Fold;
pub(crate) use reader::SpoolReader;

/// The name of the file with the facts.
pub(crate) const FACTS_FILE: &str = "events.jsonl";
/// The name of the file with the highest acknowledged number.
pub(crate) const ACKED_FILE: &str = "acked";
/// How many facts may wait for the writer; a caller beyond that waits with them.
const QUEUE_MAX: usize = 256;

/// Why the spool could not be opened, or a fact not be written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SpoolError {
    /// The directory or the file cannot be used.
    #[error("the spool in `{path}` cannot be opened; STATE_DIR must be writable: {why}")]
    Open {
        /// Where.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A line in the middle is not what was written.
    #[error(
        "the spool in `{path}` is damaged at byte {offset}; start over with an empty STATE_DIR"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where the line begins.
        offset: u64,
    },
    /// Writing or syncing failed; nothing more is taken after that.
    #[error("a fact could not be written to the spool; is the disk full? {why}")]
    Write {
        /// What the system said.
        why: String,
    },
    /// The spool was closed already.
    #[error("the spool is closed")]
    Closed,
}

/// A fact on its way to the disk.
pub(crate) struct Entry {
    pub(crate) id: EventId,
    pub(crate) at: Timestamp,
    pub(crate) phase: Option<Phase>,
    pub(crate) event: Event,
    pub(crate) reply: oneshot::Sender<Result<u64, SpoolError>>,
}

/// What was found when the spool was opened.
#[derive(Debug)]
pub struct Found {
    /// The highest number in it.
    pub last: u64,
    /// The highest number that the control API had acknowledged, as far as we know.
    pub acked: u64,
    /// What the facts in it add up to.
    pub fold: Fold,
}

/// The open spool.
#[derive(Debug)]
pub struct Spool {
    entries: mpsc::Sender<Entry>,
    durable: watch::Receiver<u64>,
    directory: PathBuf,
    writer: std::thread::JoinHandle<()>,
}

impl Spool {
    /// Opens the spool in a directory, cuts a torn last line, and adds up what is there. Writing
    /// begins with [`Recovered::start`].
    ///
    /// # Errors
    /// [`SpoolError::Open`], [`SpoolError::Damaged`]
    pub fn open(directory: &Path, redactor: Redactor) -> Result<(Recovered, Found), SpoolError> {
        let open = |error: std::io::Error| SpoolError::Open {
            path: directory.to_path_buf(),
            why: error.to_string(),
        };
        std::fs::create_dir_all(directory).map_err(open)?;
        let path = directory.join(FACTS_FILE);
        let scan = reader::scan(&path)?;
        let file = writer::open_cut(&path, scan.good_bytes).map_err(open)?;
        let acked = reader::read_acked(directory);
        let found = Found { last: scan.last, acked, fold: scan.fold };
        let recovered =
            Recovered { file, directory: directory.to_path_buf(), redactor, last: scan.last };
        Ok((recovered, found))
    }

    /// Writes a fact and waits until it is durable.
    ///
    /// # Errors
    /// [`SpoolError::Write`], [`SpoolError::Closed`]
    pub async fn record(
        &self,
        at: Timestamp,
        phase: Option<Phase>,
        event: Event,
    ) -> Result<u64, SpoolError> {
        let pending = self.submit(at, phase, event).await?;
        pending.await.map_err(|_| SpoolError::Closed)?
    }

    /// Hands a fact to the writer without waiting for the disk; the receiver gets its number. A
    /// failed write is seen by the next [`Spool::record`].
    ///
    /// # Errors
    /// [`SpoolError::Closed`]
    pub async fn submit(
        &self,
        at: Timestamp,
        phase: Option<Phase>,
        event: Event,
    ) -> Result<oneshot::Receiver<Result<u64, SpoolError>>, SpoolError> {
        let (reply, answer) = oneshot::channel();
        let entry = Entry { id: EventId(uuid::Uuid::now_v7()), at, phase, event, reply };
        self.entries.send(entry).await.map_err(|_| SpoolError::Closed)?;
        Ok(answer)
    }

    /// The highest durable number, and how to wait for it to rise.
    #[must_use]
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.durable.clone()
    }

    /// A reader that starts behind the acknowledged number.
    pub(crate) fn reader(&self, acked: u64) -> SpoolReader {
        SpoolReader::new(self.directory.clone(), acked)
    }

    /// Closes the spool and waits for the writer.
    pub async fn close(self) {
        drop(self.entries);
        let joined = tokio::task::spawn_blocking(move || self.writer.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the spool's writer ended with a panic");
        }
    }
}

/// A spool that was read and not yet opened for writing: the numbers of the control API are needed
/// before the first new fact.
#[derive(Debug)]
pub struct Recovered {
    file: std::fs::File,
    directory: PathBuf,
    redactor: Redactor,
    last: u64,
}

impl Recovered {
    /// Starts the writer. `stored` is the highest number that the control API has: numbers go on
    /// behind it even if this disk has lost some.
    ///
    /// # Errors
    /// [`SpoolError::Open`] when no thread can be started.
    pub fn start(self, stored: u64) -> Result<Spool, SpoolError> {
        let last = self.last.max(stored);
        let (durable_tx, durable) = watch::channel(last);
        let (entries, queue) = mpsc::channel(QUEUE_MAX);
        let (file, redactor) = (self.file, self.redactor);
        let writer = std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || writer::run(file, last, &redactor, queue, &durable_tx))
            .map_err(|error| SpoolError::Open {
                path: self.directory.clone(),
                why: error.to_string(),
            })?;
        Ok(Spool { entries, durable, directory: self.directory, writer })
    }
}
