//! Whether the agent goes round in a circle: the same call with the same answer, the same error, or
//! money spent and nothing new seen ([`spending`]).
//!
//! What holds: a loop is reported when its count reaches the bound, and again only each time that
//! the count has doubled; the memory is bounded. A call with another input or another answer in
//! between does not hide a loop; it only ages out of the window. Nothing is ended from here.

mod spending;

use std::collections::{HashMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::price::NanoUsd;
use spending::Spending;
pub use spending::{BUDGET_SHARE_PERCENT, TOKENS_MAX};

/// So often the same call with the same answer is a loop: polling a build thrice is not.
pub const REPEATS_MAX: u32 = 5;
/// So often the same error is a loop, whatever was called: the fourth try is no longer a new idea.
pub const ERRORS_MAX: u32 = 4;
/// How many calls back is looked.
const WINDOW: usize = 64;
/// The most calls that wait for their answers; the oldest is forgotten.
const OPEN_MAX: usize = 64;
/// How much of an error stands in the evidence.
const SAMPLE_BYTES: usize = 300;

/// What repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoopKind {
    /// The same tool, input and answer.
    SameCall,
    /// The same error of the same tool.
    SameError,
    /// The model was paid for long, and no call brought a new answer.
    NoProgress,
}

/// A loop, with evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopSeen {
    /// What repeats.
    pub kind: LoopKind,
    /// The tool; of the newest call where no call repeats, and empty where there was none.
    pub tool: String,
    /// How often, among the calls in the window; without progress: how often the model was called.
    pub count: u32,
    /// How many calls the window holds.
    pub window: u32,
    /// The start of the input (of the newest call).
    pub input: String,
    /// The start of the answer.
    pub result: String,
    /// Without progress: the tokens that were used meanwhile, read and written.
    pub tokens: Option<u64>,
    /// And the part of the job's budget, in percent, if it has one.
    pub budget_percent: Option<u64>,
}

type Key = (LoopKind, [u8; 32]);

struct Open {
    id: String,
    tool: String,
    input: String,
    digest: [u8; 32],
}

/// The detector; one for each conversation.
#[derive(Default)]
pub struct Loops {
    open: VecDeque<Open>,
    window: VecDeque<Vec<Key>>,
    counts: HashMap<Key, u32>,
    /// The count at which a loop is said next.
    next: HashMap<Key, u32>,
    spending: Spending,
    newest: Newest,
}

/// The newest answer, as evidence.
#[derive(Default)]
struct Newest {
    tool: String,
    input: String,
    result: String,
}

impl Loops {
    /// A call begins.
    pub fn called(&mut self, id: &str, tool: &str, input: &str) {
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        let start = &input[..input.floor_char_boundary(SAMPLE_BYTES)];
        self.open.push_back(Open {
            id: id.to_owned(),
            tool: tool.to_owned(),
            input: start.to_owned(),
            digest: digest(&[tool, input]),
        });
    }

    /// It was answered; gives the loop that this completes, if one.
    pub fn answered(&mut self, id: &str, is_error: bool, result: &str) -> Option<LoopSeen> {
        let at = self.open.iter().position(|open| open.id == id)?;
        let call = self.open.remove(at)?;
        let call_digest = hex::encode(call.digest);
        let mut keys = vec![(LoopKind::SameCall, digest(&[&call_digest, result]))];
        if is_error {
            keys.push((LoopKind::SameError, digest(&[&call.tool, result])));
        }
        if self.window.len() == WINDOW {
            self.forget_oldest();
        }
        for key in &keys {
            *self.counts.entry(*key).or_default() += 1;
        }
        self.window.push_back(keys.clone());
        if self.counts.get(&keys[0]) == Some(&1) {
            self.spending.progressed();
        }
        let result = result[..result.floor_char_boundary(SAMPLE_BYTES)].to_owned();
        self.newest = Newest { tool: call.tool, input: call.input, result };
        let (kind, count) = keys.into_iter().find_map(|key| Some((key.0, self.due(key)?)))?;
        Some(self.seen(kind, count))
    }

    /// A call of the model was paid; gives the stretch without progress that this completes, if one.
    pub fn paid(
        &mut self,
        tokens: u64,
        cost: NanoUsd,
        budget: Option<NanoUsd>,
    ) -> Option<LoopSeen> {
        let spent = self.spending.spent(tokens, cost, budget)?;
        let seen = self.seen(LoopKind::NoProgress, spent.calls);
        Some(LoopSeen { tokens: Some(spent.tokens), budget_percent: spent.budget_percent, ..seen })
    }

