//! What a call of a model costs, from a table that is data with a date.
//!
//! What holds: amounts are whole nano-dollars, so that sums are exact; a model that the table does
//! not name has no price, and neither has a call that used something besides tokens. Names match
//! whole, but for a date at their end (`claude-x-20261101`) and a context mark (`claude-x[1m]`).
//!
//! Deliberately absent: guessing. [`PriceTable::at_most`] is for budgets only, where a limit that
//! does not count would be none.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The table that is built in.
const TABLE: &str = include_str!("price/table.json");

/// Digits of a date at the end of a model's name.
const DATE_DIGITS: usize = 8;

/// Nano-dollars in a dollar.
const NANO: f64 = 1e9;

/// An amount of money in billionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(pub u64);

impl NanoUsd {
    /// From dollars; what is no amount is none.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and negative amounts were made 0"
    )]
    pub fn from_usd(usd: f64) -> Self {
        Self(if usd.is_finite() { (usd.max(0.0) * NANO).round() as u64 } else { 0 })
    }

    /// In dollars.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact up to nine million dollars")]
    pub fn usd(self) -> f64 {
        self.0 as f64 / NANO
    }

    /// The sum.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference; nothing, where more is taken than there is.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// Tokens of one call, as the service counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tokens {
    /// Read by the model, without those from and to the cache.
    pub input: u64,
    /// Written by the model.
    pub output: u64,
    /// Read from the cache.
    pub cache_read: u64,
    /// Written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Written to the cache for an hour.
    pub cache_write_1h: u64,
}

/// Nano-dollars per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write_5m: u64,
    cache_write_1h: u64,
}

/// Prices of models.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PriceTable {
    /// The day that the prices are of.
    pub as_of: String,
    models: BTreeMap<String, Rates>,
}

impl PriceTable {
    /// The table that is built in. A test reads it, so it can be read.
    #[must_use]
    pub fn built_in() -> Self {
        serde_json::from_str(TABLE)
            .unwrap_or_else(|_| Self { as_of: String::new(), models: BTreeMap::new() })
    }

    /// What tokens of a model cost; `None`: the model is not in the table.
    #[must_use]
    pub fn cost(&self, model: &str, tokens: &Tokens) -> Option<NanoUsd> {
        self.rates(model).map(|rates| rates.of(tokens))
    }

    /// What tokens of an unknown model are counted as by a budget: the dearest model's cost.
    #[must_use]
    pub fn at_most(&self, tokens: &Tokens) -> NanoUsd {
        self.models.values().map(|rates| rates.of(tokens)).max().unwrap_or_default()
    }

    fn rates(&self, model: &str) -> Option<&Rates> {
        let name = model.split_once('[').map_or(model, |(name, _)| name);
        self.models.get(name).or_else(|| {
            let (name, date) = name.rsplit_once('-')?;
            let is_date = date.len() == DATE_DIGITS && date.bytes().all(|one| one.is_ascii_digit());
            if is_date { self.models.get(name) } else { None }
        })
    }
}

impl Rates {
    fn of(&self, tokens: &Tokens) -> NanoUsd {
        let parts = [
            (self.input, tokens.input),
            (self.output, tokens.output),
            (self.cache_read, tokens.cache_read),
            (self.cache_write_5m, tokens.cache_write_5m),
            (self.cache_write_1h, tokens.cache_write_1h),
        ];
        let cost = |(rate, count): (u64, u64)| NanoUsd(rate.saturating_mul(count));
        parts.into_iter().map(cost).fold(NanoUsd::default(), NanoUsd::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(input: u64, output: u64) -> Tokens {
        Tokens { input, output, ..Tokens::default() }
    }

    #[test]
    fn the_built_in_table_gives_what_the_cli_measured() {
        let table = PriceTable::built_in();
        assert_eq!(table.as_of.len(), 10);
        for (model, input, output, usd) in [
            ("claude-opus-5-5", 100, 10, 0.0006),
            ("claude-opus-5-5", 100, 2, 0.00044),
            ("claude-opus-5-5", 10_200, 1020, 0.0612),
            ("claude-opus-4-8[1m]", 200, 20, 0.0015),
            ("claude-sonnet-5-5", 300, 30, 0.0009),
            ("claude-haiku-5-5", 200, 20, 0.00003),
            ("claude-haiku-5-5-20261001", 200, 20, 0.00003),
        ] {
            let cost = table.cost(model, &tokens(input, output)).unwrap();
            assert_eq!(cost, NanoUsd::from_usd(usd), "{model}");
        }
    }

    #[test]
    fn every_kind_of_token_has_its_own_price() {
        let each =
            Tokens { input: 1, output: 1, cache_read: 1, cache_write_5m: 1, cache_write_1h: 1 };
        let cost = PriceTable::built_in().cost("claude-opus-5-5", &each).unwrap();
        assert_eq!(cost, NanoUsd(4000 + 20_000 + 400 + 5000 + 8000));
    }

    #[test]
    fn an_unknown_model_has_no_price_and_a_budget_counts_it_as_the_dearest() {
        let table = PriceTable::built_in();
        for model in ["claude-opus-9", "claude-opus-5-5-fast", "claude-opus-5-5-2026110x", ""] {
            assert_eq!(table.cost(model, &tokens(1, 1)), None, "{model}");
        }
        let dearest = table.cost("claude-opus-4-8", &tokens(7, 3)).unwrap();
        assert_eq!(table.at_most(&tokens(7, 3)), dearest);
    }

    #[test]
    fn what_is_no_amount_of_money_is_none() {
        for usd in [f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(NanoUsd::from_usd(usd), NanoUsd(0));
        }
        assert!((NanoUsd::from_usd(2.5).usd() - 2.5).abs() < 1e-12);
    }
}
