//! Sandboxes whose tokens were looked up a moment ago: who reports all the time is not looked up all the
//! time.
//!
//! What holds: a token that no longer opens its sandbox is taken for [`KEPT`] at most, and only where
//! the transaction looks again whose turn it is: events and heartbeats of an older generation are refused.
//! Events that were taken in, of a sandbox that has not ended, are as good as a look-up where the statement
//! that took them in found this very token. Only tokens that opened a sandbox are kept. The clock is an
//! argument.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use specwright_shared::id::SandboxId;

use super::Access;

/// How long a look-up counts: a revocation takes effect within 5 seconds everywhere.
const KEPT: Duration = Duration::from_secs(4);
/// How many are kept: more than workers report to one control API at once; 64 bytes each.
const KEPT_MAX: usize = 10_000;

/// Those that were looked up.
#[derive(Debug, Default)]
pub(crate) struct KnownSandboxes(Mutex<HashMap<[u8; 32], (SandboxId, Instant)>>);

impl KnownSandboxes {
    /// Whether a look-up of a moment ago is enough for this route.
    pub(super) fn are_enough_for(access: Access, path: &str) -> bool {
        access == Access::OwnSandbox && (path.ends_with("/events") || path.ends_with("/heartbeat"))
    }

    /// Whose token has this hash, if that was looked up a moment ago.
    pub(super) fn find(&self, hash: &[u8; 32], now: Instant) -> Option<SandboxId> {
        // The map is valid between any two steps, also when a holder panicked.
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (sandbox, at) = known.get(hash)?;
        is_fresh(*at, now).then_some(*sandbox)
    }

    /// The token with this hash was looked up, or found by what took in, beginning at `at`: it opens this
    /// sandbox.
    pub(crate) fn keep(&self, hash: [u8; 32], sandbox: SandboxId, at: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT_MAX && !known.contains_key(&hash) {
            known.retain(|_, (_, kept)| is_fresh(*kept, at));
            if known.len() >= KEPT_MAX {
                return;
            }
        }
        known.insert(hash, (sandbox, at));
    }
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < KEPT
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
