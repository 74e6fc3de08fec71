//! Waiting for a condition: bounded, and with a name that the failure says.

use std::time::{Duration, Instant};

/// The longest wait for anything that comes by itself: far beyond what the slowest machine was seen to
/// need, so that a wait in vain is a hang. How fast something comes is measured by benches, not here.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How long between two looks: short beside everything that is waited for, long beside a look.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `look` gives something.
///
/// # Panics
/// When that takes longer than `at_most`; the message says what was waited for.
pub async fn wait_for<T>(
    what: &str,
    at_most: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < at_most, "waited {at_most:?} in vain for: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
