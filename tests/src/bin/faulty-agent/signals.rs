//! Deafness: a handler that does nothing is installed for every polite signal.

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

/// Ignores SIGTERM, SIGINT and SIGHUP from now on.
pub(crate) fn ignore_all() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        // The handlers outlive the runtime: the library never takes them back.
        for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
            drop(signal(kind)?);
        }
        Ok(())
    })
}
