//! The spool: the only way out of a sandbox.
//!
//! What holds:
//! 1. a fact has a number if and only if its line is durable: numbers are given by one writer thread,
//!    and a caller gets its number after `fdatasync`. A write that failed leaves nothing behind;
//! 2. numbers rise by one, also over a restart, also when every segment was deleted;
//! 3. no known secret is in a line: values are redacted before they are written;
//! 4. `acked` never runs ahead of the control API: it is written after the answer, in place; losing it
//!    only means that known events are sent again;
//! 5. a segment is deleted only when all of it is acknowledged, and what a worker started again must
//!    know of it is durable elsewhere first ([`kept`]);
//! 6. a torn last line was never given a number to anyone, so recovery cuts it. A broken line
//!    anywhere else is damage that we did not do, and is refused;
//! 7. the files stay within [`Limits`]. When room is short only droppable facts are given up, and
//!    the hole is declared by an event with counts ([`drops`]); a fact that must not be dropped is
//!    tried for a while, then refused to its caller, and nothing but the terminal fact is taken
//!    behind that hole;
//! 8. the terminal fact has room that nobody else may use, of real blocks ([`disk`]).
//!
//! Policy of `fdatasync`: group commit. The writer takes what is queued (up to a whole batch of the
//! wire), writes it at once, syncs once, then answers all of them. A lone fact costs one sync; a
//! flood of tool results costs one per group.
//!
//! Deliberately absent: compression on disk (bodies are compressed on the wire only), and repair of
//! damage in the middle.

mod disk;
mod drops;
mod fold;
mod kept;
mod limits;
mod line;
mod quarantine;
mod reader;
mod scan;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use specwright_shared::id::EventId;
use specwright_shared::phase::Phase;
use specwright_shared::redact::Redactor;
use specwright_shared::time::Timestamp;
use specwright_shared::trace::TraceId;
use specwright_shared::wire::event::Event;
use tokio::sync::{mpsc, oneshot, watch};

pub use fold::{Fold, Open};
pub use limits::{Limits, SPOOL_MAX_BYTES_DEFAULT, SPOOL_MAX_BYTES_MIN};
pub(crate) use reader::SpoolReader;

/// The name of the file with the highest acknowledged number.
const ACKED_FILE: &str = "acked";
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
    /// Writing or syncing failed for longer than we wait; only a terminal fact is taken after that.
    #[error("a fact could not be written to the spool; is the disk full? {why}")]
    Write {
        /// What the system said.
        why: String,
    },
    /// The limit is reached by facts that must not be dropped, and the control API takes none.
    #[error(
        "the spool holds the {max_bytes} bytes that SPOOL_MAX_BYTES allows, and the control API \
         takes nothing; a fact could not be written"
    )]
    Full {
        /// The limit.
        max_bytes: u64,
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
    /// Absent: that of the run.
    pub(crate) trace_id: Option<TraceId>,
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
    /// Told by the reader, heeded by the writer.
    acked: Arc<AtomicU64>,
    writer: std::thread::JoinHandle<()>,
}

impl Spool {
    /// Opens the spool in a directory, cuts a torn last line, and adds up what is there. Writing
    /// begins with [`Recovered::start`].
    ///
    /// # Errors
    /// [`SpoolError::Open`], [`SpoolError::Damaged`]
    pub fn open(directory: &Path, redactor: Redactor) -> Result<(Recovered, Found), SpoolError> {
        let (disk, found) = scan::scan(directory)?;
        let recovered = Recovered { disk, redactor, last: found.last, limits: Limits::default() };
        Ok((recovered, found))
    }

    /// Writes a fact and waits until it is durable. The answer is its number; for a droppable fact
    /// that was given up, it is the last number before it.
    ///
    /// # Errors
    /// [`SpoolError::Write`], [`SpoolError::Full`], [`SpoolError::Closed`]
    pub async fn record(
        &self,
        at: Timestamp,
        phase: Option<Phase>,
        event: Event,
    ) -> Result<u64, SpoolError> {
        self.record_in(None, at, phase, event).await
    }

    /// The same for a fact that belongs to another trace than the run's.
    ///
    /// # Errors
    /// [`SpoolError::Write`], [`SpoolError::Full`], [`SpoolError::Closed`]
    pub(crate) async fn record_in(
        &self,
        trace_id: Option<TraceId>,
        at: Timestamp,
        phase: Option<Phase>,
        event: Event,
    ) -> Result<u64, SpoolError> {
        let pending = self.submit_in(trace_id, at, phase, event).await?;
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
        self.submit_in(None, at, phase, event).await
    }

    /// The same for a fact that belongs to another trace than the run's.
    ///
    /// # Errors
    /// [`SpoolError::Closed`]
    pub(crate) async fn submit_in(
        &self,
        trace_id: Option<TraceId>,
        at: Timestamp,
        phase: Option<Phase>,
        event: Event,
    ) -> Result<oneshot::Receiver<Result<u64, SpoolError>>, SpoolError> {
        let (reply, answer) = oneshot::channel();
        let id = EventId(uuid::Uuid::now_v7());
        let entry = Entry { id, at, phase, trace_id, event, reply };
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
        SpoolReader::new(self.directory.clone(), acked, Arc::clone(&self.acked))
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
    disk: disk::Disk,
    redactor: Redactor,
    last: u64,
    limits: Limits,
}

impl Recovered {
    /// Sets how much disk the spool may take.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Takes out what this one knows, instead of what was known before.
    #[must_use]
    pub fn redacting(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// Starts the writer. `stored` is the highest number that the control API has: numbers go on
    /// behind it even if this disk has lost some.
    ///
    /// # Errors
    /// [`SpoolError::Open`] when no thread can be started.
    pub fn start(self, stored: u64) -> Result<Spool, SpoolError> {
        let last = self.last.max(stored);
        let (durable_tx, durable) = watch::channel(last);
        let (entries, queue) = mpsc::channel(QUEUE_MAX);
        let acked = Arc::new(AtomicU64::new(0));
        let directory = self.disk.directory.clone();
        let mut disk = self.disk;
        disk.limits = self.limits;
        disk.reserve();
        if last == 0 && !disk.has_reserve() {
            // Nothing is lost yet by not beginning; later it would be the report of the end.
            let bytes = self.limits.reserve_bytes;
            let why = format!("there is no room for the report of the run's end ({bytes} bytes)");
            return Err(SpoolError::Open { path: directory, why });
        }
        let writer = writer::Writer {
            disk,
            last,
            redactor: self.redactor,
            durable: durable_tx,
            acked: Arc::clone(&acked),
            drops: drops::Drops::default(),
            lost: None,
        };
        let writer = std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(|error| SpoolError::Open {
                path: directory.clone(),
                why: error.to_string(),
            })?;
        Ok(Spool { entries, durable, directory, acked, writer })
    }
}
