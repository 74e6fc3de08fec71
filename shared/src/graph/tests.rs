use proptest::prelude::*;

use super::*;

#[test]
fn among_ready_nodes_the_one_named_first_comes_first() {
    let order = order(&["c", "b", "a", "d"], &[("c", "a")]).unwrap();
    assert_eq!(order, ["b", "a", "c", "d"]);
}

#[test]
fn a_cycle_is_reported_without_what_merely_leads_to_it() {
    let edges = [("in", "b"), ("b", "c"), ("c", "a"), ("a", "b"), ("a", "free")];
    let found = order(&["in", "a", "b", "c", "free"], &edges).unwrap_err();
    assert_eq!(found, Cycle(vec!["a", "b", "c"]));
}

#[test]
fn a_node_that_waits_for_itself_is_a_cycle_of_one() {
    assert_eq!(order(&[1], &[(1, 1)]), Err(Cycle(vec![1])));
}

#[test]
fn repeated_nodes_repeated_edges_and_unknown_ends_do_no_harm() {
    assert_eq!(order(&[1, 2, 1], &[(1, 2), (1, 2), (1, 9), (9, 2)]), Ok(vec![2, 1]));
    assert_eq!(order::<u8>(&[], &[]), Ok(vec![]));
}

#[test]
fn a_chain_of_100_000_is_ordered_and_a_circle_of_100_000_is_found() {
    let nodes: Vec<u32> = (0..100_000).collect();
    let mut edges: Vec<(u32, u32)> = nodes.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let ordered = order(&nodes, &edges).unwrap();
    assert!(ordered.iter().rev().eq(nodes.iter()));
    assert_eq!(longest_path(&nodes, &edges, |_| 1.0).unwrap().nodes.len(), nodes.len());
    edges.push((99_999, 0));
    assert_eq!(order(&nodes, &edges), Err(Cycle(nodes)));
}

#[test]
fn the_heaviest_chain_wins_not_the_longest() {
    let edges = [("b", "a"), ("c", "b"), ("e", "d")];
    let weight = |node: &&str| if *node == "d" { 10.0 } else { 1.0 };
    let chain = longest_path(&["a", "b", "c", "d", "e"], &edges, weight).unwrap();
    assert_eq!(chain, Chain { nodes: vec!["d", "e"], weight: 11.0 });
}

#[test]
fn a_weight_that_is_no_number_counts_as_nothing() {
    let chain = longest_path(&[1, 2], &[], |node| if *node == 1 { f64::NAN } else { -3.0 });
    assert_eq!(chain.unwrap().weight, 0.0);
}

proptest! {
    #[test]
    fn an_order_respects_every_edge_and_a_cycle_is_one(
        edges in prop::collection::vec((0u8..20, 0u8..20), 0..40),
    ) {
        let nodes: Vec<u8> = (0..20).collect();
        match order(&nodes, &edges) {
            Ok(order) => {
                let place = |node| order.iter().position(|other| *other == node);
                prop_assert_eq!(order.len(), nodes.len());
                for (later, earlier) in edges {
                    prop_assert!(place(later) > place(earlier));
                }
            }
            Err(Cycle(cycle)) => {
                prop_assert!(!cycle.is_empty());
                for (at, node) in cycle.iter().enumerate() {
                    let next = cycle[(at + 1) % cycle.len()];
                    prop_assert!(edges.contains(&(*node, next)), "{} → {} is no edge", node, next);
                }
            }
        }
    }

    #[test]
    fn no_single_edge_or_node_outweighs_the_longest_path(
        edges in prop::collection::vec((0u8..20, 0u8..20), 0..30),
        weights in prop::collection::vec(0.0f64..9.0, 20),
    ) {
        let nodes: Vec<u8> = (0..20).collect();
        // Edges from high to low only: never a cycle.
        let edges: Vec<_> = edges.into_iter().filter(|(later, earlier)| later > earlier).collect();
        let weight = |node: &u8| weights[usize::from(*node)];
        let chain = longest_path(&nodes, &edges, weight).unwrap();
        let sum: f64 = chain.nodes.iter().map(weight).sum();
        prop_assert!((sum - chain.weight).abs() < 1e-9);
        for pair in chain.nodes.windows(2) {
            prop_assert!(edges.contains(&(pair[1], pair[0])));
        }
        for (later, earlier) in &edges {
            prop_assert!(chain.weight >= weight(later) + weight(earlier) - 1e-9);
        }
        for node in &nodes {
            prop_assert!(chain.weight >= weight(node) - 1e-9);
        }
    }
}
