//! The local provider: a worker as a process group on this machine, with directories of its own and
//! an environment made from an allow-list.
//!
//! What holds: every worker that this process started is observed until it exits; a worker that
//! exits without a report leaves its sandbox `lost` with the way it ended and where its log is; when a
//! worker is gone, whatever it or its agent started is killed ([`leftovers`]), and what it had not
//! sent is delivered ([`rest`]); when a run has ended
//! with its report, its clone is removed, and its state and log are kept. Deliberately absent:
//! isolation. A local sandbox is a place, not a wall; containers are.

mod environment;
mod leftovers;
mod observe;
mod place;
mod rest;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use specwright_shared::id::{SandboxId, SpecId};
use tokio::process::{Child, Command};
use uuid::Uuid;

pub(crate) use self::environment::DEFAULT_AGENT;
#[cfg(test)]
pub(crate) use self::leftovers::{LABEL, MARK};
use self::place::Place;
pub(crate) use self::rest::RestError;
pub(super) use self::rest::{has_rest, is_gone, ourselves};
use super::{Life, Listed, Start};
use crate::app::App;
use crate::config::WorkerProgram;
use crate::store::{self, StoreError};

/// Where a sandbox has its clone, in its own directory.
const WORKSPACE: &str = "workspace";
/// Where its worker keeps what must survive it.
const STATE: &str = "state";

/// The local provider's settings, and which sandboxes it observes.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) worker: WorkerProgram,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) die_with_parent: bool,
    /// Where workers find this control API.
    pub(crate) url: String,
    /// The label of this deployment's places.
    deployment: Uuid,
    observed: Arc<Mutex<HashSet<SandboxId>>>,
}

/// The directories of one sandbox.
#[derive(Debug)]
struct Directories {
    workspace: PathBuf,
    state: PathBuf,
    output: PathBuf,
    log: PathBuf,
}

/// Why a local sandbox could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// A directory or the log could not be made.
    #[error("{} could not be made", path.display())]
    Directory { path: PathBuf, source: io::Error },
    /// The worker program could not be run.
    #[error("the worker program {} could not be started", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    /// It is gone before it could be looked at.
    #[error("the worker program {} was gone at once; its log is at {}", program.display(), log.display())]
    GoneAtOnce { program: PathBuf, log: PathBuf },
    /// The place could not be noted.
    #[error("the sandbox's place could not be stored")]
    Store(#[from] StoreError),
    /// Someone ended the sandbox while it was being started.
    #[error("the sandbox was ended while it was being started")]
    EndedMeanwhile,
}

impl Local {
    /// A provider that has started nothing yet.
    pub(crate) fn new(
        worker: WorkerProgram,
        environment: Vec<(OsString, OsString)>,
        die_with_parent: bool,
        url: String,
        deployment: Uuid,
    ) -> Self {
        leftovers::adopt_orphans();
        let observed = Arc::default();
        Self { worker, environment, die_with_parent, url, deployment, observed }
    }

    /// Starts a worker, notes its place, and observes it from then on. A start that fails leaves
    /// nothing but its log.
    pub(super) async fn start(&self, app: &App, start: Start) -> Result<(), StartError> {
        let sandbox = start.sandbox;
        let started = self.make(app, start).await;
        if started.is_err() {
            let own = directory_of(&app.data_dir, sandbox);
            leftovers::end(sandbox, &own).await;
            for made in [own.join(WORKSPACE), own.join(STATE)] {
                // What is not there was not made.
                tokio::fs::remove_dir_all(made).await.ok();
            }
        }
        started
    }

    async fn make(&self, app: &App, start: Start) -> Result<(), StartError> {
        let directories = Directories::make(&app.data_dir, start.sandbox, start.spec).await?;
        let environment = environment::of(self, &start, &directories);
        let (mut child, place) = self.spawn(&directories, environment)?;
        // Ours to judge from here on: the reconciler would only see that it is gone, not how.
        self.observed().insert(start.sandbox);
        let noted = note(app, start.sandbox, &place).await;
        if !matches!(noted, Ok(true)) {
            self.observed().remove(&start.sandbox);
            place.end().await;
            // Reaps it; how it ended is of no interest.
            drop(child.wait().await);
            return Err(noted.map_or_else(StartError::Store, |_| StartError::EndedMeanwhile));
        }
        app.tasks.spawn(observe::until_exit(
            app.clone(),
            start.sandbox,
            place,
            child,
            directories.log,
        ));
        Ok(())
    }

