//! Batches that wait at the same moment, taken in together: one transaction, a few statements, one
//! commit for all of them.
//!
//! Nobody waits for company where nobody is at work: who comes then is taken in at once. Who comes while
//! a group is under way goes with the next, which begins when that one is through, or beside it once
//! enough waits ([`WORTH_ANOTHER_BYTES`]).
//!
//! What holds: only batches that change nothing but the log and what counts up with it go together. Each
//! gets the answer that it would get alone; one that is refused takes nothing from the others; an
//! answer is given after the commit only. A group waits for nobody's lock: a run that somebody else is
//! at, an unknown sandbox, and whatever the database refuses, are left, each to be taken alone. So
//! groups can come in any order, here and at other replicas, and never wait for each other.
//!
//! On PostgreSQL most of a group goes in by one statement, without having been asked for ([`Believed`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::sandbox::{Ack, BATCH_MAX_BYTES};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::arrived::Arrived;
use super::believed::Believed;
use super::effects::Reach;
use super::{IngestError, Taken};
use crate::problem::chain;
use crate::store::engine::Engine;
use crate::store::event::Recorded;
use crate::store::event::intake::{self, Raised, Standing};
use crate::store::trouble::{Trouble, trouble};
use crate::store::{Store, StoreError};

/// The most batches of a group. One has as many only when a fleet reports faster than it is taken in;
/// then a statement for four times as many costs less than four.
const BATCHES_MAX: usize = 256;
/// The most bytes of a group, but for its first batch: as many as one batch may have.
const BYTES_MAX: usize = BATCH_MAX_BYTES;
/// How many groups are under way at once on PostgreSQL: while one waits for the disk, another one's
/// statements run. SQLite has one writer.
const GROUPS_ON_POSTGRES: usize = 3;
/// As much has to wait for another group to be begun beside one that is under way. Few single events
/// are soon through with the next group, and two small commits cost nearly twice what one does; two
/// batches of 50 events are worth a commit of their own.
const WORTH_ANOTHER_BYTES: usize = 24 * 1024;
/// Nor is anyone left behind a group for longer, once somebody else comes, if only his own next try: its
/// connection may be dead without a word.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// What a batch came to; `None`: it is to be taken alone.
type Answer = Option<Result<Taken, IngestError>>;

/// The groups of one control API.
#[derive(Debug)]
pub(super) struct Groups {
    line: Arc<Line>,
    tasks: TaskTracker,
}

/// Who waits, and who is at work.
#[derive(Debug)]
struct Line {
    store: Store,
    at_once: usize,
    believed: Believed,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Of requests under way, and of those that were given up since.
    waiting: VecDeque<Waiting>,
    /// Of all who wait.
    bytes: usize,
    at_work: usize,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    arrived: Arc<Arrived>,
    answer: oneshot::Sender<Answer>,
}

impl Groups {
    pub(super) fn new(store: Store, tasks: TaskTracker) -> Self {
        let at_once = match &store.engine {
            Engine::Sqlite { .. } => 1,
            Engine::Postgres(_) => GROUPS_ON_POSTGRES,
        };
        let (believed, queue) = (Believed::default(), Mutex::default());
        Self { line: Arc::new(Line { store, at_once, believed, queue }), tasks }
    }

    /// Where one stands who has not reported here yet.
    pub(super) fn believe(&self, standing: Standing) {
        // On SQLite all are asked: there it costs nothing.
        if matches!(self.line.store.engine, Engine::Postgres(_)) {
            self.line.believed.keep(std::iter::once(standing));
        }
    }

    /// Takes a batch in, with whoever else waits.
    pub(super) async fn take(&self, arrived: &Arc<Arrived>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { since: Instant::now(), arrived: Arc::clone(arrived), answer };
        if let Some(at_work) = self.line.join(waiting) {
            // A task of its own: who goes away now takes nothing from the others.
            self.tasks.spawn(at_work.until_nobody_waits());
        }
        answered.await.ok().flatten()
    }
}

