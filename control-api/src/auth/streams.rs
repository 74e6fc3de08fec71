//! How many streams a token has open here.
//!
//! What holds: a token has at most [`STREAMS_MAX`], so that none uses up the files of this process, or
//! has each commit wake thousands of readers. A stream counts until its body is gone. Per replica, as
//! the other limits are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use specwright_shared::wire::problem::ProblemType;

use crate::problem::Refusal;

/// Far more than the pages and programs of one person watch; of 65,536 files that a process may have
/// open, it takes hundreds of tokens to use them up.
pub(super) const STREAMS_MAX: usize = 100;
/// When to come again: others close theirs in their own time.
const COME_AGAIN: Duration = Duration::from_secs(10);

/// There are as many as there may be.
#[derive(Debug, thiserror::Error)]
#[error(
    "this token has {STREAMS_MAX} streams open here, which is the most; close one first, or read more with one: `/api/v1/events/stream` has all that you may read"
)]
pub(super) struct TooMany;

impl Refusal for TooMany {
    fn kind(&self) -> ProblemType {
        ProblemType::RateLimited
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(COME_AGAIN)
    }
}

/// Streams that are open right now, by the SHA-256 of their token; none is in it with 0.
type Open = Arc<Mutex<HashMap<[u8; 32], usize>>>;

/// Counts them.
#[derive(Debug, Default)]
pub(crate) struct OpenStreams(Open);

impl OpenStreams {
    /// Counts one more, for as long as the answer is kept.
    pub(super) fn one_more(&self, token: [u8; 32]) -> Result<Counted, TooMany> {
        // The map is valid between any two steps, also when a holder panicked.
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(token).or_default();
        if *count >= STREAMS_MAX {
            return Err(TooMany);
        }
        *count += 1;
        Ok(Counted { open: Arc::clone(&self.0), token })
    }
}

/// A stream that is open.
#[derive(Debug)]
pub(super) struct Counted {
    open: Open,
    token: [u8; 32],
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = open.entry(self.token) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_so_many_and_what_is_closed_makes_room() {
        let streams = OpenStreams::default();
        let (one, other) = ([1; 32], [2; 32]);
        let mut open: Vec<_> = (0..STREAMS_MAX).map(|_| streams.one_more(one).unwrap()).collect();
        streams.one_more(one).unwrap_err();
        let of_other = streams.one_more(other).unwrap();
        open.pop();
        open.push(streams.one_more(one).unwrap());
        streams.one_more(one).unwrap_err();
        drop((open, of_other));
        assert!(streams.0.lock().unwrap().is_empty(), "nothing is kept of what is closed");
    }
}
