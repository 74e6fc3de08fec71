//! Sandboxes whose tokens were looked up a moment ago: who reports all the time is not looked up all the
//! time, and thousands who do so now and then are looked up together.
//!
//! What holds: a token that no longer opens its sandbox is taken for [`KEPT`] at most, and only where
//! the transaction looks again whose turn it is: events and heartbeats of an older generation are refused.
//! Events that were taken in, of a sandbox that has not ended, are as good as a look-up where the statement
//! that took them in found this very token. Only tokens that opened a sandbox are kept. The clock is an
//! argument.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use specwright_shared::id::SandboxId;

use super::Access;
use super::admit::late_facts_since;
use crate::app::App;
use crate::problem::chain;
use crate::store;

/// How long a look-up counts: a revocation takes effect within 5 seconds everywhere.
const KEPT: Duration = Duration::from_secs(4);
/// How many are kept: more than workers report to one control API at once; 80 bytes each.
const KEPT_MAX: usize = 10_000;
/// How often those that grow old are looked up again, together.
const AGAIN: Duration = Duration::from_secs(2);
/// From what age on: the next time would be too late.
const OLD: Duration = Duration::from_secs(1);
/// Which of them: those that were brought since. A worker beats every 10 seconds.
const BROUGHT_WITHIN: Duration = Duration::from_secs(60);
/// How many by one statement.
const AT_ONCE: usize = 1_000;

/// Those that were looked up.
#[derive(Debug, Default)]
pub(crate) struct KnownSandboxes(Mutex<HashMap<[u8; 32], Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    sandbox: SandboxId,
    /// When the look-up began.
    at: Instant,
    /// When somebody came with it last.
    brought: Instant,
}

impl KnownSandboxes {
    /// Whether a look-up of a moment ago is enough for this route.
    pub(super) fn are_enough_for(access: Access, path: &str) -> bool {
        access == Access::OwnSandbox && (path.ends_with("/events") || path.ends_with("/heartbeat"))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Known>> {
        // The map is valid between any two steps, also when a holder panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose token has this hash, if that was looked up a moment ago.
    pub(super) fn find(&self, hash: &[u8; 32], now: Instant) -> Option<SandboxId> {
        let mut known = self.known();
        let found = known.get_mut(hash)?;
        found.brought = now;
        is_fresh(found.at, now).then_some(found.sandbox)
    }

    /// The token with this hash was brought, and looked up, or found by what took in, beginning at `at`:
    /// it opens this sandbox.
    pub(crate) fn keep(&self, hash: [u8; 32], sandbox: SandboxId, at: Instant) {
        let mut known = self.known();
        if known.len() >= KEPT_MAX && !known.contains_key(&hash) {
            known.retain(|_, known| is_fresh(known.at, at));
            if known.len() >= KEPT_MAX {
                return;
            }
        }
        known.insert(hash, Known { sandbox, at, brought: at });
    }

    /// Those to be looked up again. Who was not brought for long is not kept any more.
    fn growing_old(&self, now: Instant) -> Vec<[u8; 32]> {
        let mut known = self.known();
        known.retain(|_, known| now.saturating_duration_since(known.brought) < BROUGHT_WITHIN);
        let is_old = |known: &Known| now.saturating_duration_since(known.at) >= OLD;
        known.iter().filter(|(_, known)| is_old(known)).map(|(hash, _)| *hash).collect()
    }

    /// The token with this hash was looked up without being brought, beginning at `at`.
    fn renew(&self, hash: &[u8; 32], sandbox: SandboxId, at: Instant) {
        if let Some(known) = self.known().get_mut(hash) {
            // What took in meanwhile may know better.
            known.at = known.at.max(at);
            known.sandbox = sandbox;
        }
    }
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < KEPT
}

/// Looks up again, until shutdown, what would grow too old. What is not found grows old.
pub(crate) async fn keep_known(app: App) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = app.shutdown.cancelled() => return,
        }
        for some in app.known_sandboxes.growing_old(Instant::now()).chunks(AT_ONCE) {
            let (begin, late) = (Instant::now(), late_facts_since(app.now()));
            let looked_up = async {
                let mut session = app.store.ask().await?;
                store::sandbox::token::by_tokens(&mut session, some, late).await
            };
            match looked_up.await {
                Ok(found) => found
                    .iter()
                    .for_each(|(hash, sandbox)| app.known_sandboxes.renew(hash, *sandbox, begin)),
                Err(error) => {
                    // Each is looked up when it is brought.
                    tracing::debug!(error = chain(&error), "known tokens were not looked up again");
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn hash(number: usize) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        hash
    }

    #[test]
    fn a_look_up_counts_for_four_seconds_and_no_longer() {
        const { assert!(KEPT.as_secs() < 5, "what is promised of a revocation") };
        let (known, begin) = (KnownSandboxes::default(), Instant::now());
        let sandbox = SandboxId(Uuid::now_v7());
        assert_eq!(known.find(&hash(1), begin), None);
        known.keep(hash(1), sandbox, begin);
        assert_eq!(known.find(&hash(1), begin + KEPT - Duration::from_millis(1)), Some(sandbox));
        assert_eq!(known.find(&hash(1), begin + KEPT), None);
        assert_eq!(known.find(&hash(2), begin), None);
    }

    #[test]
    fn who_is_brought_now_and_then_is_looked_up_with_the_others_before_it_is_too_old() {
        const { assert!(AGAIN.as_millis() + OLD.as_millis() < KEPT.as_millis()) };
        let (known, begin) = (KnownSandboxes::default(), Instant::now());
        let sandbox = SandboxId(Uuid::now_v7());
        known.keep(hash(1), sandbox, begin);
        let just_before = begin + OLD - Duration::from_millis(1);
        assert!(known.growing_old(just_before).is_empty());
        let mut now = begin;
        for _ in 0..5 {
            now += AGAIN;
            assert_eq!(known.growing_old(now), [hash(1)]);
            known.renew(&hash(1), sandbox, now);
            assert_eq!(known.find(&hash(1), now + KEPT / 2), Some(sandbox));
        }
        // Not found any more.
        assert_eq!(known.find(&hash(1), now + KEPT), None);
        let long_after = now + KEPT + BROUGHT_WITHIN;
        assert!(known.growing_old(long_after).is_empty(), "nobody brings it");
        known.renew(&hash(1), sandbox, long_after);
        assert_eq!(known.find(&hash(1), long_after), None, "and it is kept no more");
    }

    #[test]
    fn so_many_are_kept_and_old_ones_make_room() {
        let (known, begin) = (KnownSandboxes::default(), Instant::now());
        let sandbox = SandboxId(Uuid::now_v7());
        (0..=KEPT_MAX).for_each(|number| known.keep(hash(number), sandbox, begin));
        assert_eq!(known.find(&hash(KEPT_MAX), begin), None);
        known.keep(hash(KEPT_MAX), sandbox, begin + KEPT);
        assert_eq!(known.find(&hash(KEPT_MAX), begin + KEPT), Some(sandbox));
        assert_eq!(known.0.lock().unwrap().len(), 1);
    }
}