    /// Starts the worker program in a place's directories, in a process group of its own.
    fn spawn(
        &self,
        directories: &Directories,
        environment: Vec<(OsString, OsString)>,
    ) -> Result<(Child, Place), StartError> {
        let log = open_log(&directories.log)?;
        let log_again = log
            .try_clone()
            .map_err(|source| StartError::Directory { path: directories.log.clone(), source })?;
        let program = self.worker.program.clone();
        let child = Command::new(&program)
            .args(&self.worker.arguments)
            // For people who look at the process table: which sandbox this is.
            .arg(&directories.state)
            .env_clear()
            .envs(environment)
            .current_dir(&directories.workspace)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_again)
            .process_group(0)
            .spawn()
            .map_err(|source| StartError::Spawn { program: program.clone(), source })?;
        // Not reaped before `wait`, so its `/proc` entry is there even when it has exited.
        let Some(place) = child.id().and_then(Place::of) else {
            return Err(StartError::GoneAtOnce { program, log: directories.log.clone() });
        };
        Ok((child, place))
    }

    fn observed(&self) -> std::sync::MutexGuard<'_, HashSet<SandboxId>> {
        // A set is valid between any two steps, also when a holder panicked.
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sandboxes that this process started and that have not been noted as over.
    pub(crate) fn observed_ids(&self) -> Vec<SandboxId> {
        self.observed().iter().copied().collect()
    }

    pub(super) fn life(&self, sandbox: SandboxId, place: Option<&Value>) -> Life {
        if self.observed().contains(&sandbox) {
            // Its observer will say so when it is gone, and how.
            return Life::Alive;
        }
        match place.and_then(Place::read) {
            Some(place) => place.life(),
            None => Life::Unknown,
        }
    }

    pub(super) fn is_watched(&self, sandbox: SandboxId, place: Option<&Value>) -> bool {
        let by_another = || place.and_then(Place::read).is_some_and(|place| place.is_watched());
        self.observed().contains(&sandbox) || by_another()
    }

    /// What runs on this machine under this deployment's label.
    pub(super) fn list(&self) -> Vec<Listed> {
        leftovers::list(self.deployment)
    }

    pub(super) async fn end_listed(&self, app: &App, sandbox: SandboxId) {
        leftovers::end(sandbox, &directory_of(&app.data_dir, sandbox)).await;
    }

    pub(super) async fn end(&self, app: &App, sandbox: SandboxId, place: Option<&Value>) {
        let Some(place) = place.and_then(Place::read) else { return };
        let directory = directory_of(&app.data_dir, sandbox);
        // Who watches the worker ends what it leaves, and may start one that delivers its facts at once.
        let watched = place.is_watched() || self.observed().contains(&sandbox);
        let before = watched.then(|| leftovers::of(sandbox, &directory));
        place.end().await;
        match before {
            Some(before) => leftovers::end_those(sandbox, &before).await,
            None if place.is_here() => leftovers::end(sandbox, &directory).await,
            // On another machine there is nothing of it that is ours to end.
            None => {}
        }
    }
}

/// This process, for others on this machine and for who claims what it held.
pub(crate) fn process() -> Value {
    place_of(std::process::id())
}

/// The place of a process of this machine; null when there is none.
pub(crate) fn place_of(pid: u32) -> Value {
    Place::of(pid).map(|place| place.to_value()).unwrap_or_default()
}

/// Whether such a process is seen to be gone; on another machine it is not seen.
pub(crate) fn process_is_gone(process: &Value) -> bool {
    Place::read(process).is_some_and(|process| matches!(process.life(), Life::Gone(_)))
}

/// What this machine is called among those whose processes are looked at: one boot of one process
/// namespace.
pub(crate) fn machine_name() -> String {
    place::machine().join(" ")
}

/// Where everything of one sandbox is.
fn directory_of(data: &Path, sandbox: SandboxId) -> PathBuf {
    data.join("sandboxes").join(sandbox.to_string())
}

async fn note(app: &App, sandbox: SandboxId, place: &Place) -> Result<bool, StoreError> {
    let mut write = app.store.write().await?;
    let noted = store::sandbox::set_place(&mut write, sandbox, place.to_value()).await?;
    write.commit().await?;
    Ok(noted)
}

impl Directories {
    async fn make(data: &Path, sandbox: SandboxId, spec: SpecId) -> Result<Self, StartError> {
        let own = directory_of(data, sandbox);
        let directories = Self {
            workspace: own.join(WORKSPACE),
            state: own.join(STATE),
            output: data.join("specs").join(spec.to_string()).join("documents"),
            log: own.join("worker.log"),
        };
        for path in [&directories.workspace, &directories.state, &directories.output] {
            // For this user only: the state holds what the agent read and said.
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|source| StartError::Directory { path: path.clone(), source })?;
        }
        Ok(directories)
    }
}

fn open_log(path: &Path) -> Result<std::fs::File, StartError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| StartError::Directory { path: path.to_owned(), source })
}
