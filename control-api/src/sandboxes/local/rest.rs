//! Delivering what a worker left behind: the worker program is started once more in the place, finds by
//! its `hello` that it is there to deliver and for nothing else, and exits.
//!
//! What holds: it is bounded in time; it gets no key and no agent; it ends with this process; when this
//! comes back, nothing of it runs.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitStatus;

use serde_json::Value;
use specwright_shared::id::SandboxId;
use specwright_shared::outcome::Outcome;

use super::{
    Directories, Local, Place, STATE, StartError, directory_of, environment, leftovers, note,
};
use crate::app::App;
use crate::sandboxes::{Life, Rest, salvage};

/// Where the worker keeps its facts, in its state. What is in it is the worker's own affair.
const SPOOL: &str = "spool";

/// Why what was left was not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestError {
    /// The worker could not be started.
    #[error("no worker could be started to deliver what was left")]
    Start(#[from] StartError),
    /// It ended otherwise than after its work.
    #[error("the worker that was to deliver what was left ended before ({0})")]
    Ended(ExitStatus),
    /// It cannot be waited for.
    #[error("the worker that was to deliver what was left cannot be waited for")]
    Wait(#[source] io::Error),
    /// It took too long, or this control API is ending.
    #[error("the worker that was to deliver what was left was ended before it had")]
    CutShort,
}

/// Whether a worker has left facts in a place that is here.
pub(crate) fn has_rest(data: &Path, sandbox: SandboxId, place: Option<&Value>) -> bool {
    // Without a place it was this machine's: its control API was gone before it had noted it.
    let here = place.is_none_or(|place| Place::read(place).is_some_and(|place| place.is_here()));
    let spool = directory_of(data, sandbox).join(STATE).join(SPOOL);
    here && spool.read_dir().is_ok_and(|mut entries| entries.next().is_some())
}

/// This process.
pub(crate) fn ourselves() -> Value {
    Place::of(std::process::id()).map(|place| place.to_value()).unwrap_or_default()
}

/// Whether a process is seen to be gone.
pub(crate) fn is_gone(process: &Value) -> bool {
    Place::read(process).is_some_and(|process| matches!(process.life(), Life::Gone(_)))
}

impl Local {
    /// Delivers what was left in a place.
    pub(in crate::sandboxes) async fn deliver_rest(
        &self,
        app: &App,
        rest: Rest,
    ) -> Result<(), RestError> {
        let sandbox = rest.sandbox;
        let directories = Directories::make(&app.data_dir, sandbox, rest.spec).await?;
        let environment: Vec<(OsString, OsString)> =
            environment::to_deliver(self, &rest, &directories);
        let (mut child, place) = self.spawn(&directories, environment)?;
        let first = self.observed().insert(sandbox);
        let noted = note(app, sandbox, &place).await;
        let exit = if matches!(noted, Ok(true)) {
            tokio::select! {
                exit = child.wait() => Some(exit),
                () = tokio::time::sleep(salvage::TRY_MAX) => None,
                () = app.shutdown.cancelled() => None,
            }
        } else {
            None
        };
        if exit.is_none() {
            place.end().await;
            // Reaps it; how it ended is of no interest.
            drop(child.wait().await);
        }
        place.kill_group();
        leftovers::end(sandbox, &directory_of(&app.data_dir, sandbox)).await;
        if first {
            self.observed().remove(&sandbox);
        }
        noted.map_err(StartError::Store)?;
        let exit = exit.ok_or(RestError::CutShort)?.map_err(RestError::Wait)?;
        // What a worker says that has delivered all and has no run of its own.
        if exit.code() == Some(Outcome::Fenced.exit_code().into()) {
            Ok(())
        } else {
            Err(RestError::Ended(exit))
        }
    }
}
