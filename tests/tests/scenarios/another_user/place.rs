//! A world that root's worker and another user's agent share: directories that others may enter, a control
//! API in this process, and a worker that is told by its own start script who its agent is.

use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use specwright_control_api::client::Client;
use specwright_control_api::{Config, OwnerToken, ServeError, WorkerProgram, serve};
use specwright_shared::phase::SpecStatus;
use specwright_shared::text::Text;
use specwright_shared::wire::spec::{Cancel, Launch, Launched, NewSpec, RunOptions};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::processes::Process;
use specwright_tests::system::{System, claude_cli, program};
use specwright_tests::wait::{PATIENCE, wait_for};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::faulty::outputs;

/// The agent's user and group: `nobody` on most systems, and a number on all.
pub(super) const UID: u32 = 65534;
/// What is left to root in the image, as `setpriv` (of util-linux) takes it.
const CAPABILITIES: &str = "-all,+chown,+dac_override,+fowner,+kill,+setgid,+setuid";
const TOKEN: &str = "the-owners-token-of-another-user-0123456789";

/// The world.
pub(super) struct Place {
    system: System,
}

/// A run in it, with its control API.
pub(super) struct Run<'a> {
    system: &'a System,
    repository: Repository,
    client: Client,
    launched: Launched,
    server: JoinHandle<Result<(), ServeError>>,
    shutdown: DropGuard,
}

impl Place {
    /// `None`: it cannot be made here, which was said.
    pub(super) fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("only root can start an agent as another user: nothing is tested");
            return None;
        }
        let place = Self { system: System::new() };
        place.open_to_others("");
        if !others_may_enter(place.system.root()) {
            eprintln!("temporary directories are closed to other users: nothing is tested");
            return None;
        }
        for name in ["own", "place"] {
            fs::create_dir(place.system.directory(name)).unwrap();
        }
        for name in ["bin", "home", "own", "place"] {
            place.open_to_others(name);
        }
        std::os::unix::fs::chown(place.system.directory("own"), Some(UID), Some(UID)).unwrap();
        Some(place)
    }

    fn open_to_others(&self, name: &str) {
        fs::set_permissions(self.system.directory(name), Permissions::from_mode(0o755)).unwrap();
    }

    /// `own` is the agent's; `work`, `work.agent`, `state` are the sandbox's; all else is the test's.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        let of_agent = Path::new(name).starts_with("own");
        self.system.directory(if of_agent { "" } else { "place" }).join(name)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.system.data()
    }

    /// Installs the faulty agent behind a shell script that runs first, as the same process: there `try`
    /// notes whether a command succeeds. Gives the script's path.
    pub(super) fn faulty_agent(&self, behaviour: &str, before: &str) -> String {
        let own = self.path("own");
        fs::write(own.join("behaviour"), behaviour).unwrap();
        fs::write(own.join("outputs.json"), outputs().to_string()).unwrap();
        put(env!("CARGO_BIN_EXE_faulty-agent").as_ref(), &own.join("faulty-agent"));
        let script = format!(
            "#!/bin/sh\nOWN='{}' PLACE='{}'; export PLACE\n\
             try() {{ name=$1; shift; if \"$@\" >/dev/null 2>&1; \
             then echo \"$name=yes\"; else echo \"$name=no\"; fi; }}\n\
             probe() {{ {before}\n}}\n\
             probe \"$@\" >> \"$HOME/probe\" 2>/dev/null\n\
             exec \"$OWN/faulty-agent\" \"$@\"\n",
            own.display(),
            self.system.directory("place").display(),
        );
        self.script("agent", &script)
    }

    /// What the agents noted.
    pub(super) fn probed(&self) -> String {
        fs::read_to_string(self.path("work.agent/probe")).unwrap()
    }

    /// Installs the real CLI.
    pub(super) fn claude(&self) {
        put(&claude_cli(), &self.system.directory("bin").join("claude"));
    }

    fn script(&self, name: &str, text: &str) -> String {
        let path = self.system.directory("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    /// Starts a control API, and a run of the sample idea with more variables for its worker.
    pub(super) async fn launch(&self, agent: &str, variables: &[(&str, &str)]) -> Run<'_> {
        let worker = format!(
            "#!/bin/sh\n\
             export AGENT_USER={UID}:{UID} WORKSPACE_DIR='{}' STATE_DIR='{}'\n\
             set -- '{}' \"$@\"\n\
             if command -v setpriv; then set -- setpriv --bounding-set={CAPABILITIES} \"$@\"; fi\n\
             exec \"$@\"\n",
            self.path("work").display(),
            self.path("state").display(),
            program("specwright-worker").display(),
        );
        let program = self.script("worker", &worker).into();
        let worker = WorkerProgram { program, arguments: vec!["supervise".into()] };
        let mut config = Config::new(self.data(), OwnerToken::new(TOKEN).unwrap(), worker);
        let path = format!(
            "{}:{}",
            self.system.directory("bin").display(),
            std::env::var("PATH").unwrap()
        );
        config.environment = vec![
            ("PATH".into(), path.into()),
            ("HOME".into(), self.system.directory("home").into()),
        ];
        config
            .environment
            .extend(variables.iter().map(|(name, value)| (name.into(), value.into())));
        config.end_sandboxes_on_shutdown = true;
        config.die_with_parent = true;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(config, listener, shutdown.clone()));
        let client = Client::new(&url, TOKEN).unwrap();
        let repository = Repository::with_files(sample::FILES);
        let launch = Launch {
            spec: NewSpec {
                project_id: None,
                title: None,
                description: Text::new(sample::IDEA).unwrap(),
                repository: Some(Text::new(repository.path().display().to_string()).unwrap()),
            },
            run: RunOptions {
                agent: Some(Text::new(agent).unwrap()),
                restarts: Some(0),
                ..RunOptions::default()
            },
        };
        let launched = client.launch(&launch).await.unwrap();
        let (system, shutdown) = (&self.system, shutdown.drop_guard());
        Run { system, repository, client, launched, server, shutdown }
    }

    /// The processes of this world that have a variable.
    pub(super) fn processes(&self, variable: &str) -> Vec<Process> {
        let mut all = self.system.processes();
        all.retain(|one| one.variable(variable).is_some());
        all
    }

    /// The worker, not its supervisor.
    pub(super) fn worker(&self) -> Process {
        let is_worker = |one: &Process| {
            one.arguments[0].ends_with("specwright-worker")
                && one.arguments.get(1).is_some_and(|word| word != "supervise")
        };
        let found = self.system.processes().into_iter().find(is_worker);
        found.unwrap_or_else(|| panic!("no worker: {:#?}", self.system.processes()))
    }
}

