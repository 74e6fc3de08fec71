//! SIGHUP as a wish to end, except where whoever started us had it ignored: that is what `nohup` is
//! for, and listening would undo it.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP's bit in the masks of `/proc/PID/status`: signal 1.
const BIT: u64 = 1;

/// Where hang-ups arrive; nowhere, if they are ignored.
pub(crate) struct Hangup(Option<Signal>);

/// Starts to listen, unless it is ignored.
///
/// # Errors
/// The system refuses.
pub(crate) fn listen() -> io::Result<Hangup> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if is_ignored(&status) {
        return Ok(Hangup(None));
    }
    signal(SignalKind::hangup()).map(|signal| Hangup(Some(signal)))
}

impl Hangup {
    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}

fn is_ignored(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & BIT != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hangup_is_read_from_the_mask() {
        assert!(is_ignored("Name:\tx\nSigIgn:\t0000000000001001\n"));
        assert!(!is_ignored("Name:\tx\nSigIgn:\t0000000000001000\n"));
        assert!(!is_ignored(""));
    }
}