impl Line {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is valid between any two steps, also when a holder panicked.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stands in line; if another group is worth while and there is room for it, it is to be begun.
    fn join(self: &Arc<Self>, waiting: Waiting) -> Option<AtWork> {
        let mut queue = self.queue();
        queue.bytes += waiting.arrived.bytes();
        queue.waiting.push_back(waiting);
        let is_worth_it = queue.at_work == 0
            || queue.bytes >= WORTH_ANOTHER_BYTES
            || queue.waiting.front().is_some_and(|first| first.since.elapsed() >= WAIT_MAX);
        if queue.at_work == self.at_once || !is_worth_it {
            return None;
        }
        queue.at_work += 1;
        Some(AtWork { line: Arc::clone(self), done: false })
    }
}

/// Takes in one group after the other.
#[derive(Debug)]
struct AtWork {
    line: Arc<Line>,
    done: bool,
}

impl AtWork {
    async fn until_nobody_waits(mut self) {
        while let Some(group) = self.next() {
            let arrived: Vec<&Arrived> = group.iter().map(|waiting| &*waiting.arrived).collect();
            let answers = self.line.answers(&arrived).await;
            for (waiting, answer) in group.into_iter().zip(answers) {
                // Who went away misses nothing: the worker sends it again.
                drop(waiting.answer.send(answer));
            }
        }
    }

    /// Who goes together now; `None`: nobody waits, and this is done.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut queue = self.line.queue();
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some(first) = queue.waiting.front() {
            bytes += first.arrived.bytes();
            if group.len() == BATCHES_MAX || (bytes > BYTES_MAX && !group.is_empty()) {
                break;
            }
            queue.bytes -= first.arrived.bytes();
            group.extend(queue.waiting.pop_front());
        }
        if group.is_empty() {
            // Under the same lock as the look: who comes now begins a group himself.
            queue.at_work -= 1;
            self.done = true;
            return None;
        }
        Some(group)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // Given up half-way: nobody may wait for an answer that does not come.
        let mut queue = self.line.queue();
        queue.at_work -= 1;
        queue.waiting.clear();
        queue.bytes = 0;
    }
}

impl Line {
    /// What each of a group comes to.
    async fn answers(&self, group: &[&Arrived]) -> Vec<Answer> {
        let mut answers = match self.as_believed(group).await {
            Ok(answers) => answers,
            Err(error) => return failed(error, group.len()),
        };
        let left: Vec<usize> = (0..group.len()).filter(|at| answers[*at].is_none()).collect();
        if !left.is_empty() {
            let group: Vec<&Arrived> = left.iter().map(|at| group[*at]).collect();
            let asked = self.as_asked(&group).await;
            let asked = asked.unwrap_or_else(|error| failed(error, group.len()));
            left.into_iter().zip(asked).for_each(|(at, answer)| answers[at] = answer);
        }
        answers
    }

    /// Takes in, by one statement, from those who stand where they are believed to.
    async fn as_believed(&self, group: &[&Arrived]) -> Result<Vec<Answer>, StoreError> {
        let mut answers: Vec<Answer> = group.iter().map(|_| None).collect();
        let mut specs = BTreeSet::new();
        let mut believed = self.believed.take(sandboxes(group));
        // Where one of two that share a spec does not stand as believed, the other's positions are wrong.
        believed.retain(|standing| specs.insert(standing.spec));
        let mut counted = Counted::at(believed.clone());
        for (arrived, answer) in group.iter().zip(&mut answers) {
            let before = counted.recorded.len();
            let hoped = counted.take(arrived);
            // A refusal, and that there is nothing new, are told of what is known.
            if counted.recorded.len() > before {
                *answer = hoped;
            }
        }
        if counted.recorded.is_empty() {
            return Ok(answers);
        }
        let Some(mut write) = self.store.write_at_once().await? else {
            return Ok(group.iter().map(|_| None).collect());
        };
        let Counted { recorded, raised, now, lease_expires_at, .. } = &counted;
        let entered =
            intake::enter_if(&mut write, &believed, recorded, raised, *now, *lease_expires_at);
        let entered = entered.await?;
        write.commit().await?;
        for (arrived, answer) in group.iter().zip(&mut answers) {
            answer.take_if(|_| !entered.contains(&arrived.sandbox));
        }
        self.believed.keep(counted.standings().filter(|one| entered.contains(&one.sandbox)));
        Ok(answers)
    }

