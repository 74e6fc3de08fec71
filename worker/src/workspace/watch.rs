//! File changes: that something changed is seen by the operating system's watcher, what changed is
//! git's word ([`super::shadow`]). Evidence, not the judge (that is the fingerprint).
//!
//! What holds: changes are gathered until there is a moment's rest, a bounded time; the queues are
//! bounded, and what does not fit is counted and said; who asks for all that changed by now
//! ([`Watch::catch_up`]) is answered behind the last of it. In a directory that is no clone of ours, and
//! where git cannot be asked, changes are named as the watcher saw them.
//!
//! The watcher is set up in the background, since it needs one watch per directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use notify::event::{EventKind, ModifyKind, RenameMode};
use notify::{RecursiveMode, Watcher as _};
use specwright_shared::wire::event::{FileChange, FileEdited};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::shadow::{Shadow, mark, named};

/// The most changes that wait; a reset of a large clone would otherwise fill the memory.
const QUEUE_MAX: usize = 512;
/// Questions whether all is told: one at a time, and one that was given up.
const QUESTIONS_MAX: usize = 2;
/// So long nothing must change before it is looked: one edit is several events.
const REST: Duration = Duration::from_millis(60);
/// And at the latest after this, while changes go on.
const GATHER_MAX: Duration = Duration::from_millis(500);

/// What the watcher tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A file changed.
    Changed(FileEdited),
    /// Something cannot be watched or asked, for a reason.
    Unavailable(String),
}

/// The end of the queue that is read.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What was seen.
    pub(crate) seen: mpsc::Receiver<Seen>,
    lost: Arc<AtomicU64>,
    tool_open: Arc<AtomicBool>,
    ask: mpsc::Sender<oneshot::Sender<()>>,
}

impl Watch {
    /// How many changes did not fit since the last question.
    pub(crate) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    /// Answered when everything that changed by now is in the queue; closed if nobody watches.
    pub(crate) fn catch_up(&self) -> oneshot::Receiver<()> {
        let (answer, answered) = oneshot::channel();
        // Whoever asks waits for the answer before the next question: there is room.
        drop(self.ask.try_send(answer));
        answered
    }

    /// Whether a tool call is open, for changes that are seen from now on.
    pub(crate) fn tool_is_open(&self, open: bool) {
        self.tool_open.store(open, Ordering::Relaxed);
    }
}

/// A change as the watcher saw it.
#[derive(Debug)]
struct Noticed {
    path: PathBuf,
    change: FileChange,
    during_tool: bool,
}

