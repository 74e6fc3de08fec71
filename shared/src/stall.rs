//! When a call of the model counts as stalled: a pure function of what moved and when.
//!
//! What holds: bytes of any kind break a silence; only content breaks a run of pings; a call that was
//! asked for as one piece moves no bytes until it is done, so it has the longer patience.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a call may go without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Without any byte.
    pub silence: Duration,
    /// Without anything but pings.
    pub pings: Duration,
}

/// What is known of a call under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Since the last byte, or since it was asked for.
    pub since_byte: Duration,
    /// Since the last byte of content, or since it was asked for.
    pub since_content: Duration,
    /// Whether the answer comes as a stream.
    pub streams: bool,
}

/// Why a call counts as stalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stall {
    /// No bytes came.
    Silent,
    /// Nothing but pings came.
    PingsOnly,
}

/// Whether a call has stalled, or how long it can go on before it may have.
///
/// # Errors
/// It has stalled.
pub fn watch(moved: Moved, patience: Patience) -> Result<Duration, Stall> {
    if moved.streams && moved.since_byte >= patience.silence {
        return Err(Stall::Silent);
    }
    if moved.since_content >= patience.pings {
        let silent = moved.since_byte >= patience.pings;
        return Err(if silent { Stall::Silent } else { Stall::PingsOnly });
    }
    let pings = patience.pings.saturating_sub(moved.since_content);
    let silence = patience.silence.saturating_sub(moved.since_byte);
    Ok(if moved.streams { pings.min(silence) } else { pings })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { silence: Duration::from_secs(10), pings: Duration::from_secs(60) };

    fn after(byte: u64, content: u64, streams: bool) -> Result<Duration, Stall> {
        let (since_byte, since_content) = (Duration::from_secs(byte), Duration::from_secs(content));
        watch(Moved { since_byte, since_content, streams }, PATIENCE)
    }

    #[test]
    fn silence_and_pings_have_their_own_patience() {
        assert_eq!(after(0, 0, true), Ok(Duration::from_secs(10)));
        assert_eq!(after(9, 9, true), Ok(Duration::from_secs(1)));
        assert_eq!(after(10, 10, true), Err(Stall::Silent));
        assert_eq!(after(1, 55, true), Ok(Duration::from_secs(5)));
        assert_eq!(after(1, 60, true), Err(Stall::PingsOnly));
    }

    #[test]
    fn an_answer_in_one_piece_may_be_silent_for_longer() {
        assert_eq!(after(10, 10, false), Ok(Duration::from_secs(50)));
        assert_eq!(after(60, 60, false), Err(Stall::Silent));
    }
}
