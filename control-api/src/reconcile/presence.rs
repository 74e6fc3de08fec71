//! Since when, without a gap, some control API has been there to hear the workers.
//!
//! What holds: nobody's silence counts from before that moment. A gap is one in which no control API
//! on this database was there: stopped, frozen, cut off from the database, or its machine asleep.
//! After it silence counts anew. What is kept in memory is what the database said last, and is worth
//! nothing when that was longer ago than a gap.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use specwright_shared::time::Timestamp;

use crate::app::App;
use crate::problem::chain;
use crate::store::{self, StoreError};

/// The longest gap that goes unnoticed, where leases are long.
const GAP_MAX: Duration = Duration::from_secs(20);
/// The shortest one: under it a busy machine would count as away.
const GAP_MIN: Duration = Duration::from_secs(2);
/// A lease outlives so many gaps.
const GAPS_PER_LEASE: u32 = 4;
/// So often we say that we are there, in one gap.
const BEATS_PER_GAP: u32 = 4;

/// How long nobody may be there without counting as away.
pub(crate) fn gap(lease: Duration) -> Duration {
    (lease / GAPS_PER_LEASE).clamp(GAP_MIN, GAP_MAX)
}

/// What the database said last.
#[derive(Debug)]
pub(crate) struct Presence {
    gap: Duration,
    said: Mutex<Option<Said>>,
}

#[derive(Debug, Clone, Copy)]
struct Said {
    since: Timestamp,
    at: Timestamp,
}

impl Presence {
    /// Nobody has said anything yet.
    pub(crate) const fn new(gap: Duration) -> Self {
        Self { gap, said: Mutex::new(None) }
    }

    /// Since when silence counts.
    pub(crate) fn since(&self, now: Timestamp) -> Timestamp {
        let said = *self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match said {
            Some(said) if now.since(said.at) <= self.gap && said.at <= now.plus(self.gap) => {
                said.since
            }
            _ => now,
        }
    }

    /// Whether a lease ran out while a control API was there to renew it. An absence that nobody
    /// noticed is added to it.
    pub(crate) fn has_run_out(&self, until: Timestamp, lease: Duration, now: Timestamp) -> bool {
        let listened = now.since(self.since(now));
        listened > lease && until.plus(self.gap) < now
    }

    pub(super) fn set(&self, since: Timestamp, at: Timestamp) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(Said { since, at });
    }
}

/// Says it, again and again, until shutdown.
pub(super) async fn run(app: App) {
    let every = app.presence.gap / BEATS_PER_GAP;
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => beat(&app).await,
            () = app.shutdown.cancelled() => return,
        }
    }
}

/// Says it once.
pub(super) async fn beat(app: &App) {
    let now = app.now();
    let said = async {
        let mut write = app.store.write().await?;
        let since = store::presence::beat(&mut write, now, app.presence.gap).await?;
        write.commit().await?;
        Ok::<_, StoreError>(since)
    };
    match said.await {
        Ok(since) => app.presence.set(since, now),
        Err(error) => {
            tracing::warn!(error = chain(&error), "our being there could not be noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_last_gap_and_not_at_all_when_that_is_not_known() {
        let at = |second: i64| Timestamp::from_micros(1_795_000_000_000_000 + second * 1_000_000);
        let presence = Presence::new(GAP_MAX);
        assert_eq!(presence.since(at(9)), at(9), "nobody has said anything yet");
        presence.set(at(3), at(100));
        assert_eq!(presence.since(at(105)), at(3));
        assert_eq!(presence.since(at(121)), at(121), "frozen, or without a database");
        assert_eq!(presence.since(at(70)), at(70), "the clock was set back");
    }

    #[test]
    fn a_lease_runs_out_only_while_somebody_was_there_to_renew_it() {
        let at = |second: i64| Timestamp::from_micros(1_795_000_000_000_000 + second * 1_000_000);
        let lease = Duration::from_secs(90);
        let presence = Presence::new(GAP_MAX);
        let out = |until, now| presence.has_run_out(at(until), lease, at(now));
        // Nobody was there for an hour; then somebody is, and workers come again.
        assert!(!out(90, 3600), "nobody has said anything yet");
        presence.set(at(3600), at(3685));
        assert!(!out(90, 3690), "it had no lease's time to be heard in");
        presence.set(at(3600), at(3700));
        assert!(out(90, 3691) && out(90, 3700));
        // There all the time: an absence that nobody noticed is added.
        presence.set(at(0), at(3700));
        assert!(!out(3685, 3704), "a gap has not passed");
        assert!(out(3685, 3706));
        assert!(!out(3700, 3701));
    }
}
