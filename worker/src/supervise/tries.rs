//! How often a worker that crashes is started again. Pure: the clock is an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most restarts within [`WINDOW`]: a crash that comes more often has a cause that stays.
pub(super) const RESTARTS_MAX: usize = 5;
/// Crashes that are further apart have nothing to do with each other.
pub(super) const WINDOW: Duration = Duration::from_secs(600);
/// The pause before the first restart in a window; each further one takes twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// The restarts so far.
#[derive(Debug, Default)]
pub(super) struct Tries(VecDeque<Instant>);

impl Tries {
    /// Counts a restart and gives the pause before it; `None`: there were enough.
    pub(super) fn again(&mut self, now: Instant) -> Option<Duration> {
        self.0.retain(|then| now.saturating_duration_since(*then) < WINDOW);
        if self.0.len() >= RESTARTS_MAX {
            return None;
        }
        let before = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.push_back(now);
        Some(PAUSE_FIRST * 2_u32.saturating_pow(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_bounded_within_the_window_and_slow_down() {
        let (begin, mut tries) = (Instant::now(), Tries::default());
        let pauses: Vec<_> = (0..7)
            .map(|second| tries.again(begin + Duration::from_secs(second)))
            .map(|pause| pause.map(|pause| pause.as_millis()))
            .collect();
        let bounded = [Some(100), Some(200), Some(400), Some(800), Some(1600), None, None];
        assert_eq!(pauses, bounded);
        // The first of them is long ago by then.
        let later = begin + WINDOW;
        assert_eq!(tries.again(later), Some(Duration::from_millis(1600)));
        assert_eq!(tries.again(later), None);
        let much_later = later + WINDOW;
        assert_eq!(tries.again(much_later), Some(Duration::from_millis(100)));
    }
}
