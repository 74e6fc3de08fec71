//! Changes of files, as the watcher tells them.
//!
//! What holds: what changed is told before a clone is put back and before the run's end, however short
//! before that it changed; waiting for it is bounded.

use std::time::{Duration, Instant};

use specwright_shared::wire::event::Event;
use tokio::time::sleep_until;

use super::drive::Run;
use crate::spool::SpoolError;
use crate::workspace::watch::Seen;

/// How long the watcher may take to tell the rest: it gathers for half a second at most, then asks git.
pub(super) const CATCH_UP_MAX: Duration = Duration::from_secs(1);

impl Run<'_> {
    /// The watcher tells something.
    pub(super) async fn saw_files(&mut self, seen: Seen) -> Result<(), SpoolError> {
        match seen {
            Seen::Changed(change) => {
                self.note(Event::FileEdited(change)).await?;
                let lost = self.wakes.watch.take_lost();
                if lost > 0 {
                    self.say(format!("{lost} file changes came too fast to be listed.")).await?;
                }
                Ok(())
            }
            Seen::Unavailable(why) => self.say(why).await,
        }
    }

    /// Waits until everything that changed by now is told, for [`CATCH_UP_MAX`] and until `latest` at
    /// most.
    pub(super) async fn catch_up_with_files(&mut self, latest: Instant) -> Result<(), SpoolError> {
        let latest = latest.min(Instant::now() + CATCH_UP_MAX);
        let told = self.wakes.watch.catch_up();
        tokio::pin!(told);
        loop {
            tokio::select! {
                Some(seen) = self.wakes.watch.seen.recv() => self.saw_files(seen).await?,
                // Or nobody watches.
                _ = &mut told => break,
                () = sleep_until(latest.into()) => {
                    tracing::warn!("the last changes of files may not be listed");
                    break;
                }
            }
        }
        while let Ok(seen) = self.wakes.watch.seen.try_recv() {
            self.saw_files(seen).await?;
        }
        Ok(())
    }
}