/// Starts watching; the returned future holds the watcher until it is stopped.
pub(crate) fn start(
    directory: PathBuf,
    shadow: Option<Shadow>,
    stop: CancellationToken,
) -> (Watch, impl Future<Output = ()> + Send) {
    let (tell, seen) = mpsc::channel(QUEUE_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let tool_open = Arc::new(AtomicBool::new(false));
    let (ask, asked) = mpsc::channel(QUESTIONS_MAX);
    let watch = Watch { seen, lost: Arc::clone(&lost), tool_open: Arc::clone(&tool_open), ask };
    let watching = async move {
        let (notice, noticed) = mpsc::channel(QUEUE_MAX);
        let (root, drops) = (directory.clone(), Arc::clone(&lost));
        let made = tokio::task::spawn_blocking(move || {
            let base = root.clone();
            let told = move |event| {
                let during_tool = tool_open.load(Ordering::Relaxed);
                for (path, change) in changes(&base, event) {
                    if notice.try_send(Noticed { path, change, during_tool }).is_err() {
                        drops.fetch_add(1, Ordering::Relaxed);
                    }
                }
            };
            // A link may lead anywhere, and the agent may have made it.
            let settings = notify::Config::default().with_follow_symlinks(false);
            let mut watcher = notify::RecommendedWatcher::new(told, settings)?;
            watcher.watch(&root, RecursiveMode::Recursive).map(|()| watcher)
        });
        match made.await {
            Ok(Ok(watcher)) => {
                let looking = look_on(noticed, asked, shadow, &tell, &lost);
                // Stopped or not: what was seen by then is all there is.
                stop.run_until_cancelled(looking).await;
                drop(watcher);
            }
            Ok(Err(error)) => {
                let why = format!("file changes in {directory:?} cannot be watched: {error}");
                say(&tell, why).await;
            }
            Err(error) => tracing::error!(%error, "the file watcher could not be set up"),
        }
    };
    (watch, watching)
}

async fn say(tell: &mpsc::Sender<Seen>, why: String) {
    if tell.send(Seen::Unavailable(why)).await.is_err() {
        tracing::debug!("the run is over; nobody asks for file changes");
    }
}

/// Gathers what is noticed, looks, tells; until nobody listens.
async fn look_on(
    mut noticed: mpsc::Receiver<Noticed>,
    mut asked: mpsc::Receiver<oneshot::Sender<()>>,
    mut shadow: Option<Shadow>,
    tell: &mpsc::Sender<Seen>,
    lost: &AtomicU64,
) {
    if shadow.is_none() {
        let why = "File changes are named without content: WORKSPACE_DIR is not a clone of ours.";
        say(tell, why.to_owned()).await;
    }
    if let Some(opened) = &mut shadow
        && let Err(error) = opened.open().await
    {
        say(tell, format!("File changes are named without content: {error}.")).await;
        shadow = None;
    }
    loop {
        let (first, answer) = tokio::select! {
            Some(first) = noticed.recv() => (Some(first), None),
            // What the system has not handed over yet comes within a moment.
            Some(answer) = asked.recv() => {
                (timeout(REST, noticed.recv()).await.ok().flatten(), Some(answer))
            }
            else => return,
        };
        let seen = match first {
            Some(first) => gather(first, &mut noticed).await,
            None => BTreeMap::new(),
        };
        let files = match &mut shadow {
            // Before the watcher was set up it noticed nothing; git knows all the same.
            _ if seen.is_empty() && answer.is_none() => Vec::new(),
            None => by_name(seen),
            Some(shadow) => {
                let hinted: BTreeSet<PathBuf> = seen.keys().cloned().collect();
                match shadow.look(&hinted).await {
                    Ok(mut found) => {
                        lost.fetch_add(found.more, Ordering::Relaxed);
                        let tools = seen.into_iter().map(|(path, seen)| (path, seen.during_tool));
                        mark(&mut found.files, &tools.collect());
                        found.files
                    }
                    Err(error) => {
                        tracing::warn!(%error, "git could not say what changed");
                        by_name(seen)
                    }
                }
            }
        };
        for file in files {
            if tell.send(Seen::Changed(file)).await.is_err() {
                return;
            }
        }
        if let Some(answer) = answer {
            // Who asked may have given up.
            answer.send(()).ok();
        }
    }
}

async fn gather(
    first: Noticed,
    noticed: &mut mpsc::Receiver<Noticed>,
) -> BTreeMap<PathBuf, Noticed> {
    let latest = Instant::now() + GATHER_MAX;
    let mut seen: BTreeMap<PathBuf, Noticed> = BTreeMap::new();
    let mut next = Some(first);
    while let Some(mut one) = next {
        if let Some(before) = seen.remove(&one.path) {
            one.during_tool |= before.during_tool;
            if before.change == FileChange::Created && one.change == FileChange::Modified {
                one.change = FileChange::Created;
            }
        }
        seen.insert(one.path.clone(), one);
        let rest = (Instant::now() + REST).min(latest);
        next = if seen.len() < QUEUE_MAX {
            timeout_at(rest, noticed.recv()).await.ok().flatten()
        } else {
            None
        };
    }
    seen
}

fn by_name(seen: BTreeMap<PathBuf, Noticed>) -> Vec<FileEdited> {
    let change = |one: Noticed| FileEdited {
        during_tool: Some(one.during_tool),
        ..named(&one.path, one.change)
    };
    seen.into_values().map(change).collect()
}

fn changes(base: &Path, event: notify::Result<notify::Event>) -> Vec<(PathBuf, FileChange)> {
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
        .map(|path| (path.to_path_buf(), change))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No change takes longer to be told.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn without_git_changes_are_named_with_whether_a_tool_was_open() {
        let place = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let (mut watch, watching) = start(place.path().to_path_buf(), None, stop.clone());
        watch.tool_is_open(true);
        let watching = tokio::spawn(watching);
        let mut number = 0;
        // The watcher is set up in the background: what it has not seen is written again.
        let seen = tokio::time::timeout(PATIENCE, async {
            loop {
                number += 1;
                std::fs::write(place.path().join(format!("{number}.txt")), "x").unwrap();
                let told = tokio::time::timeout(REST * 4, watch.seen.recv()).await;
                if let Ok(Some(Seen::Changed(file))) = told {
                    return file;
                }
            }
        });
        let seen = seen.await.expect("a change was told");
        assert!(seen.path.ends_with(".txt") && seen.during_tool == Some(true), "{seen:?}");
        stop.cancel();
        watching.await.unwrap();
    }

    #[tokio::test]
    async fn gathering_keeps_one_change_for_each_path_and_any_open_tool() {
        let (notice, mut noticed) = mpsc::channel(8);
        let one = |during_tool, change| Noticed { path: "a".into(), change, during_tool };
        notice.send(one(false, FileChange::Modified)).await.unwrap();
        let seen = gather(one(true, FileChange::Created), &mut noticed).await;
        let kept: Vec<_> = seen.values().map(|one| (one.change, one.during_tool)).collect();
        assert_eq!(kept, [(FileChange::Created, true)]);
    }
}
