//! File changes, as the operating system reports them: evidence, not the judge (that is the
//! fingerprint).
//!
//! The watcher is set up in the background, since it needs one watch per directory. The queue is
//! bounded; what does not fit is counted and said.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use notify::event::{EventKind, ModifyKind, RenameMode};
use notify::{RecursiveMode, Watcher as _};
use specwright_shared::wire::event::{FileChange, FileEdited};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The most changes that wait; a reset of a large clone would otherwise fill the memory.
const QUEUE_MAX: usize = 512;

/// What the watcher tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A file changed.
    Changed(FileEdited),
    /// There is no watcher, for a reason.
    Unavailable(String),
}

/// The end of the queue that is read.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What was seen.
    pub(crate) seen: mpsc::Receiver<Seen>,
    lost: Arc<AtomicU64>,
}

impl Watch {
    /// How many changes did not fit since the last question.
    pub(crate) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

/// Starts watching; the returned future holds the watcher until it is stopped.
pub(crate) fn start(
    directory: PathBuf,
    stop: CancellationToken,
) -> (Watch, impl Future<Output = ()> + Send) {
    let (tell, seen) = mpsc::channel(QUEUE_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let watch = Watch { seen, lost: Arc::clone(&lost) };
    let hold = async move {
        let (failed, root) = (tell.clone(), directory.clone());
        let made = tokio::task::spawn_blocking(move || {
            let base = root.clone();
            let mut watcher = notify::recommended_watcher(move |event| {
                for change in changes(&base, event) {
                    if tell.try_send(Seen::Changed(change)).is_err() {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })?;
            watcher.watch(&root, RecursiveMode::Recursive).map(|()| watcher)
        });
        match made.await {
            Ok(Ok(watcher)) => {
                stop.cancelled().await;
                drop(watcher);
            }
            Ok(Err(error)) => {
                let why = format!("file changes in {directory:?} cannot be watched: {error}");
                if failed.send(Seen::Unavailable(why)).await.is_err() {
                    tracing::debug!("the run is over; nobody asks for file changes");
                }
            }
            Err(error) => tracing::error!(%error, "the file watcher could not be set up"),
        }
    };
    (watch, hold)
}

fn changes(base: &Path, event: notify::Result<notify::Event>) -> Vec<FileEdited> {
    let Ok(event) = event else { return Vec::new() };
    let change = match event.kind {
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
            FileChange::Created
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => {
            FileChange::Deleted
        }
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => FileChange::Modified,
        _ => return Vec::new(),
    };
    event
        .paths
        .iter()
        .map(|path| path.strip_prefix(base).unwrap_or(path))
        .filter(|path| !path.components().any(|part| part.as_os_str() == ".git"))
        .map(|path| FileEdited { path: path.to_string_lossy().into_owned(), change })
        .collect()
}