    /// Takes in from those whom nobody else has locked, each from where it stands.
    async fn as_asked(&self, group: &[&Arrived]) -> Result<Vec<Answer>, StoreError> {
        let mut write = self.store.write().await?;
        let standings = intake::lock(&mut write, sandboxes(group)).await?;
        let mut counted = Counted::at(standings);
        let answers = group.iter().map(|arrived| counted.take(arrived)).collect();
        if !counted.recorded.is_empty() {
            let Counted { recorded, raised, now, lease_expires_at, .. } = &counted;
            intake::enter(&mut write, recorded, raised, *now, *lease_expires_at).await?;
        }
        // Also when nothing was written: what is answered may be under way to the disk in this very
        // transaction.
        write.commit().await?;
        if matches!(self.store.engine, Engine::Postgres(_)) {
            self.believed.keep(counted.standings());
        }
        Ok(answers)
    }
}

/// Whose batches these are.
fn sandboxes(group: &[&Arrived]) -> impl Iterator<Item = SandboxId> {
    let sandboxes: BTreeSet<_> = group.iter().map(|arrived| arrived.sandbox).collect();
    sandboxes.into_iter()
}

/// What so many batches come to that could not be taken in together.
fn failed(error: StoreError, batches: usize) -> Vec<Answer> {
    // Each alone would wait as long for the same.
    if trouble(&error) == Some(Trouble::Busy) {
        let error = Arc::new(error);
        let told = || IngestError::Store(StoreError::Together(Arc::clone(&error)));
        return (0..batches).map(|_| Some(Err(told()))).collect();
    }
    tracing::warn!(
        batches,
        error = chain(&error),
        "batches were not taken in together; each is tried alone"
    );
    (0..batches).map(|_| None).collect()
}

/// What a group makes of where its runs stand.
#[derive(Debug)]
struct Counted {
    standings: BTreeMap<SandboxId, Standing>,
    recorded: Vec<(SpecId, Recorded)>,
    raised: Raised,
    /// The newest of the group's batches came then.
    now: Timestamp,
    lease_expires_at: Timestamp,
}

impl Counted {
    fn at(standings: Vec<Standing>) -> Self {
        Self {
            standings: standings.into_iter().map(|one| (one.sandbox, one)).collect(),
            recorded: Vec::new(),
            raised: Raised::default(),
            now: Timestamp::from_micros(i64::MIN),
            lease_expires_at: Timestamp::from_micros(i64::MIN),
        }
    }

    /// Where they stand with all that was counted in.
    fn standings(&self) -> impl Iterator<Item = Standing> {
        self.standings.values().map(|standing| {
            let raised = self.raised.specs.get(&standing.spec);
            Standing { events: raised.map_or(standing.events, |(events, _)| *events), ..*standing }
        })
    }

    /// Counts a batch in, behind those before it.
    fn take(&mut self, arrived: &Arrived) -> Answer {
        let standing = self.standings.get_mut(&arrived.sandbox)?;
        let fresh = match arrived.fresh(standing.generation, standing.acked) {
            Ok(fresh) => fresh,
            Err(refused) => return Some(Err(refused)),
        };
        let spec = standing.spec;
        if let Some(last) = fresh.last() {
            let (events, spec_cost) = self.raised.specs.entry(spec).or_insert((standing.events, 0));
            let (acked, cost) = self.raised.sandboxes.entry(arrived.sandbox).or_default();
            for checked in fresh {
                *events += 1;
                let text = checked.text.clone();
                let recorded =
                    Recorded::written(*events, Some(arrived.sandbox), &checked.event, text);
                self.recorded.push((spec, recorded.in_trace(standing.trace)));
                if let (Ok(Reach::Cost(spent)), false) = (checked.reach(), standing.ended) {
                    *cost = cost.saturating_add(spent);
                    *spec_cost = spec_cost.saturating_add(spent);
                }
            }
            *acked = last.event.seq;
            standing.acked = *acked;
            self.now = self.now.max(arrived.now);
            self.lease_expires_at = self.lease_expires_at.max(arrived.now.plus(arrived.lease));
        }
        let ack = Ack { acked: standing.acked, ended: standing.ended };
        Some(Ok(Taken { ack, spec, token: Some(standing.token), next: None }))
    }
}
