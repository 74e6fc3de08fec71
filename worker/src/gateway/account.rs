//! The ledger as the gateway keeps it: asked before each call, written after it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use specwright_shared::budget::Budget;
use specwright_shared::ledger::Ledger;
use specwright_shared::price::{NanoUsd, PriceTable, Tokens};
use uuid::Uuid;

/// The account of this job.
pub(super) struct Account {
    ledger: Mutex<Ledger>,
    pub(super) budget: Budget,
    pub(super) prices: PriceTable,
}

impl Account {
    pub(super) fn new(ledger: Ledger, budget: Budget) -> Self {
        Self { ledger: Mutex::new(ledger), budget, prices: PriceTable::built_in() }
    }

    /// Held for a few instructions, never over an await.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A sum is whole at every moment, whatever panicked elsewhere.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call may start; `Err` with what is spent.
    pub(super) fn admit(&self) -> Result<(), NanoUsd> {
        let ledger = self.ledger();
        if ledger.may_start(self.budget) { Ok(()) } else { Err(ledger.counted()) }
    }

    /// A call under way has used this so far.
    pub(super) fn so_far(&self, call: Uuid, model: Option<&str>, tokens: &Tokens) {
        let cost = model.and_then(|model| self.prices.cost(model, tokens));
        let cost = cost.unwrap_or_else(|| self.prices.at_most(tokens));
        self.ledger().open(call, cost);
    }
}
