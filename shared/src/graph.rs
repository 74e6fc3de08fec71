//! Orders of things that wait for one another.
//!
//! Holds: the order is deterministic (among things that are ready, the one named first comes first);
//! a cycle is reported as the nodes that are on it; nothing recurses, so that a chain of any length
//! is only a matter of time. Edges to nodes that are not in the list are passed over: whether a
//! reference resolves is the gate's question.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Nodes that wait for one another in a circle: each for the next, the last for the first. The one
/// that was named first comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle<K>(pub Vec<K>);

/// The nodes, each after all that it waits for. An edge `(a, b)` says that `a` waits for `b`.
///
/// # Errors
/// The [`Cycle`] that makes an order impossible (the first that is met, if there are several).
pub fn order<K: Ord + Clone>(nodes: &[K], edges: &[(K, K)]) -> Result<Vec<K>, Cycle<K>> {
    let graph = Indexed::of(nodes, edges);
    match graph.order() {
        Ok(order) => Ok(graph.names(order)),
        Err(cycle) => Err(Cycle(graph.names(cycle))),
    }
}

/// A chain of nodes, each waiting for the one before, and the sum of their weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain<K> {
    /// First to last.
    pub nodes: Vec<K>,
    /// The sum of their weights.
    pub weight: f64,
}

/// The heaviest chain. Weights are taken as they are; negative or non-finite ones count as 0. Among
/// equally heavy chains the one that ends first in [`order`] wins.
///
/// # Errors
/// The [`Cycle`] that would make it endless.
pub fn longest_path<K: Ord + Clone>(
    nodes: &[K],
    edges: &[(K, K)],
    weight: impl Fn(&K) -> f64,
) -> Result<Chain<K>, Cycle<K>> {
    let graph = Indexed::of(nodes, edges);
    let order = graph.order().map_err(|cycle| Cycle(graph.names(cycle)))?;
    let mut heaviest = vec![0.0_f64; graph.nodes.len()];
    let mut before = vec![None; graph.nodes.len()];
    let mut end: Option<usize> = None;
    for node in order {
        for &dependency in &graph.waits_for[node] {
            if before[node].is_none_or(|chosen: usize| heaviest[dependency] > heaviest[chosen]) {
                before[node] = Some(dependency);
            }
        }
        let own = weight(graph.nodes[node]);
        let own = if own.is_finite() { own.max(0.0) } else { 0.0 };
        heaviest[node] = own + before[node].map_or(0.0, |chosen| heaviest[chosen]);
        if end.is_none_or(|chosen| heaviest[node] > heaviest[chosen]) {
            end = Some(node);
        }
    }
    let weight = end.map_or(0.0, |node| heaviest[node]);
    let mut chain: Vec<usize> = std::iter::successors(end, |node| before[*node]).collect();
    chain.reverse();
    Ok(Chain { nodes: graph.names(chain), weight })
}

/// The graph by position instead of by name.
struct Indexed<'a, K> {
    /// Each node once, as first named.
    nodes: Vec<&'a K>,
    waits_for: Vec<Vec<usize>>,
    waited_for_by: Vec<Vec<usize>>,
}

impl<'a, K: Ord + Clone> Indexed<'a, K> {
    fn of(nodes: &'a [K], edges: &[(K, K)]) -> Self {
        let mut index = BTreeMap::new();
        let mut once = Vec::with_capacity(nodes.len());
        for node in nodes {
            index.entry(node).or_insert_with(|| {
                once.push(node);
                once.len() - 1
            });
        }
        let mut waits_for = vec![Vec::new(); once.len()];
        let mut waited_for_by = vec![Vec::new(); once.len()];
        for (later, earlier) in edges {
            if let (Some(&later), Some(&earlier)) = (index.get(later), index.get(earlier)) {
                waits_for[later].push(earlier);
                waited_for_by[earlier].push(later);
            }
        }
        Self { nodes: once, waits_for, waited_for_by }
    }

    fn names(&self, indexes: Vec<usize>) -> Vec<K> {
        indexes.into_iter().map(|index| self.nodes[index].clone()).collect()
    }

    /// Kahn's algorithm over a heap of ready nodes.
    fn order(&self) -> Result<Vec<usize>, Vec<usize>> {
        let mut waiting: Vec<usize> = self.waits_for.iter().map(Vec::len).collect();
        let mut ready: BinaryHeap<Reverse<usize>> =
            (0..self.nodes.len()).filter(|node| waiting[*node] == 0).map(Reverse).collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(Reverse(node)) = ready.pop() {
            order.push(node);
            for &later in &self.waited_for_by[node] {
                waiting[later] -= 1;
                if waiting[later] == 0 {
                    ready.push(Reverse(later));
                }
            }
        }
        if order.len() == self.nodes.len() { Ok(order) } else { Err(self.cycle(&waiting)) }
    }

    /// What still waits waits for something that still waits: following that leads into a circle.
    fn cycle(&self, waiting: &[usize]) -> Vec<usize> {
        let mut seen_at = vec![None; self.nodes.len()];
        let mut walked = Vec::new();
        let mut at = waiting.iter().position(|count| *count > 0);
        while let Some(node) = at {
            if let Some(start) = seen_at[node] {
                let mut cycle = walked.split_off(start);
                let first = cycle.iter().enumerate().min_by_key(|(_, node)| **node);
                let turn = first.map_or(0, |(turn, _)| turn);
                cycle.rotate_left(turn);
                return cycle;
            }
            seen_at[node] = Some(walked.len());
            walked.push(node);
            at = self.waits_for[node].iter().copied().find(|earlier| waiting[*earlier] > 0);
        }
        walked
    }
}
