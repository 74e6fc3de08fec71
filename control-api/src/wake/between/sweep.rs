//! Wakes for what another replica committed and was killed before it could tell.
//!
//! What holds: every second one look for all who wait, behind where the look before ended: so it costs
//! what was written meanwhile, not what there is, nor how many wait. Who was told of it is woken once
//! more, and then looks in vain: that another one told of the same spec says nothing of this commit.
//!
//! Deliberately absent: SQLite, where the file itself says that another process committed; and the
//! wish that a worker stop, which comes with the answer to its next heartbeat as well.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::app::App;
use crate::problem::chain;
use crate::store::event::ANYWHERE;
use crate::store::event::order::Place;
use crate::store::news::untold;
use crate::store::{Store, StoreError};

/// Sweeps until shutdown.
pub(super) async fn run(app: App) {
    if !untold::is_possible(&app.store) {
        return;
    }
    let (mut sweep, every) = (Sweep::default(), app.wakes.looks().sweep);
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = app.shutdown.cancelled() => return,
        }
        if let Err(error) = sweep.look(&app.store).await {
            // Whoever waits looks more often while the database is away.
            tracing::debug!(error = chain(&error), "what was never told was not looked for");
        }
    }
}

/// Where the last look ended.
#[derive(Debug, Default)]
struct Sweep {
    mark: Option<Place>,
    /// The newest message that waited for its worker then, by sandbox.
    waiting: BTreeMap<Uuid, i64>,
}

impl Sweep {
    /// Looks once, and wakes who waits for what was found.
    async fn look(&mut self, store: &Store) -> Result<(), StoreError> {
        let mut session = store.read().await?;
        let waiting = untold::messages_waiting(&mut session).await?;
        let written = untold::written_behind(&mut session, self.mark).await?;
        drop(session);
        for (sandbox, newest) in &waiting {
            if self.waiting.get(sandbox) != Some(newest) {
                store.wakes.wake(*sandbox);
            }
        }
        match written.about {
            None => store.wakes.wake_all(),
            Some(about) if about.is_empty() => {}
            Some(about) => {
                about.into_iter().for_each(|about| store.wakes.wake(about));
                store.wakes.wake(ANYWHERE);
            }
        }
        (self.mark, self.waiting) = (Some(written.mark), waiting);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
