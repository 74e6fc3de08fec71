//! What a job has spent: every call of the model once, and the agent's own account beside it.
//!
//! What holds: a call counts once however often it is entered, and only under its own id; sums are
//! exact and only grow; [`Ledger::counted`] is never less than what is known to have been spent, so
//! a limit on it is a limit on money. A call that is still open counts with what is known of it; one
//! that never came to its end, with what it is assumed to have used ([`Unfinished`]).
//!
//! Deliberately absent: believing the agent. Its totals are kept to compare, and they count only
//! where they are higher: a process that was killed never told its last one, and a call that went
//! round the ledger is in no other account.

mod unfinished;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::budget::Budget;
use crate::price::NanoUsd;

pub use unfinished::Unfinished;

/// The account of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    entered: BTreeSet<Uuid>,
    open: BTreeMap<Uuid, NanoUsd>,
    known: NanoUsd,
    assumed: NanoUsd,
    unpriced: u64,
    agents_own: NanoUsd,
}

impl Ledger {
    /// A call is under way and has used this so far.
    pub fn open(&mut self, call: Uuid, so_far: NanoUsd) {
        if !self.entered.contains(&call) {
            self.open.insert(call, so_far);
        }
    }

    /// A call is over: what it cost, if that is known, and what a budget counts for it, which is more
    /// where something is assumed. Entered twice it counts once; `false` the second time.
    pub fn enter(&mut self, call: Uuid, cost: Option<NanoUsd>, counted: NanoUsd) -> bool {
        self.open.remove(&call);
        if !self.entered.insert(call) {
            return false;
        }
        self.unpriced += u64::from(cost.is_none());
        let known = cost.unwrap_or_default();
        self.known = self.known.plus(known);
        self.assumed = self.assumed.plus(counted.minus(known));
        true
    }

    /// Whether a call was entered.
    #[must_use]
    pub fn has(&self, call: Uuid) -> bool {
        self.entered.contains(&call)
    }

    /// The agent says that a turn cost this.
    pub fn agent_says(&mut self, cost: NanoUsd) {
        self.agents_own = self.agents_own.plus(cost);
    }

    /// What priced calls cost.
    #[must_use]
    pub const fn known(&self) -> NanoUsd {
        self.known
    }

    /// Calls that have no price.
    #[must_use]
    pub const fn unpriced(&self) -> u64 {
        self.unpriced
    }

    /// What the agent's own totals add up to.
    #[must_use]
    pub const fn agents_own(&self) -> NanoUsd {
        self.agents_own
    }

    /// What counts against a budget.
    #[must_use]
    pub fn counted(&self) -> NanoUsd {
        let open = self.open.values().copied().fold(NanoUsd::default(), NanoUsd::plus);
        self.known.plus(self.assumed).plus(open).max(self.agents_own)
    }

    /// Whether another call may start.
    #[must_use]
    pub fn may_start(&self, budget: Budget) -> bool {
        budget.allows(self.counted())
    }
}

#[cfg(test)]
mod tests;
