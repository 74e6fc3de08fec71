//! The way to the model: a small HTTP server on loopback between the agent and the API.
//!
//! What holds: the agent knows a dummy key that opens this server only, for this process's life; the
//! real credential is put in here and is nowhere else. Two routes exist, for `POST` only. Everything
//! else of a request and its answer passes unchanged and unbuffered, in both directions, but for
//! `accept-encoding`: answers come uncompressed, so that their usage can be read as they pass.
//! Every call of the model is entered in the ledger once and told to the run ([`ModelFact`]); it is on
//! disk before it is made ([`Journal`]), so that it counts also if this process dies in its middle; none
//! starts when the budget is spent, and nothing is passed on once the API has refused the credential.
//!
//! Deliberately absent: retries (the agent makes its own), any change of a body, and what follows
//! from a refusal or a stall: the run decides that.

mod account;
mod call;
mod forward;
mod journal;
mod meter;
mod refusal;
mod retry_after;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use axum::serve::ListenerExt as _;
use http::HeaderValue;
use reqwest::Url;
use specwright_shared::budget::Budget;
use specwright_shared::ledger::Ledger;
use specwright_shared::price::NanoUsd;
use specwright_shared::stall::{Patience, Stall};
use specwright_shared::wire::event::ModelCall;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use account::Account;

pub use journal::Journal;

/// The route of calls that cost.
const MESSAGES: &str = "/v1/messages";

/// Facts that wait for the run: more than an agent and all its sub-agents call at once.
pub const FACTS_MAX: usize = 256;

/// The largest request. The API itself takes 32 MB; twice that never refuses what it would take.
pub const BODY_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// How long a connection to the API may take to open. No other limit: an answer streams for minutes.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// Open exchanges are cut when the gateway stops; this bounds a defect.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Random bytes of the dummy key: not to be guessed by another process of the machine.
const DUMMY_BYTES: usize = 32;

/// Where the model is, and as whom.
pub struct Upstream {
    /// The API, e.g. `https://api.anthropic.com`.
    pub base_url: String,
    /// The credential.
    pub credential: Credential,
}

/// The credential that replaces the dummy. It has no `Debug`, so that no log can hold it.
pub enum Credential {
    /// Sent as `x-api-key`.
    ApiKey(String),
    /// Sent as bearer token, with the beta header that the API wants for it.
    OAuth(String),
}

/// What calls are measured against, and who is told.
pub struct Metering {
    /// What was spent before.
    pub ledger: Ledger,
    /// The limit.
    pub budget: Budget,
    /// Where calls under way are written down.
    pub journal: Journal,
    /// How long a call may go without bytes.
    pub patience: Patience,
    /// Who is told.
    pub facts: mpsc::Sender<ModelFact>,
}

/// What the gateway saw.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelFact {
    /// A call is over; it stands in the ledger.
    Called(Box<ModelCall>),
    /// A call is open and nothing comes. Told once for each.
    Stalled(StallSeen),
    /// A call was not made, since the budget is spent.
    BudgetSpent {
        /// What counts as spent.
        counted: NanoUsd,
    },
}

/// A call that is open and does not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StallSeen {
    /// Which.
    pub call_id: Uuid,
    /// What does not move.
    pub stall: Stall,
    /// Since its last byte.
    pub since_byte: Duration,
    /// Since its last content.
    pub since_content: Duration,
}

