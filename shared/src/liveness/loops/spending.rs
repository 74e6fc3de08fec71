//! What the model used since the agent last learned or did something new.
//!
//! What holds: an answer that was not seen among the last calls ends a count; a count is told when it
//! passes a share of the job's budget, or a number of tokens where there is none, and again only each
//! time that it has doubled.

use crate::price::NanoUsd;

/// This part of the job's budget, in percent, used for nothing new is worth a word: nine more such
/// stretches end the job.
pub const BUDGET_SHARE_PERCENT: u64 = 10;
/// Without a budget: so many tokens, read and written. Five calls with a full context of 200,000.
pub const TOKENS_MAX: u64 = 1_000_000;

/// What was used for nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spent {
    /// Calls of the model.
    pub(super) calls: u32,
    /// Tokens, read and written.
    pub(super) tokens: u64,
    /// Part of the job's budget, in percent; absent: there is none.
    pub(super) budget_percent: Option<u64>,
}

/// The count.
#[derive(Debug, Default)]
pub(super) struct Spending {
    calls: u32,
    tokens: u64,
    cost: u128,
    /// How often the limit must be passed to be told next, less one.
    told: u128,
}

impl Spending {
    /// Something new was seen.
    pub(super) fn progressed(&mut self) {
        *self = Self::default();
    }

    /// A call of the model was paid.
    pub(super) fn spent(
        &mut self,
        tokens: u64,
        cost: NanoUsd,
        budget: Option<NanoUsd>,
    ) -> Option<Spent> {
        self.calls = self.calls.saturating_add(1);
        self.tokens = self.tokens.saturating_add(tokens);
        self.cost += u128::from(cost.0);
        let budget = budget.map(|budget| u128::from(budget.0)).filter(|budget| *budget > 0);
        let (used, limit) = match budget {
            Some(budget) => (self.cost * 100, budget * u128::from(BUDGET_SHARE_PERCENT)),
            None => (u128::from(self.tokens), u128::from(TOKENS_MAX)),
        };
        let next = self.told.max(1);
        if used < limit.saturating_mul(next) {
            return None;
        }
        self.told = next * 2;
        while used >= limit.saturating_mul(self.told) {
            self.told *= 2;
        }
        let percent = budget.map(|budget| u64::try_from(self.cost * 100 / budget));
        let budget_percent = percent.map(|percent| percent.unwrap_or(u64::MAX));
        Some(Spent { calls: self.calls, tokens: self.tokens, budget_percent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Option<NanoUsd> = Some(NanoUsd(1_000));

    #[test]
    fn a_share_of_the_budget_for_nothing_new_is_told_and_then_seldom() {
        let mut spending = Spending::default();
        let told: Vec<_> = (0..90)
            .filter_map(|_| spending.spent(100, NanoUsd(10), BUDGET))
            .map(|spent| (spent.calls, spent.tokens, spent.budget_percent.unwrap()))
            .collect();
        assert_eq!(told, [(10, 1_000, 10), (20, 2_000, 20), (40, 4_000, 40), (80, 8_000, 80)]);
    }

    #[test]
    fn something_new_begins_the_count_anew() {
        let mut spending = Spending::default();
        for _ in 0..100 {
            assert_eq!(spending.spent(100, NanoUsd(60), BUDGET), None);
            spending.progressed();
        }
        assert_eq!(spending.spent(100, NanoUsd(60), BUDGET), None);
        assert_eq!(spending.spent(100, NanoUsd(60), BUDGET).unwrap().calls, 2);
    }

    #[test]
    fn without_a_budget_tokens_count() {
        let mut spending = Spending::default();
        let spent = |spending: &mut Spending| spending.spent(400_000, NanoUsd(9), None);
        assert_eq!((spent(&mut spending), spent(&mut spending)), (None, None));
        let told = spent(&mut spending).unwrap();
        assert_eq!((told.calls, told.tokens, told.budget_percent), (3, 1_200_000, None));
    }

    #[test]
    fn one_dear_call_is_told_once() {
        let mut spending = Spending::default();
        assert_eq!(spending.spent(1, NanoUsd(900), BUDGET).unwrap().budget_percent, Some(90));
        assert_eq!(spending.spent(1, NanoUsd(10), BUDGET), None);
    }
}
