//! How much disk the spool may take, and who may take the last of it.
//!
//! Three marks, from low to high: droppable facts are taken up to three quarters of the whole,
//! others up to the whole less the reserve, terminal facts always. Above the first mark the bulk
//! (tool results, the agent's talk) stops, so that the rest is there for what a run is about.

use std::time::Duration;

/// What a spool may take when nobody says: days of an agent's work with the control API away.
pub const SPOOL_MAX_BYTES_DEFAULT: u64 = 256 * 1024 * 1024;
/// The least that is taken as meant: room for one accepted output of the largest size and its end.
pub const SPOOL_MAX_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// The most bytes of a segment: a file that is read in a blink when it is given up.
const SEGMENT_MAX_BYTES: u64 = 4 * 1024 * 1024;
/// A segment is at most this part of the whole, or deleting one would come too late.
const SEGMENTS_MIN: u64 = 8;
/// Kept free for the terminal fact and the declaration of drops before it.
const RESERVE_BYTES: u64 = 64 * 1024;
/// The pause between two tries on a full disk.
const STALL_PAUSE: Duration = Duration::from_millis(100);
/// How often a fact that must not be dropped is tried: ten seconds, while the control API may
/// acknowledge a segment or someone may make room.
const STALL_TRIES: u32 = 100;

/// The limits of one spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What all files together may take.
    pub(super) max_bytes: u64,
    /// When the next segment begins.
    pub(super) segment_bytes: u64,
    /// What only a terminal fact may use.
    pub(super) reserve_bytes: u64,
    pub(super) stall_pause: Duration,
    pub(super) stall_tries: u32,
}

impl Limits {
    /// The limits that follow from the whole.
    #[must_use]
    pub const fn of(max_bytes: u64) -> Self {
        let part = max_bytes / SEGMENTS_MIN;
        let segment_bytes = if part < SEGMENT_MAX_BYTES { part } else { SEGMENT_MAX_BYTES };
        Self {
            max_bytes,
            segment_bytes,
            reserve_bytes: RESERVE_BYTES,
            stall_pause: STALL_PAUSE,
            stall_tries: STALL_TRIES,
        }
    }

    /// Up to here droppable facts are taken.
    pub(super) const fn droppable_max(&self) -> u64 {
        self.max_bytes / 4 * 3
    }

    /// Up to here facts are taken that are not the end.
    pub(super) const fn ordinary_max(&self) -> u64 {
        self.max_bytes.saturating_sub(self.reserve_bytes)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of(SPOOL_MAX_BYTES_DEFAULT)
    }
}
