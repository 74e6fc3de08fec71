//! A sandbox's events, taken one after the other: steps, open calls, repetitions, errors, numbers.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::fit::fit;
use super::{Counted, Step, words};
use crate::guardian::Activity;
use crate::phase::Phase;
use crate::price::{NanoUsd, Tokens};
use crate::time::Timestamp;
use crate::wire::event::{Decoded, Event, RawEvent, ToolResult, ToolUse, Unshown};

/// The most bytes of a step's line.
const STEP_BYTES: usize = 180;
/// What of that is for a call's input.
const INPUT_BYTES: usize = 80;
/// What of that is for what went wrong.
const ANSWER_BYTES: usize = 60;
/// The most calls that wait for their answers; the oldest is forgotten.
const OPEN_MAX: usize = 64;

type Key = [u8; 32];

#[derive(Debug)]
struct Open {
    id: String,
    tool: String,
    /// The call in a few words.
    text: String,
    digest: Key,
    at: Timestamp,
}

#[derive(Debug)]
struct Seen {
    times: u32,
    text: String,
    last_seq: u64,
}

/// The newest call, while it may be made again.
#[derive(Debug)]
struct Newest {
    key: Key,
    times: u32,
    took: Duration,
}

/// What the events so far come to.
#[derive(Debug, Default)]
pub struct Fold {
    steps: Vec<Step>,
    open: VecDeque<Open>,
    newest: Option<Newest>,
    answers: HashMap<Key, Seen>,
    errors: HashMap<Key, Seen>,
    activity: Activity,
    failures_in_a_row: u32,
    tokens: Tokens,
    without_progress: NanoUsd,
}

impl Fold {
    /// Takes the next event.
    pub fn take(&mut self, raw: &RawEvent) {
        // A body that does not fit was never stored; a newer type is no step that we could name.
        let Ok(Decoded::Known(event)) = raw.decode() else { return };
        match *event {
            Event::ToolUse(call) => self.called(&call, raw.at),
            Event::ToolResult(result) => self.answered(raw, &result),
            other => {
                self.count(&other);
                if let Some(text) = words::of(&other) {
                    self.newest = None;
                    let text = line(raw.at, raw.phase, &text);
                    self.steps.push(Step { seq: raw.seq, text });
                }
            }
        }
    }

    fn called(&mut self, call: &ToolUse, at: Timestamp) {
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        let by = if call.parent_tool_use_id.is_some() { "sub-agent: " } else { "" };
        self.open.push_back(Open {
            id: call.tool_use_id.clone(),
            tool: call.tool.clone(),
            text: format!("{by}{} {}", call.tool, fit(&call.input.text, INPUT_BYTES)),
            digest: digest(&[&call.tool, &call.input.text]),
            at,
        });
    }

