//! SIGTERM and SIGINT: the first asks the run to end, the second, or ten seconds, ends it.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a run may take to end after the first signal: the agent's 3 s and a flush.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// What signals have asked for.
pub(super) struct Signals {
    /// Cancelled at the first signal.
    pub(super) asked: CancellationToken,
    /// Cancelled when patience is at an end.
    pub(super) at_once: CancellationToken,
    listening: JoinHandle<()>,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (asked, at_once) = (CancellationToken::new(), CancellationToken::new());
        let (first, second) = (asked.clone(), at_once.clone());
        let listening = tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(name, "asked to end by a signal");
            first.cancel();
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = tokio::time::sleep(DRAIN_MAX) => {}
            }
            second.cancel();
        });
        Ok(Self { asked, at_once, listening })
    }

    pub(super) async fn close(self) {
        self.listening.abort();
        // It was aborted: how it ended says nothing.
        drop(self.listening.await);
    }
}