    fn seen(&self, kind: LoopKind, count: u32) -> LoopSeen {
        let Newest { tool, input, result } = &self.newest;
        LoopSeen {
            kind,
            tool: tool.clone(),
            count,
            window: u32::try_from(self.window.len()).unwrap_or(u32::MAX),
            input: input.clone(),
            result: result.clone(),
            tokens: None,
            budget_percent: None,
        }
    }

    /// The count, if it is time to say it.
    fn due(&mut self, key: Key) -> Option<u32> {
        let count = self.counts.get(&key).copied()?;
        let first = match key.0 {
            LoopKind::SameCall => REPEATS_MAX,
            LoopKind::SameError => ERRORS_MAX,
            // It has a count of its own.
            LoopKind::NoProgress => return None,
        };
        let next = self.next.get(&key).copied().unwrap_or(first);
        if count < next {
            return None;
        }
        self.next.insert(key, count.saturating_mul(2));
        Some(count)
    }

    fn forget_oldest(&mut self) {
        for key in self.window.pop_front().into_iter().flatten() {
            let left = self.counts.get(&key).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                self.counts.remove(&key);
                self.next.remove(&key);
            } else {
                self.counts.insert(key, left);
            }
        }
    }
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(loops: &mut Loops, many: usize, input: &str, error: bool, out: &str) -> Vec<LoopSeen> {
        (0..many)
            .filter_map(|n| {
                let id = format!("{input}-{out}-{n}");
                loops.called(&id, "Bash", input);
                loops.answered(&id, error, out)
            })
            .collect()
    }

    #[test]
    fn the_same_call_with_the_same_answer_is_a_loop_and_is_said_seldom() {
        let mut loops = Loops::default();
        let seen = calls(&mut loops, 30, "make", false, "nothing to do");
        let counts: Vec<u32> = seen.iter().map(|seen| seen.count).collect();
        assert_eq!(counts, [5, 10, 20]);
        assert_eq!((seen[0].kind, seen[0].input.as_str()), (LoopKind::SameCall, "make"));
    }

    #[test]
    fn another_answer_or_another_input_each_time_is_no_loop() {
        let mut loops = Loops::default();
        for n in 0..200 {
            assert!(calls(&mut loops, 1, "make", false, &format!("{n} of 200 built")).is_empty());
            assert!(calls(&mut loops, 1, &format!("cat {n}"), false, "").is_empty());
        }
    }

    #[test]
    fn other_calls_in_between_do_not_hide_a_loop() {
        let mut loops = Loops::default();
        let mut seen = Vec::new();
        for n in 0..5 {
            seen.extend(calls(&mut loops, 1, "make", false, "no"));
            seen.extend(calls(&mut loops, 1, &format!("cat {n}"), false, "x"));
        }
        assert_eq!(seen.len(), 1, "{seen:?}");
    }

    #[test]
    fn one_error_from_different_calls_is_a_loop() {
        let mut loops = Loops::default();
        let seen: Vec<_> = (0..4)
            .flat_map(|n| calls(&mut loops, 1, &format!("curl {n}"), true, "no route to host"))
            .collect();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].kind, seen[0].count), (LoopKind::SameError, ERRORS_MAX));
    }

    #[test]
    fn money_for_nothing_new_is_told_with_the_newest_call_and_a_new_answer_ends_it() {
        let budget = Some(NanoUsd(1_000));
        let mut loops = Loops::default();
        calls(&mut loops, 1, "make", false, "nothing to do");
        for _ in 0..2 {
            calls(&mut loops, 1, "make", false, "nothing to do");
            assert_eq!(loops.paid(500, NanoUsd(40), budget), None);
        }
        let seen = loops.paid(500, NanoUsd(40), budget).unwrap();
        assert_eq!((seen.kind, seen.count, seen.input.as_str()), (LoopKind::NoProgress, 3, "make"));
        assert_eq!((seen.tokens, seen.budget_percent), (Some(1_500), Some(12)));
        calls(&mut loops, 1, "make", false, "1 of 200 built");
        assert_eq!(loops.paid(500, NanoUsd(40), budget), None);
    }

    #[test]
    fn memory_is_bounded_and_an_answer_to_no_call_is_nothing() {
        let mut loops = Loops::default();
        for n in 0..1000 {
            loops.called(&n.to_string(), "Bash", &n.to_string());
        }
        assert_eq!(loops.open.len(), OPEN_MAX);
        assert_eq!(loops.answered("0", true, "late"), None);
        for n in 0..1000 {
            calls(&mut loops, 1, &n.to_string(), true, &n.to_string());
        }
        assert!(loops.window.len() <= WINDOW && loops.counts.len() <= 2 * WINDOW);
    }
}
