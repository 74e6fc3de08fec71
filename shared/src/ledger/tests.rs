//! The account: once each, exact, never too low.

use proptest::prelude::*;

use super::*;

fn call(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

#[test]
fn a_call_that_is_entered_twice_counts_once() {
    let mut ledger = Ledger::default();
    assert!(ledger.enter(call(1), Some(NanoUsd(5)), NanoUsd(5)));
    assert!(!ledger.enter(call(1), Some(NanoUsd(5)), NanoUsd(5)));
    assert!(ledger.has(call(1)) && !ledger.has(call(2)));
    ledger.open(call(1), NanoUsd(100));
    assert_eq!((ledger.known(), ledger.counted()), (NanoUsd(5), NanoUsd(5)));
}

#[test]
fn a_call_without_a_price_is_said_and_counts_against_the_budget_all_the_same() {
    let mut ledger = Ledger::default();
    ledger.enter(call(1), None, NanoUsd(9));
    assert_eq!((ledger.known(), ledger.unpriced()), (NanoUsd(0), 1));
    assert_eq!(ledger.counted(), NanoUsd(9));
}

#[test]
fn what_is_assumed_beyond_the_cost_counts_against_the_budget_and_is_not_called_known() {
    let mut ledger = Ledger::default();
    ledger.enter(call(1), Some(NanoUsd(5)), NanoUsd(9));
    assert_eq!((ledger.known(), ledger.counted(), ledger.unpriced()), (NanoUsd(5), NanoUsd(9), 0));
}

#[test]
fn an_open_call_counts_with_what_is_known_of_it_until_it_is_entered() {
    let mut ledger = Ledger::default();
    ledger.open(call(1), NanoUsd(3));
    ledger.open(call(1), NanoUsd(4));
    assert_eq!(ledger.counted(), NanoUsd(4));
    ledger.enter(call(1), Some(NanoUsd(10)), NanoUsd(0));
    assert_eq!(ledger.counted(), NanoUsd(10));
}

#[test]
fn the_agents_own_total_counts_only_where_it_is_higher() {
    let mut ledger = Ledger::default();
    ledger.enter(call(1), Some(NanoUsd(10)), NanoUsd(0));
    ledger.agent_says(NanoUsd(4));
    assert_eq!(ledger.counted(), NanoUsd(10));
    ledger.agent_says(NanoUsd(8));
    assert_eq!((ledger.counted(), ledger.agents_own()), (NanoUsd(12), NanoUsd(12)));
}

proptest! {
    #[test]
    fn no_order_and_no_repetition_changes_the_sum(
        calls in prop::collection::vec((0_u128..8, 0_u64..1000, any::<bool>()), 0..40),
    ) {
        let (mut ledger, mut first) = (Ledger::default(), BTreeMap::new());
        for (id, cost, priced) in calls {
            let before = ledger.counted();
            let cost = NanoUsd(cost);
            ledger.enter(call(id), priced.then_some(cost), cost);
            first.entry(id).or_insert((cost, priced));
            prop_assert!(ledger.counted() >= before);
        }
        let known = first.values().filter(|(_, priced)| *priced).map(|(cost, _)| cost.0).sum();
        prop_assert_eq!(ledger.known(), NanoUsd(known));
        prop_assert_eq!(ledger.counted(), NanoUsd(first.values().map(|(cost, _)| cost.0).sum()));
    }
}