impl Run<'_> {
    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    pub(super) async fn status(&self) -> SpecStatus {
        self.client.spec(self.launched.spec.id).await.unwrap().status
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> SpecStatus {
        wait_for("the end of the run", PATIENCE * 2, async || {
            let status = self.status().await;
            matches!(status, SpecStatus::Completed | SpecStatus::Failed).then_some(status)
        })
        .await
    }

    pub(super) async fn cancel(&self) {
        let cancel = Cancel { reason: None, force: false };
        self.client.cancel(self.launched.spec.id, &cancel).await.unwrap();
    }

    async fn all_events(&self) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let id = self.launched.spec.id;
            let page = self.client.events(id, after.as_deref(), Duration::ZERO).await.unwrap();
            if page.items.is_empty() {
                return all;
            }
            all.extend(page.items.iter().map(|event| serde_json::to_value(event).unwrap()));
            after = page.next;
        }
    }

    /// The bodies of all events of a type.
    pub(super) async fn events(&self, kind: &str) -> Vec<Value> {
        let mut all = self.all_events().await;
        all.retain(|event| event["type"] == kind);
        all.into_iter().map(|mut event| event["data"].take()).collect()
    }

    /// Everything that was told, to be read by a person.
    pub(super) async fn told(&self) -> String {
        format!("{:#?}", self.all_events().await)
    }

    /// How its conversation is answered for.
    pub(super) async fn transcript(&self) -> u16 {
        let (base, sandbox) = (self.client.base(), self.launched.sandbox_id);
        let url = format!("{base}/api/v1/sandboxes/{sandbox}/transcript");
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        http.get(url).bearer_auth(TOKEN).send().await.unwrap().status().as_u16()
    }

    /// Ends the control API; nothing of the run is left.
    pub(super) async fn close(self) {
        self.system.nothing_left().await;
        drop(self.shutdown);
        self.server.await.unwrap().unwrap();
    }
}

/// The real, effective, saved and file-system user of a process; `None`: it is gone.
pub(super) fn uids_of(pid: i32) -> Option<Vec<u32>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    Some(line.split_whitespace().map(|uid| uid.parse().unwrap()).collect())
}

/// Puts a program where others may start it: a link, or a copy of one that lies where they may not go.
fn put(original: &Path, place: &Path) {
    let original = original.canonicalize().unwrap();
    if others_may_enter(original.parent().unwrap()) {
        std::os::unix::fs::symlink(original, place).unwrap();
    } else {
        fs::copy(original, place).unwrap();
    }
}

fn others_may_enter(directory: &Path) -> bool {
    directory
        .ancestors()
        .all(|one| one.metadata().is_ok_and(|about| about.permissions().mode() & 0o001 != 0))
}
