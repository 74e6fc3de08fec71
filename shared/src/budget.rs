//! The limit of what a job may spend.
//!
//! What holds: a call may start only while less than the limit is spent. What a call costs is known
//! when it has been made, so the last one that was allowed may end over the limit; none starts after.

use crate::price::NanoUsd;

/// At this share of the limit a warning is given, in percent.
pub const WARN_AT_PERCENT: u64 = 80;

/// A limit, or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    limit: Option<NanoUsd>,
}

impl Budget {
    /// Of so many dollars; `None`: without a limit.
    #[must_use]
    pub fn of(usd: Option<f64>) -> Self {
        Self { limit: usd.map(NanoUsd::from_usd) }
    }

    /// The limit.
    #[must_use]
    pub const fn limit(self) -> Option<NanoUsd> {
        self.limit
    }

    /// Whether a call may start when so much is spent.
    #[must_use]
    pub fn allows(self, spent: NanoUsd) -> bool {
        self.limit.is_none_or(|limit| spent < limit)
    }

    /// Whether so much is worth a warning.
    #[must_use]
    pub fn warns(self, spent: NanoUsd) -> bool {
        let percent = |part: NanoUsd, of: NanoUsd| {
            u128::from(part.0) * 100 >= u128::from(of.0) * u128::from(WARN_AT_PERCENT)
        };
        self.limit.is_some_and(|limit| percent(spent, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_may_start_below_the_limit_and_not_at_it() {
        let budget = Budget::of(Some(1.0));
        assert!(budget.allows(NanoUsd(999_999_999)));
        assert!(!budget.allows(NanoUsd(1_000_000_000)));
        assert!(Budget::of(None).allows(NanoUsd(u64::MAX)));
    }

    #[test]
    fn the_warning_comes_at_four_fifths() {
        let budget = Budget::of(Some(1.0));
        assert!(!budget.warns(NanoUsd(799_999_999)));
        assert!(budget.warns(NanoUsd(800_000_000)));
        assert!(!Budget::of(None).warns(NanoUsd(u64::MAX)));
    }
}