/// A running gateway.
pub struct Gateway {
    /// What the agent gets as `ANTHROPIC_BASE_URL`.
    pub base_url: String,
    /// What the agent gets as `ANTHROPIC_API_KEY`.
    pub dummy_key: String,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The address is none.
    #[error("`{base_url}` is no address of a model API; `https://api.anthropic.com` would be one")]
    BaseUrl {
        /// What was given.
        base_url: String,
    },
    /// The credential cannot stand in a header.
    #[error("the model credential holds characters that no HTTP header can (a line break?)")]
    Credential,
    /// No random numbers.
    #[error("the system gave no random numbers")]
    Random(#[source] getrandom::Error),
    /// No HTTP client.
    #[error("the HTTP client to the model cannot be made")]
    Client(#[source] reqwest::Error),
    /// No port.
    #[error("no port on loopback can be opened for the gateway")]
    Listen(#[source] std::io::Error),
}

/// What every exchange needs.
struct Shared {
    client: reqwest::Client,
    base_url: String,
    credential: HeaderCredential,
    dummy_key: String,
    /// 0: no answer yet, or none to the last request.
    last_status: AtomicU16,
    /// The status with which a call's key was refused; 0: it was not. Nothing is passed on after that.
    key_refused: AtomicU16,
    account: Account,
    journal: Journal,
    patience: Patience,
    facts: mpsc::Sender<ModelFact>,
    open_calls: watch::Sender<usize>,
    /// When the last byte came from the model, in whichever call.
    moved_at: watch::Sender<Option<std::time::Instant>>,
    stop: CancellationToken,
}

/// The credential as it goes into headers, marked so that HTTP code does not print it.
enum HeaderCredential {
    ApiKey(HeaderValue),
    OAuth(HeaderValue),
}

impl Gateway {
    /// When the last byte came from the model: a sign of life that the agent does not give.
    #[must_use]
    pub fn moved_at(&self) -> watch::Receiver<Option<std::time::Instant>> {
        self.shared.moved_at.subscribe()
    }

    /// Opens a free port on loopback and serves until `stop`.
    ///
    /// # Errors
    /// The upstream makes no sense, or the system refuses.
    pub async fn start(
        upstream: Upstream,
        metering: Metering,
        stop: &CancellationToken,
    ) -> Result<Self, GatewayError> {
        let base_url = upstream.base_url.trim_end_matches('/').to_owned();
        let url = Url::parse(&base_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| GatewayError::BaseUrl { base_url: upstream.base_url.clone() })?;
        let dummy_key = dummy_key()?;
        let stop = stop.child_token();
        let shared = Arc::new(Shared {
            client: client(&url)?,
            base_url,
            credential: upstream.credential.into_header()?,
            dummy_key: dummy_key.clone(),
            last_status: AtomicU16::new(0),
            key_refused: AtomicU16::new(0),
            account: Account::new(metering.ledger, metering.budget),
            journal: metering.journal,
            patience: metering.patience,
            facts: metering.facts,
            open_calls: watch::Sender::new(0),
            moved_at: watch::Sender::new(None),
            stop: stop.clone(),
        });

        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(GatewayError::Listen)?;
        let address = listener.local_addr().map_err(GatewayError::Listen)?;
        // A chunk goes on at once: the system would hold the second of two small ones back for 40 ms.
        let listener = listener.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                tracing::debug!(%error, "a connection of the agent may be slow");
            }
        });
        let forward = post(forward::handler).fallback(refusal::no_such_route);
        let routes = Router::new()
            .route(MESSAGES, forward.clone())
            .route("/v1/messages/count_tokens", forward)
            .fallback(refusal::no_such_route)
            .with_state(Arc::clone(&shared));
        let tasks = TaskTracker::new();
        let server =
            axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the gateway to the model ended");
            }
        });
        tasks.close();
        let base_url = format!("http://{address}");
        Ok(Self { base_url, dummy_key, shared, stop, tasks })
    }

    /// The HTTP status of the API's last answer; `None` before the first, and when the last request
    /// got none. 401 and 403 mean that the credential is refused.
    #[must_use]
    pub fn last_upstream_status(&self) -> Option<u16> {
        match self.shared.last_status.load(Ordering::Relaxed) {
            0 => None,
            status => Some(status),
        }
    }

    /// The account, as it stands.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.shared.account.ledger().clone()
    }

    /// The entry of a call is kept elsewhere now.
    pub fn recorded(&self, call: Uuid) {
        self.shared.journal.entered(call);
    }

    /// Enters what the agent says a turn cost, beside the calls.
    pub fn agent_says(&self, cost: NanoUsd) {
        self.shared.account.ledger().agent_says(cost);
    }

    /// Comes back when no call is open, or after that long.
    pub async fn quiet(&self, at_most: Duration) {
        let mut open = self.shared.open_calls.subscribe();
        let quiet = async { open.wait_for(|open| *open == 0).await.map(|_| ()) };
        if timeout(at_most, quiet).await.is_err() {
            tracing::warn!("a call of the model is open although nobody waits for its answer");
        }
    }

    /// Closes the port and cuts open exchanges.
    pub async fn stop(self) {
        self.stop.cancel();
        if timeout(STOP_PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::warn!("an exchange with the model did not end with the gateway");
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Credential {
    fn into_header(self) -> Result<HeaderCredential, GatewayError> {
        let secret = |text: String| {
            let mut value = HeaderValue::try_from(text).map_err(|_| GatewayError::Credential)?;
            value.set_sensitive(true);
            Ok(value)
        };
        Ok(match self {
            Self::ApiKey(key) => HeaderCredential::ApiKey(secret(key)?),
            Self::OAuth(token) => HeaderCredential::OAuth(secret(format!("Bearer {token}"))?),
        })
    }
}

fn dummy_key() -> Result<String, GatewayError> {
    let mut bytes = [0; DUMMY_BYTES];
    getrandom::fill(&mut bytes).map_err(GatewayError::Random)?;
    Ok(format!("specwright-dummy-{}", hex::encode(bytes)))
}

fn client(url: &Url) -> Result<reqwest::Client, GatewayError> {
    // Another part of the process may have installed it already: that is the same one.
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_PATIENCE)
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(GatewayError::Client)
}

/// A proxy of the machine is for what is outside of it.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
