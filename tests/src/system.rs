//! The programs under test, each run in a world of its own: data, configuration and home below one
//! temporary directory, and an environment that holds what the test put there and nothing else.
//!
//! Every process that a run starts carries that directory's path in its environment or arguments, so
//! the process table tells what a run has left behind ([`System::processes`]). A [`System`] that is
//! dropped ends what is left, so that a failed test leaves nothing running; for one that is killed a
//! [`Warden`] does it.

mod digest;
pub mod processes;
mod program;
mod running;
mod warden;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

pub use program::{claude_cli, program};
pub use running::{Finished, Running};

use crate::messages_api::MessagesApi;
use crate::wait::{PATIENCE, wait_for};
use processes::Process;
use warden::Warden;

/// The model key that runs with the real CLI are given. No test may find it anywhere but in the
/// requests that reach the Messages API.
pub const MODEL_KEY: &str = "sk-ant-scenario-4f1c9e7b2d8a4c66-key";

/// The world of one test.
pub struct System {
    root: TempDir,
    environment: Vec<(OsString, OsString)>,
    /// Kept for its `Drop`.
    _warden: Warden,
}

impl System {
    /// A fresh world in which nothing is installed but git.
    ///
    /// # Panics
    /// When there is no place for it.
    #[must_use]
    pub fn new() -> Self {
        let made = tempfile::Builder::new().prefix("specwright-system-").tempdir();
        let root = made.unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        for name in ["home", "bin", "data", "config"] {
            let path = root.path().join(name);
            std::fs::create_dir(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        let warden = Warden::over(root.path());
        let mut system = Self { root, environment: Vec::new(), _warden: warden };
        let (home, data, config) =
            (system.directory("home"), system.data(), system.directory("config"));
        system
            .set("HOME", home)
            .set("SPECWRIGHT_DATA_DIR", data)
            .set("SPECWRIGHT_CONFIG_DIR", config)
            // Keys of tests are known nowhere, and no test asks anybody outside.
            .set("SPECWRIGHT_CREDENTIAL_CHECK", "form")
            .set("LANG", "C.UTF-8");
        let path = path_without_claude(&system.directory("bin"));
        system.set("PATH", path);
        system
    }

    /// A fresh world with the real Claude CLI and a key, its model on a script.
    #[must_use]
    pub fn with_claude(api: &MessagesApi) -> Self {
        let mut system = Self::new();
        system.install("claude", &claude_cli());
        system.set("ANTHROPIC_API_KEY", MODEL_KEY).set("ANTHROPIC_BASE_URL", api.base_url());
        // On a machine that does much else its answer may come late; what is done about one that
        // never answers is for the faulty agent to show.
        system.set("AGENT_ANSWER_TIMEOUT", "60");
        system
    }

    /// Sets a variable for all later commands.
    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.into(), value.as_ref().into()));
        self
    }

    /// Takes a variable away from all later commands.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Puts a program on the `PATH` under a name.
    ///
    /// # Panics
    /// When the link cannot be made.
    pub fn install(&self, name: &str, original: &Path) -> PathBuf {
        let link = self.directory("bin").join(name);
        std::os::unix::fs::symlink(original, &link)
            .unwrap_or_else(|error| panic!("{}: {error}", link.display()));
        link
    }

    /// Everything of this world is below this directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory("data")
    }

    /// A directory of this world: `home`, `bin`, `data` or `config`.
    #[must_use]
    pub fn directory(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Starts `specwright` with arguments, standing in a directory.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start<A: AsRef<OsStr>>(
        &self,
        directory: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Running {
        self.spawn(directory, arguments, Stdio::null())
    }

    fn spawn<A: AsRef<OsStr>>(
        &self,
        directory: &Path,
        arguments: impl IntoIterator<Item = A>,
        stdin: Stdio,
    ) -> Running {
        let arguments: Vec<OsString> =
            arguments.into_iter().map(|one| one.as_ref().into()).collect();
        let mut command = Command::new(program("specwright"));
        command
            .args(&arguments)
            .current_dir(directory)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Running::spawn(command, &arguments)
    }

    /// Runs `specwright` with arguments, standing in a directory, to its end.
    pub async fn run<A: AsRef<OsStr>>(
        &self,
        directory: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Finished {
        self.start(directory, arguments).finish().await
    }

    /// The same with something on its stdin.
    pub async fn run_with_stdin<A: AsRef<OsStr>>(
        &self,
        directory: &Path,
        arguments: impl IntoIterator<Item = A>,
        stdin: &str,
    ) -> Finished {
        let mut running = self.spawn(directory, arguments, Stdio::piped());
        running.feed(stdin).await;
        running.finish().await
    }

    /// The processes that belong to this world.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        processes::naming(self.root.path())
    }

    /// Waits until no process of this world is left.
    ///
    /// # Panics
    /// When some are left after all patience; the message names them.
    pub async fn nothing_left(&self) {
        let gone = async || self.processes().is_empty().then_some(());
        let waited = wait_for("the end of all", PATIENCE * 2, gone);
        if tokio::time::timeout(PATIENCE, waited).await.is_err() {
            panic!("still running after {PATIENCE:?}: {:#?}", self.processes());
        }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        for process in self.processes() {
            process.kill();
        }
    }
}

/// The test's own `PATH` behind a directory, without the places that hold a Claude CLI: whether one
/// is there is for each test to say.
fn path_without_claude(first: &Path) -> OsString {
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&inherited).filter(|place| !place.join("claude").exists());
    let path = std::env::join_paths(std::iter::once(first.to_path_buf()).chain(places));
    path.unwrap_or_else(|error| panic!("the PATH of the test has a strange part: {error}"))
}
