//! Watches one worker until it exits, and says so when it exits without a report.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use specwright_shared::id::SandboxId;
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::SandboxState;
use specwright_shared::text::Line;
use tokio::process::Child;

use super::{Place, WORKSPACE, directory_of, has_rest, leftovers};
use crate::app::App;
use crate::problem::chain;
use crate::sandboxes::{Provider, salvage};
use crate::store::{self, StoreError};
use crate::wake::Find;

/// How long a report may come behind its worker's exit: it is in the kernel's buffers by then.
const REPORT: Duration = Duration::from_secs(2);
/// The exit code of a worker that refuses its settings; no outcome has it (`Outcome::exit_code`).
const REFUSED_SETTINGS: i32 = 2;
/// How much of the log's end is looked at for its last line.
const TAIL_BYTES: u64 = 4096;

/// Whether a sandbox has ended.
struct HasEnded(bool);

impl Find for HasEnded {
    fn is_found(&self) -> bool {
        self.0
    }
}

/// Waits for the worker's exit. At shutdown it stops watching and leaves the worker alone: whether
/// that one ends, too, was decided before.
pub(super) async fn until_exit(
    app: App,
    sandbox: SandboxId,
    place: Place,
    mut child: Child,
    log: PathBuf,
) {
    let exit = tokio::select! {
        exit = child.wait() => exit,
        () = app.shutdown.cancelled() => return,
    };
    tracing::debug!(%sandbox, ?exit, "a worker exited");
    // Before its end is noted: who reads that a run is over finds nothing of it running.
    place.kill_group();
    leftovers::end(sandbox, &directory_of(&app.data_dir, sandbox)).await;
    match settle(&app, sandbox, exit, &log).await {
        // Its clone is large, and a later run makes its own; its state and its log stay.
        Ok(true) => remove(&directory_of(&app.data_dir, sandbox).join(WORKSPACE)).await,
        // Nobody knows what it was doing: whoever looks into it finds all as it was.
        Ok(false) => {}
        Err(error) => {
            // The reconciler finds it again: its process is gone.
            tracing::error!(%sandbox, error = chain(&error), "a worker's exit could not be noted");
        }
    }
    let Provider::Local(local) = &app.provider;
    local.observed().remove(&sandbox);
}

async fn remove(directory: &Path) {
    match tokio::fs::remove_dir_all(directory).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(directory = %directory.display(), %error, "a clone was not removed");
        }
        _ => {}
    }
}

/// Notes the end of a worker. Says whether its run had ended before, by its report or because someone
/// ended it. What it had not sent is delivered first.
async fn settle(
    app: &App,
    sandbox: SandboxId,
    exit: io::Result<ExitStatus>,
    log: &Path,
) -> Result<bool, StoreError> {
    let ended = async || {
        let mut session = app.store.read().await?;
        let found = store::sandbox::find(&mut session, sandbox).await?;
        let ended = found.is_none_or(|sandbox| sandbox.state == SandboxState::Ended);
        Ok::<_, StoreError>(HasEnded(ended))
    };
    // A report that is still in the kernel's buffers is in the spool, too: where there is one, nobody
    // has to wait. Not cut short by a shutdown: it is bounded, and the report matters most then.
    let never = tokio_util::sync::CancellationToken::new();
    let wait = if has_rest(&app.data_dir, sandbox, None) { Duration::ZERO } else { REPORT };
    if app.wakes.until_found(sandbox.0, wait, &never, ended).await?.0 {
        return Ok(true);
    }
    // Read before another worker writes into the log.
    let (outcome, message) = verdict(&exit, log);
    salvage::then_end(app, sandbox, outcome, &message).await?;
    Ok(false)
}

/// What an exit without a report means. A worker that refuses its settings has said why and never
/// began; all others are lost.
fn verdict(exit: &io::Result<ExitStatus>, log: &Path) -> (Outcome, String) {
    let last = last_line(log);
    let refused = exit.as_ref().is_ok_and(|status| status.code() == Some(REFUSED_SETTINGS));
    if let Some(line) = last.as_ref().filter(|_| refused) {
        return (Outcome::WorkerError, format!("the worker refused its settings: {line}"));
    }
    let mut message =
        format!("the worker {} without a report; its log is at {}", how(exit), log.display());
    if let Some(line) = last {
        message.push_str(&format!(" and ends with: {line}"));
    }
    (Outcome::Lost, message)
}

fn how(exit: &io::Result<ExitStatus>) -> String {
    match exit {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended in an unknown way".to_owned(),
        },
        Err(error) => format!("ended in an unknown way ({error})"),
    }
}

/// The log's last line that says something, made fit to be shown; `None` when there is none, or
/// when the log cannot be read, which must not hide how the worker ended.
fn last_line(log: &Path) -> Option<Line> {
    let mut file = std::fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    tail.lines().rev().find_map(Line::fitted)
}
