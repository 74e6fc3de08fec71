//! Arriving in the place: it is ours alone, and the control API knows that we are up.

use std::fs::{File, TryLockError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use specwright_shared::outcome::Outcome;
use specwright_shared::wire::PROTOCOL;
use specwright_shared::wire::problem::ProblemType;
use specwright_shared::wire::sandbox::{Hello, Welcome};
use uuid::Uuid;

use super::Ended;
use crate::api::{Api, ApiError};
use crate::config::Config;

/// The first pause between two hellos.
const HELLO_RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest pause between two hellos.
const HELLO_RETRY_MAX: Duration = Duration::from_secs(10);
pub(super) fn make_state_dir(config: &Config) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    // Transcripts and messages are nobody else's business.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.state_dir)?;
    if config.agent_user.is_none() {
        return Ok(());
    }
    // One that was there may be open to the agent.
    std::fs::set_permissions(&config.state_dir, std::fs::Permissions::from_mode(0o700))
}

/// A second worker in the same place would give the same numbers to other facts.
pub(super) fn lock(config: &Config) -> Result<File, String> {
    let path = config.state_dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| {
        let place = &config.state_dir;
        format!("STATE_DIR {place:?} cannot be used, it must be writable: {path:?}: {error}")
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "another worker is at work in STATE_DIR {:?}; wait for its end or use another place",
            config.state_dir
        )),
        Err(TryLockError::Error(error)) => Err(format!("{path:?} cannot be locked: {error}")),
    }
}

/// Asks for the job until there is an answer, for as long as we live.
pub(super) async fn hello(api: &Api) -> Result<Welcome, ApiError> {
    let hello = Hello {
        protocol: PROTOCOL,
        worker_version: env!("CARGO_PKG_VERSION").to_owned(),
        // The same for every repeat: a lost answer must not make a new generation.
        boot_id: Uuid::new_v4(),
    };
    let retries = ExponentialBuilder::new()
        .with_min_delay(HELLO_RETRY_FIRST)
        .with_max_delay(HELLO_RETRY_MAX)
        .without_max_times()
        .with_jitter();
    (|| api.hello(&hello))
        .retry(retries)
        // Only the control API's own word ends it: a proxy's page or a closed port may pass.
        .when(|error: &ApiError| error.is_transient() || error.problem().is_none())
        .notify(|error, pause| tracing::warn!(%error, ?pause, "hello was not answered"))
        .await
}

pub(super) fn not_welcome(error: &ApiError) -> Ended {
    let outcome = match error.problem() {
        Some(ProblemType::Fenced) => Outcome::Fenced,
        _ => Outcome::WorkerError,
    };
    Ended::new(outcome, error.to_string())
}
