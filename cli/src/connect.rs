//! The control API that a command talks to: the one at `--server`, or one of its own, started inside
//! this process on loopback over the SQLite file in the data directory. A command cannot tell them
//! apart: it speaks HTTP to both.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::Url;
use specwright_control_api::client::{Client, ClientError};
use specwright_control_api::{
    Config as ApiConfig, CredentialServices, OwnerToken, OwnerTokenError, SealFileError,
    SealKeyError, SealKeys, ServeError, WorkerProgram, environment_to_hand_on, owner_token, serve,
};
use specwright_shared::id::SandboxId;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::tell;

/// Where repositories of GitHub are.
const GITHUB: &str = "https://github.com";
/// Where its API is, where no variable says it.
const GITHUB_API: &str = "https://api.github.com";
/// Where the model's API is, likewise.
const MODEL_API: &str = "https://api.anthropic.com";

/// What becomes of the sandboxes when this command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sandboxes {
    /// They are this command's own and end with it.
    EndWithUs,
    /// They are someone else's.
    LeaveAlone,
}

/// Why there is no control API to talk to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// A server was named, and no token for it.
    #[error(
        "a token for the control API at {server} is missing; set SPECWRIGHT_TOKEN (its owner finds \
         it where `specwright serve` says)"
    )]
    NoToken {
        /// The server.
        server: String,
    },
    /// The owner's token cannot be had.
    #[error(transparent)]
    OwnerToken(#[from] OwnerTokenError),
    /// The seal keys that the environment gives are none.
    #[error("SPECWRIGHT_SEAL_KEY {0}")]
    SealKey(SealKeyError),
    /// Nor are those in the file.
    #[error(transparent)]
    SealFile(#[from] SealFileError),
    /// A way to check credentials that is none.
    #[error("SPECWRIGHT_CREDENTIAL_CHECK is `{found}`; it is `ask` or `form`")]
    CredentialCheck {
        /// What it was.
        found: String,
    },
    /// Where a service is, is not said by an address.
    #[error("{name} is no address like https://api.example.org, without a user and a password")]
    ServiceAddress {
        /// The variable.
        name: &'static str,
    },
    /// The client refused its settings.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The path of this program is not known.
    #[error("the path of this program is not known, so that sandboxes cannot run it")]
    OwnPath(#[source] std::io::Error),
    /// No port on loopback.
    #[error("127.0.0.1 cannot be listened on; `specwright doctor` says more")]
    Listen(#[source] std::io::Error),
    /// The embedded control API ended.
    #[error("the embedded control API cannot run; `specwright doctor` says more")]
    Serve(#[source] ServeError),
    /// It ended in a way that is a defect.
    #[error("the embedded control API broke; the log in the data directory says more")]
    Broke(#[source] tokio::task::JoinError),
    /// It ended though nobody asked it to.
    #[error("the embedded control API ended too early; the log in the data directory says more")]
    EndedEarly,
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Client(error) => error.into(),
            other => Self::of(Exit::NotReady, other),
        }
    }
}

/// A control API to talk to. [`Connection::close`] it.
pub(crate) struct Connection {
    /// What to talk through.
    pub(crate) client: Client,
    embedded: Option<Embedded>,
}

struct Embedded {
    data_dir: PathBuf,
    shutdown: CancellationToken,
    server: JoinHandle<Result<(), ServeError>>,
}

impl Connection {
    /// Connects to `server`, or starts a control API of our own.
    pub(crate) async fn open(
        server: Option<&str>,
        config: &Config,
        sandboxes: Sandboxes,
    ) -> Result<Self, ConnectError> {
        match server {
            Some(server) => {
                let client = remote(server, config)?;
                Ok(Self { client, embedded: None })
            }
            None => Self::embed(config, sandboxes).await,
        }
    }

    async fn embed(config: &Config, sandboxes: Sandboxes) -> Result<Self, ConnectError> {
        let token = token_of_owner(config)?;
        let mut settings = api_config(config, token.clone())?;
        // A command that may have nothing to do with it goes on; `serve` does not.
        settings.credential_services = credential_services(config).unwrap_or_else(|error| {
            tell(format!("{error}; credentials are looked at by their form alone"));
            None
        });
        // Whatever happens to this process, no worker may go on without it: nobody would watch it.
        settings.die_with_parent = true;
        settings.end_sandboxes_on_shutdown = sandboxes == Sandboxes::EndWithUs;
        settings.makes_places = sandboxes == Sandboxes::EndWithUs;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(address).await.map_err(ConnectError::Listen)?;
        let address = listener.local_addr().map_err(ConnectError::Listen)?;
        let client = Client::new(&format!("http://{address}"), token.secret())?;
        let shutdown = CancellationToken::new();
        let mut server = tokio::spawn(serve(settings, listener, shutdown.clone()));
        // The listener takes the connection before anyone serves it: a store that cannot be opened
        // has to be told now, not as a request that nobody answers.
        tokio::select! {
            ended = &mut server => Err(match ended {
                Ok(Ok(())) => ConnectError::EndedEarly,
                Ok(Err(error)) => ConnectError::Serve(error),
                Err(error) => ConnectError::Broke(error),
            }),
            healthy = client.health() => {
                healthy?;
                let data_dir = config.data_dir.clone();
                Ok(Self { client, embedded: Some(Embedded { data_dir, shutdown, server }) })
            }
        }
    }

    /// Where a local sandbox's worker logs, if it is ours.
    pub(crate) fn worker_log(&self, sandbox: SandboxId) -> Option<PathBuf> {
        let embedded = self.embedded.as_ref()?;
        let log = embedded.data_dir.join("sandboxes").join(sandbox.to_string()).join("worker.log");
        log.exists().then_some(log)
    }

    /// Ends the embedded control API, and waits until it has ended its sandboxes.
    pub(crate) async fn close(self) -> Result<(), ConnectError> {
        let Some(embedded) = self.embedded else { return Ok(()) };
        embedded.shutdown.cancel();
        match embedded.server.await {
            Ok(ended) => ended.map_err(ConnectError::Serve),
            Err(error) => Err(ConnectError::Broke(error)),
        }
    }
}

/// Whether the sandboxes of the control API at `server` see the files that we see.
pub(crate) fn same_machine(server: Option<&str>) -> Result<bool, ConnectError> {
    server.map_or(Ok(true), |server| Ok(Client::new(server, "")?.is_local()))
}

/// The settings that `serve` and the embedded control API share.
pub(crate) fn api_config(config: &Config, token: OwnerToken) -> Result<ApiConfig, ConnectError> {
    let program = std::env::current_exe().map_err(ConnectError::OwnPath)?;
    let worker = WorkerProgram { program, arguments: vec!["supervise".into()] };
    let environment = environment_to_hand_on();
    let seal_keys = seal_keys(config)?;
    let api = ApiConfig::new(config.data_dir.clone(), token, worker);
    Ok(ApiConfig { environment, seal_keys, ..api })
}

/// Where credentials are tried out before they are kept.
pub(crate) fn credential_services(
    config: &Config,
) -> Result<Option<CredentialServices>, ConnectError> {
    match config.credential_check.as_deref() {
        None | Some("ask") => {}
        Some("form") => return Ok(None),
        Some(other) => return Err(ConnectError::CredentialCheck { found: other.to_owned() }),
    }
    let address = |name, text: &str| {
        let url = text.parse::<Url>().ok().filter(|url| {
            let bare = url.username().is_empty() && url.password().is_none();
            matches!(url.scheme(), "http" | "https") && url.has_host() && bare
        });
        url.ok_or(ConnectError::ServiceAddress { name })
    };
    let github = match (&config.github_api, &config.github) {
        (Some(api), _) => Some(address("GITHUB_API_URL", api)?),
        // The repositories are elsewhere: their token is none of the public host's business.
        (None, Some(host)) if host.trim_end_matches('/') != GITHUB => None,
        (None, _) => Some(address("GITHUB_API_URL", GITHUB_API)?),
    };
    let model = config.model_api.as_deref().unwrap_or(MODEL_API);
    Ok(Some(CredentialServices { github, model: address("ANTHROPIC_BASE_URL", model)? }))
}

/// What seals credentials: what the variable says, else what the file has.
fn seal_keys(config: &Config) -> Result<Option<Arc<SealKeys>>, ConnectError> {
    let keys = match (&config.seal_keys, &config.seal_key_file) {
        (Some(keys), _) => SealKeys::parse(keys).map_err(ConnectError::SealKey)?,
        (None, Some(path)) => SealKeys::read(path)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(Arc::new(keys)))
}

/// The owner's token: the one that the environment gives, else the one in the config directory.
pub(crate) fn token_of_owner(config: &Config) -> Result<OwnerToken, ConnectError> {
    let token = match &config.owner_token {
        Some(given) => OwnerToken::new(given.as_str()),
        None => owner_token(&config.config_dir),
    };
    Ok(token?)
}

/// Where the owner's token is kept.
pub(crate) fn token_file(config_dir: &Path) -> PathBuf {
    config_dir.join("owner-token")
}

fn remote(server: &str, config: &Config) -> Result<Client, ConnectError> {
    if let Some(token) = &config.token {
        return Ok(Client::new(server, token.as_str())?);
    }
    // A control API on this machine is most likely the one that made this user's token.
    let client = Client::new(server, "")?;
    if client.is_local() && token_file(&config.config_dir).exists() {
        return Ok(Client::new(server, token_of_owner(config)?.secret())?);
    }
    Err(ConnectError::NoToken { server: server.to_owned() })
}
