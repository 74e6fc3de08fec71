use std::collections::BTreeSet;

use super::*;

#[test]
fn the_same_seed_makes_the_same_decisions_and_another_seed_others() {
    let plans = |seed| (0..100).map(move |cycle| Plan::of(seed, cycle, None)).collect::<Vec<_>>();
    assert_eq!(plans(7), plans(7));
    assert_ne!(plans(7), plans(8));
}

#[test]
fn a_plan_survives_its_trace() {
    for cycle in 0..100 {
        let plan = Plan::of(3, cycle, None);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}

#[test]
fn twenty_five_cycles_meet_every_kind() {
    let kinds: BTreeSet<String> =
        (0..25).map(|cycle| format!("{:?}", Plan::of(1, cycle, None).kind)).collect();
    assert_eq!(kinds.len(), Kind::value_variants().len(), "{kinds:?}");
}

#[test]
fn a_kind_alone_meets_every_named_step() {
    let steps = steps();
    let cycles = 2 * steps.len() as u64;
    let plans: Vec<Plan> = (0..cycles).map(|cycle| Plan::of(1, cycle, Some(Kind::Api))).collect();
    for step in steps {
        assert!(plans.iter().any(|plan| plan.strikes[0].at == step), "{step:?}");
    }
}
