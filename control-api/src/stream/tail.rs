//! The newest events of logs that are read right now, read once for all of their readers.
//!
//! What holds: a tail is a copy of a stretch of its log without a hole, made by reading the store and
//! by nothing else; a reader who is not within it reads the store by itself. When the last reader
//! goes, the tail goes.
//!
//! Deliberately absent: a tail of what someone sees of all: each reader's is another one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Mutex as AsyncMutex;
use uuid::Uuid;

use crate::store::event::log::{self, Fact, Log, Read};
use crate::store::event::order::Place;
use crate::store::{Store, StoreError};

/// The most events that a tail keeps: what some subscribers have yet to take of the newest.
const FACTS_MAX: usize = 256;
/// The most bytes that it keeps: large outputs are rare, and one reader behind costs one read.
const BYTES_MAX: usize = 256 * 1024;

/// The tails of all logs that are read right now.
#[derive(Debug, Default)]
pub(crate) struct Tails(Mutex<HashMap<Uuid, Weak<Tail>>>);

/// The newest events of one log.
#[derive(Debug)]
pub(super) struct Tail {
    log: Log,
    stretch: AsyncMutex<Stretch>,
}

/// A stretch of a log: all that stands behind `from`, up to the last fact.
#[derive(Debug, Default)]
struct Stretch {
    /// What was read in another life says nothing of this one.
    settled: u64,
    from: Place,
    facts: VecDeque<Arc<Fact>>,
    bytes: usize,
}

impl Tails {
    fn tails(&self) -> MutexGuard<'_, HashMap<Uuid, Weak<Tail>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tail of a log, shared with all who read it.
    pub(super) fn of(&self, log: Log) -> Arc<Tail> {
        let mut tails = self.tails();
        if let Some(tail) = tails.get(&log.about()).and_then(Weak::upgrade) {
            return tail;
        }
        // What nobody reads any more goes when somebody comes.
        tails.retain(|_, tail| tail.strong_count() > 0);
        let tail = Arc::new(Tail { log, stretch: AsyncMutex::default() });
        tails.insert(log.about(), Arc::downgrade(&tail));
        tail
    }
}

/// What was found behind a place.
#[derive(Debug)]
pub(super) enum Found {
    Facts(Vec<Arc<Fact>>),
    Gone(Place),
}

impl Stretch {
    fn end(&self) -> Place {
        self.facts.back().map_or(self.from, |fact| fact.place)
    }

    fn behind(&self, after: Place, limit: usize) -> Vec<Arc<Fact>> {
        let known = self.facts.partition_point(|fact| fact.place <= after);
        self.facts.iter().skip(known).take(limit).cloned().collect()
    }

    fn extend(&mut self, facts: &[Arc<Fact>]) {
        for fact in facts {
            self.bytes += fact.json.get().len();
            self.facts.push_back(Arc::clone(fact));
        }
        while self.facts.len() > FACTS_MAX || self.bytes > BYTES_MAX {
            let Some(first) = self.facts.pop_front() else { break };
            self.bytes -= first.json.get().len();
            self.from = first.place;
        }
    }
}

impl Tail {
    /// All that stands behind a place, at most `limit`.
    pub(super) async fn read(
        &self,
        store: &Store,
        after: Place,
        limit: u32,
    ) -> Result<Found, StoreError> {
        // Who waits here gets what the one before it read.
        let mut stretch = self.stretch.lock().await;
        let settled = store.wakes.times_settled();
        if stretch.settled != settled {
            *stretch = Stretch { settled, from: after, ..Stretch::default() };
        }
        if stretch.from <= after && after < stretch.end() {
            return Ok(Found::Facts(stretch.behind(after, limit as usize)));
        }
        if after < stretch.from {
            drop(stretch);
            return self.stored(store, after, limit).await;
        }
        if after > stretch.end() {
            *stretch = Stretch { settled, from: after, ..Stretch::default() };
        }
        let found = self.stored(store, after, limit).await?;
        if let Found::Facts(facts) = &found {
            stretch.extend(facts);
        }
        Ok(found)
    }

    async fn stored(&self, store: &Store, after: Place, limit: u32) -> Result<Found, StoreError> {
        let mut session = store.read().await?;
        Ok(match log::read(&mut session, self.log, after, limit).await? {
            Read::Facts { facts, .. } => Found::Facts(facts.into_iter().map(Arc::new).collect()),
            Read::Gone { oldest } => Found::Gone(oldest),
        })
    }
}
