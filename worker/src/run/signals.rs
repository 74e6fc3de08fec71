//! SIGTERM, SIGINT and SIGHUP: the first asks the run to end, the second, or [`DRAIN_MAX`], ends it.
//!
//! What holds: nobody asked when it is only our supervisor that is gone. Then the run is broken off at
//! once and without a report, as if we had been killed as well: that the place is lost is found, what is
//! in the spool is delivered, and another goes on. A report would call it cancelled.
//!
//! Deliberately absent: SIGHUP where it was ignored when we were started, which is what `nohup` is for.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::drain::SETTLE_MAX;
use super::ending::FLUSH_AFTER_SIGNAL_MAX;
use super::saved::{SAVE_AFTER_SIGNAL_MAX, WORK_AFTER_SIGNAL_MAX};
use crate::agent::STOP_MAX;
use crate::supervise::{hangup, parent};

/// How long a run may take to end after the first signal: the sum of what it then does.
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(13);

const _: () = {
    let parts = [
        SETTLE_MAX,
        STOP_MAX,
        WORK_AFTER_SIGNAL_MAX,
        SAVE_AFTER_SIGNAL_MAX,
        FLUSH_AFTER_SIGNAL_MAX,
    ];
    let (mut sum, mut at) = (0, 0);
    while at < parts.len() {
        sum += parts[at].as_millis();
        at += 1;
    }
    assert!(sum <= DRAIN_MAX.as_millis(), "a run is ended before it had its time");
};

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
        let mut hangup = hangup::listen()?;
        let (asked, at_once) = (CancellationToken::new(), CancellationToken::new());
        let (first, second) = (asked.clone(), at_once.clone());
        let listening = tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                () = hangup.next() => "SIGHUP",
            };
            if parent::is_gone() {
                tracing::error!(
                    name,
                    "whoever started this worker is gone; it ends without a report"
                );
                return second.cancel();
            }
            tracing::info!(name, "asked to end by a signal");
            first.cancel();
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = hangup.next() => {}
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
