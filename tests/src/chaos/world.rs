//! The world of one cycle: a control API that can be killed and started again, its client, the
//! proxy that workers reach it through, a repository, a disk.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::Signal;
use specwright_control_api::client::Client;
use specwright_shared::phase::Phase;
use specwright_shared::text::Text;
use specwright_shared::wire::spec::{Launch, Launched, NewSpec, RunOptions};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::disk::Disk;
use super::plan::{LEASE_SECONDS, Plan};
use crate::fault_proxy::FaultProxy;
use crate::repository::Repository;
use crate::sample;
use crate::system::processes::{Process, naming};
use crate::system::program;
use crate::wait::PATIENCE;

/// How long a control API may take to come up or to end in order: far more than the fraction of a
/// second that it takes, because the machine is busy.
const API_AT_MOST: Duration = PATIENCE;
/// The owner's token in every world.
const TOKEN: &str = "the-owners-token-of-a-chaos-cycle-0123456789";
/// Starts a program on what looks like another machine: a host name of its own.
const ELSEWHERE: [&str; 6] =
    ["unshare", "--uts", "--", "sh", "-c", r#"echo "$0" > /proc/sys/kernel/hostname && exec "$@""#];
/// The other machine's name.
const OTHER_HOST: &str = "specwright-elsewhere";

/// The world.
pub(super) struct World {
    /// Kept for its `Drop`.
    root: TempDir,
    repository: Repository,
    pub(super) proxy: FaultProxy,
    pub(super) disk: Option<Disk>,
    agent: String,
    api: Option<Api>,
}

struct Api {
    child: Child,
    client: Client,
    /// Kept open: who writes to a closed pipe ends.
    _stdout: BufReader<ChildStdout>,
}

impl World {
    /// A world with a control API that serves.
    pub(super) async fn new(plan: &Plan) -> Result<Self> {
        let root = tempfile::Builder::new().prefix("specwright-chaos-").tempdir()?;
        for name in ["home", "data", "config", "bin"] {
            std::fs::create_dir(root.path().join(name))?;
        }
        let disk = plan.fills_the_disk().then(|| Disk::mount(&root.path().join("data/sandboxes")));
        let disk = disk.transpose()?;
        let proxy = FaultProxy::start(plan.toxics.clone()).await?;
        let repository = Repository::with_files(sample::FILES);
        let agent = match &plan.faulty {
            None => "rehearsal".to_owned(),
            Some(faults) => faulty_agent(root.path(), faults)?,
        };
        let mut world = Self { root, repository, proxy, disk, agent, api: None };
        world.start_api(false).await?;
        Ok(world)
    }

    pub(super) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// Starts the control API, here or as if on another machine.
    pub(super) async fn start_api(&mut self, elsewhere: bool) -> Result<()> {
        let serve = program("specwright");
        let mut command = if elsewhere {
            let mut command = Command::new(ELSEWHERE[0]);
            command.args(&ELSEWHERE[1..]).arg(OTHER_HOST).arg(serve);
            command
        } else {
            Command::new(serve)
        };
        let root = self.root.path();
        let log = OpenOptions::new().create(true).append(true).open(root.join("api.log"))?;
        let mut child = command
            .args(["serve", "--json", "--listen", "127.0.0.1:0"])
            .args(["--public-url", &self.proxy.url(), "--lease", &LEASE_SECONDS.to_string()])
            .current_dir(root)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", root.join("home"))
            .env("SPECWRIGHT_DATA_DIR", root.join("data"))
            .env("SPECWRIGHT_CONFIG_DIR", root.join("config"))
            .env("SPECWRIGHT_OWNER_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("the control API cannot be started")?;
        let mut stdout = BufReader::new(child.stdout.take().context("it has no stdout")?);
        let mut line = String::new();
        tokio::time::timeout(API_AT_MOST, stdout.read_line(&mut line))
            .await
            .context("the control API does not come up")??;
        let serving: serde_json::Value = serde_json::from_str(&line)
            .with_context(|| format!("the control API did not say where it serves: {line:?}"))?;
        let url = serving["url"].as_str().context("no address")?;
        let address: SocketAddr = url.trim_start_matches("http://").parse()?;
        self.proxy.lead_to(address);
        let client = Client::new(url, TOKEN)?;
        self.api = Some(Api { child, client, _stdout: stdout });
        Ok(())
    }

    /// The owner's client.
    pub(super) fn client(&self) -> Result<&Client> {
        self.api.as_ref().map(|api| &api.client).context("no control API is running")
    }

    /// How every run of the cycle is done.
    pub(super) fn options(&self) -> Result<RunOptions> {
        // A lost one is taken up by the cycle, which counts how often.
        let agent = Some(Text::new(self.agent.as_str())?);
        Ok(RunOptions { agent, restarts: Some(0), ..RunOptions::default() })
    }

    /// Launches one idea.
    pub(super) async fn launch(&self) -> Result<Launched> {
        let launch = Launch {
            spec: NewSpec {
                project_id: None,
                title: None,
                description: Text::new(sample::IDEA)?,
                repository: Some(Text::new(self.repository.path().display().to_string())?),
            },
            run: self.options()?,
        };
        Ok(self.client()?.launch(&launch).await?)
    }

    /// Kills the control API and waits until it is gone.
    pub(super) async fn kill_api(&mut self) -> Result<()> {
        let Some(mut api) = self.api.take() else { return Ok(()) };
        api.child.kill().await.context("the control API cannot be killed")
    }

    /// Sends a signal to the control API.
    pub(super) fn signal_api(&self, signal: Signal) -> Result<()> {
        let api = self.api.as_ref().context("no control API is running")?;
        let pid = api.child.id().and_then(|pid| i32::try_from(pid).ok()).context("it has ended")?;
        let pid = rustix::process::Pid::from_raw(pid).context("no process")?;
        rustix::process::kill_process(pid, signal).context("it cannot be signalled")
    }

    /// Ends the control API as an operator does.
    pub(super) async fn end_api(&mut self) -> Result<()> {
        self.signal_api(Signal::TERM)?;
        let Some(mut api) = self.api.take() else { return Ok(()) };
        let status = tokio::time::timeout(API_AT_MOST, api.child.wait())
            .await
            .map_err(|_| anyhow!("the control API does not end when it is asked to"))??;
        anyhow::ensure!(status.success(), "the control API ended with {status}");
        Ok(())
    }

    /// The processes of this world that are alive.
    pub(super) fn processes(&self) -> Vec<Process> {
        naming(self.root.path())
    }

    /// Keeps the directory for whoever looks into what happened.
    pub(super) fn keep(mut self) -> PathBuf {
        self.root.disable_cleanup(true);
        self.root.path().to_owned()
    }
}

/// Installs the faulty agent: it gives the sample's outputs, and does besides what it is told.
fn faulty_agent(root: &Path, faults: &str) -> Result<String> {
    let folder = root.join("bin");
    let outputs = serde_json::json!({
        "Explore": sample::document(Phase::Explore),
        "Requirements": sample::document(Phase::Requirements),
        "Design": sample::document(Phase::Design),
        "Tasks": sample::document(Phase::Tasks),
    });
    std::fs::write(folder.join("outputs.json"), outputs.to_string())?;
    std::fs::write(folder.join("behaviour"), format!("ok:outputs.json,{faults}"))?;
    let agent = folder.join("faulty-agent");
    std::os::unix::fs::symlink(program("faulty-agent"), &agent)?;
    Ok(agent.display().to_string())
}

impl Drop for World {
    fn drop(&mut self) {
        for process in self.processes() {
            process.kill();
        }
    }
}