    fn answered(&mut self, raw: &RawEvent, result: &ToolResult) {
        let Some(at) = self.open.iter().position(|open| open.id == result.tool_use_id) else {
            return;
        };
        let Some(call) = self.open.remove(at) else { return };
        let answer = &result.result.text;
        let kind = if result.is_error { "error" } else { "ok" };
        let key = digest(&[&hex::encode(call.digest), kind, answer]);
        let known = self.answers.contains_key(&key);
        note(&mut self.answers, key, &call.text, raw.seq);

        self.activity.calls += 1;
        if result.is_error {
            self.activity.failed += 1;
            self.failures_in_a_row += 1;
            let text = format!("{}: {}", call.tool, fit(answer, ANSWER_BYTES * 2));
            note(&mut self.errors, digest(&[&call.tool, answer]), &text, raw.seq);
        } else {
            self.failures_in_a_row = 0;
            if known {
                self.activity.repeated += 1;
            } else {
                self.progressed();
            }
        }
        let took = raw.at.since(call.at);
        match &mut self.newest {
            Some(newest) if newest.key == key => {
                newest.times += 1;
                newest.took += took;
                self.steps.pop();
            }
            newest => *newest = Some(Newest { key, times: 1, took }),
        }
        let (times, took) =
            self.newest.as_ref().map_or((1, took), |newest| (newest.times, newest.took));
        let often = if times > 1 { format!(", {times} times") } else { String::new() };
        let why = if result.is_error {
            format!(": {}", fit(answer, ANSWER_BYTES))
        } else {
            format!(", {} bytes", result.result.bytes)
        };
        let text = format!("{} -> {kind}{often}, {:.1} s{why}", call.text, took.as_secs_f64());
        let text = line(raw.at, raw.phase, &text);
        self.steps.push(Step { seq: raw.seq, text });
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::FileEdited(file) if file.unshown != Some(Unshown::Ignored) => {
                self.activity.files += 1;
                self.progressed();
            }
            Event::AgentCompleted(_) => self.activity.turns += 1,
            Event::PhaseRetry(_) => self.activity.refused += 1,
            Event::PhaseCompleted(_) => {
                self.activity.accepted += 1;
                self.progressed();
            }
            Event::ModelCall(call) => {
                self.tokens.input = self.tokens.input.saturating_add(call.tokens.input);
                self.tokens.output = self.tokens.output.saturating_add(call.tokens.output);
                self.tokens.cache_read =
                    self.tokens.cache_read.saturating_add(call.tokens.cache_read);
                self.tokens.cache_write_5m =
                    self.tokens.cache_write_5m.saturating_add(call.tokens.cache_write_5m);
                self.tokens.cache_write_1h =
                    self.tokens.cache_write_1h.saturating_add(call.tokens.cache_write_1h);
                self.without_progress =
                    self.without_progress.plus(NanoUsd::from_usd(call.counted_usd));
            }
            _ => {}
        }
    }

    const fn progressed(&mut self) {
        self.without_progress = NanoUsd(0);
    }

    /// The steps, oldest first.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The newest calls without an answer.
    #[must_use]
    pub fn open(&self, most: usize) -> Vec<String> {
        let newest = self.open.iter().skip(self.open.len().saturating_sub(most));
        newest.map(|open| fit(&open.text, STEP_BYTES)).collect()
    }

    /// Calls that had the same answer at least so often, the most frequent first.
    #[must_use]
    pub fn repeated(&self, least: u32, most: usize) -> Vec<Counted> {
        let often = self.answers.values().filter(|seen| seen.times >= least);
        let mut often: Vec<&Seen> = often.collect();
        often.sort_by_key(|seen| (std::cmp::Reverse(seen.times), seen.last_seq));
        often.into_iter().take(most).map(Seen::counted).collect()
    }

    /// The newest errors, each once, the newest first.
    #[must_use]
    pub fn errors(&self, most: usize) -> Vec<Counted> {
        let mut newest: Vec<&Seen> = self.errors.values().collect();
        newest.sort_by_key(|seen| std::cmp::Reverse(seen.last_seq));
        newest.into_iter().take(most).map(Seen::counted).collect()
    }

    /// What was done, in numbers.
    #[must_use]
    pub const fn activity(&self) -> Activity {
        self.activity
    }

    /// How many of the newest calls failed, one after the other.
    #[must_use]
    pub const fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row
    }

    /// Tokens of all calls of the model.
    #[must_use]
    pub const fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// What was spent since anything new.
    #[must_use]
    pub const fn spend_without_progress(&self) -> NanoUsd {
        self.without_progress
    }
}

impl Seen {
    fn counted(&self) -> Counted {
        Counted { times: self.times, text: fit(&self.text, STEP_BYTES) }
    }
}

fn note(seen: &mut HashMap<Key, Seen>, key: Key, text: &str, seq: u64) {
    let entry =
        seen.entry(key).or_insert_with(|| Seen { times: 0, text: text.to_owned(), last_seq: seq });
    entry.times += 1;
    entry.last_seq = seq;
}

/// The time of day, the phase, and what happened.
fn line(at: Timestamp, phase: Option<Phase>, text: &str) -> String {
    let at = at.to_string();
    let clock = at.get(11..19).unwrap_or_default();
    let phase = phase.map_or("-", |phase| phase.as_str());
    fit(&format!("{clock} {phase} {text}"), STEP_BYTES)
}

fn digest(parts: &[&str]) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}
