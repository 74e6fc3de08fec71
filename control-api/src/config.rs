//! The settings of a control API, all of them values. This is the only place that reads the
//! environment, and all that it reads there is what workers are to be handed on.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use specwright_shared::liveness::Settings;

use crate::auth::{OwnerToken, Rates, SealKeys};
use crate::credentials::CredentialServices;

/// How long a sandbox may be silent before it counts as lost: long enough for a laptop's lid or a
/// restart of this API, short enough that a dead run is found while its owner still looks.
pub const LEASE: Duration = Duration::from_secs(90);
/// How often workers send a heartbeat: several fit into a lease, so that one lost one is nothing.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long to wait for a database server that is not there yet: what starts it beside us takes
/// seconds, a failover under a minute.
pub const DATABASE_PATIENCE: Duration = Duration::from_secs(60);

/// What workers of local sandboxes may have of this process's environment: where programs, homes,
/// certificates and proxies are, how to reach the model and private repositories, and the limits of a
/// job. Nothing else gets in, so no key that happens to lie about. What of it reaches the agent is for
/// the worker to say: no key, and no way to one.
pub const HANDED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "GITHUB_TOKEN",
    "GITHUB_URL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "ANTHROPIC_API_KEY",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "MODEL",
    "MAX_TURNS",
    "MAX_BUDGET_USD",
    "PHASE_TIMEOUT",
    "TOOL_TIMEOUT",
    "AGENT_SILENCE_TIMEOUT",
    "AGENT_ANSWER_TIMEOUT",
    "MODEL_SILENCE_TIMEOUT",
    "MODEL_PING_TIMEOUT",
    "MODEL_PARK_TIMEOUT",
    "MAX_ATTEMPTS",
    "RUST_LOG",
    "LOG_FORMAT",
];

/// How often and how long background duties are at work.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a round may take; then it is cut off, and the next one goes on with what is left. Less
    /// than half of what a claim on a duty lives.
    pub round_max: Duration,
    /// The pause between two rounds; absent: each duty's own.
    pub every: Option<Duration>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { round_max: Duration::from_secs(25), every: None }
    }
}

/// How often is looked for what was committed and not heard of: nets below the news, which come at once
/// and without them.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    /// How often each who waits looks.
    pub waiting: Duration,
    /// The same while this process does not hear what others write.
    pub deaf: Duration,
    /// How often one look is made for all who wait: so long stays unseen what was never told.
    pub sweep: Duration,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            // 5,000 who wait then cost 80 looks a second.
            waiting: Duration::from_secs(60),
            deaf: Duration::from_millis(250),
            sweep: Duration::from_secs(1),
        }
    }
}

/// The program that a local sandbox runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerProgram {
    /// The program's path.
    pub program: PathBuf,
    /// Arguments before all others, e.g. `worker` when the program is the one `specwright` binary.
    pub arguments: Vec<OsString>,
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `sqlite:///path/to/file` or `postgres://…`.
    pub database_url: String,
    /// How long to wait at the start for a server that is not there yet.
    pub database_patience: Duration,
    /// How long events stay in their table before they are packed; `None`: for ever.
    pub events_kept: Option<Duration>,
    /// Where sandboxes and documents are kept; made if missing.
    pub data_dir: PathBuf,
    /// The owner's token.
    pub owner_token: OwnerToken,
    /// What local sandboxes run.
    pub worker: WorkerProgram,
    /// What workers get of the environment; made by [`environment_to_hand_on`], or by hand.
    pub environment: Vec<(OsString, OsString)>,
    /// Where workers reach this control API; absent: at the address that it listens on.
    pub public_url: Option<String>,
    /// What seals credentials; absent: none can be kept, and workers have those of their environment.
    pub seal_keys: Option<Arc<SealKeys>>,
    /// Where credentials are tried out before they are kept; absent: their form alone is checked.
    pub credential_services: Option<CredentialServices>,
    /// Whether every user may have repositories planned for that are on this machine or in its network;
    /// else administrators only.
    pub local_repositories: bool,
    /// How much a token may send.
    pub rates: Rates,
    /// How long a silent sandbox is believed to live.
    pub lease: Duration,
    /// How often workers send a heartbeat.
    pub heartbeat: Duration,
    /// How often and how long background duties are at work.
    pub pace: Pace,
    /// How often is looked for what was committed and not heard of.
    pub looks: Looks,
    /// Limits and steps of the idle monitor, where a project has none of its own.
    pub liveness: Settings,
    /// How much guardians may do, and whether the built-in one watches, where a project says nothing.
    pub guardian: specwright_shared::guardian::Settings,
    /// Whether sandboxes are started without a request: for runs that lost theirs, and for those that
    /// were asked for and never made. Not where nobody waits for the run.
    pub makes_places: bool,
    /// Whether workers end when this process does (the embedded use).
    pub die_with_parent: bool,
    /// Whether local sandboxes are ended at shutdown (the embedded use); else they go on, and the
    /// next control API on the same database finds them.
    pub end_sandboxes_on_shutdown: bool,
}

impl Config {
    /// Settings with a SQLite file in `data_dir`, the usual times, and workers that outlive this
    /// process.
    #[must_use]
    pub fn new(data_dir: PathBuf, owner_token: OwnerToken, worker: WorkerProgram) -> Self {
        Self {
            database_url: database_in(&data_dir),
            database_patience: DATABASE_PATIENCE,
            events_kept: None,
            data_dir,
            owner_token,
            worker,
            environment: Vec::new(),
            public_url: None,
            seal_keys: None,
            credential_services: None,
            local_repositories: false,
            rates: Rates::default(),
            lease: LEASE,
            heartbeat: HEARTBEAT,
            pace: Pace::default(),
            looks: Looks::default(),
            liveness: Settings::default(),
            guardian: specwright_shared::guardian::Settings::default(),
            makes_places: true,
            die_with_parent: false,
            end_sandboxes_on_shutdown: false,
        }
    }
}

/// The address of the SQLite file in a data directory.
#[must_use]
pub fn database_in(data_dir: &Path) -> String {
    format!("sqlite://{}", data_dir.join("specwright.db").display())
}

/// The part of this process's environment that workers may have: [`HANDED_ON`], where set.
#[must_use]
pub fn environment_to_hand_on() -> Vec<(OsString, OsString)> {
    HANDED_ON
        .iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}
