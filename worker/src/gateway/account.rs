//! The ledger as the gateway keeps it: asked before each call, written after it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use specwright_shared::budget::Budget;
use specwright_shared::ledger::Ledger;
use specwright_shared::price::{NanoUsd, PriceTable};

use super::journal::CallRecord;

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
    pub(super) fn so_far(&self, call: &CallRecord) {
        let counted = weigh(&self.prices, call).counted;
        self.ledger().open(call.call_id, counted);
    }
}

/// What a call costs.
pub(super) struct Weighed {
    /// The cost of what was told, or why it is not known.
    pub(super) cost: Result<NanoUsd, String>,
    /// What a budget counts.
    pub(super) counted: NanoUsd,
    /// Whether that is an estimate.
    pub(super) estimated: bool,
}

/// What a call costs by what is known of it. A refusal costs nothing.
pub(super) fn weigh(prices: &PriceTable, call: &CallRecord) -> Weighed {
    if call.status.is_some_and(|status| status >= 400) {
        let nothing = NanoUsd::default();
        return Weighed { cost: Ok(nothing), counted: nothing, estimated: false };
    }
    let cost = cost(prices, call);
    let used = match call.told {
        Some(told) if call.complete => told,
        _ => call.unfinished().assumed(),
    };
    let of_model = call.model.as_deref().and_then(|model| prices.cost(model, &used));
    let of_model = of_model.filter(|_| !call.beside_tokens);
    let at_least = cost.as_ref().copied().unwrap_or_default();
    let counted = of_model.unwrap_or_else(|| prices.at_most(&used)).max(at_least);
    let estimated = !call.complete && counted > NanoUsd::default();
    Weighed { cost, counted, estimated }
}

fn cost(prices: &PriceTable, call: &CallRecord) -> Result<NanoUsd, String> {
    let tokens = match &call.told {
        Some(tokens) => tokens,
        None if call.status.is_none() => return Err("no answer came".to_owned()),
        None => return Err("the answer told no usage".to_owned()),
    };
    if call.beside_tokens {
        return Err("web searches were used, which have no price here".to_owned());
    }
    let model = call.model.as_deref().unwrap_or("(not named)");
    prices
        .cost(model, tokens)
        .ok_or_else(|| format!("no price is known of the model {model} ({})", prices.as_of))
}
