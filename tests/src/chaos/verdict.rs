//! What is wrong after a cycle: computed from what the control API tells, what is left on disk, and
//! the process table.
//!
//! What must hold: the spec is completed and nobody works on it; positions rise by one; each
//! sandbox's numbers rise by one from 1 and no event is there twice; every event that is durable in any
//! spool, of whatever became of its place, is stored under its number; each sandbox ends once, and
//! before the next one begins; what it says after that changes nothing; before it, each phase was
//! accepted once; tickets and tasks were made once; no process is left.

mod course;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use specwright_control_api::client::Client;
use specwright_shared::id::SpecId;
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{SandboxState, SpecStatus};
use specwright_shared::wire::event::EventView;
use specwright_shared::wire::sandbox::SandboxView;

use super::spool;

/// What came of a cycle, or of many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// How many cycles.
    pub cycles: u64,
    /// Events that are stored.
    pub events: u64,
    /// Events that were durable in a spool, or whose number was passed over, and that are not stored.
    pub lost: u64,
    /// Events that are stored twice.
    pub doubled: u64,
    /// Processes that outlived their run.
    pub left_running: u64,
    /// Everything else that does not hold.
    pub violations: u64,
    /// All of it in words.
    #[serde(skip)]
    pub because: Vec<String>,
}

impl Verdict {
    /// Whether everything held.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.left_running == 0 && self.violations == 0
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.cycles += other.cycles;
        self.events += other.events;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.left_running += other.left_running;
        self.violations += other.violations;
        self.because.extend(other.because.iter().cloned());
    }

    /// Notes something that does not hold.
    pub(super) fn violated(&mut self, because: impl Into<String>) {
        self.violations += 1;
        self.because.push(because.into());
    }

    fn expect(&mut self, holds: bool, because: impl FnOnce() -> String) {
        if !holds {
            self.violated(because());
        }
    }

    /// Judges a spec whose runs are over.
    pub(super) async fn judge(&mut self, client: &Client, id: SpecId, data: &Path) -> Result<()> {
        let spec = client.spec(id).await?;
        self.expect(spec.status == SpecStatus::Completed, || {
            format!("the spec is {:?}: {:?}", spec.status, spec.message)
        });
        self.expect(spec.sandbox_id.is_none(), || "the spec still has a sandbox".to_owned());
        let events = all_events(client, id).await?;
        self.events += events.len() as u64;
        self.positions(&events);
        let mut sandboxes = client.sandboxes().await?;
        sandboxes.retain(|sandbox| sandbox.spec_id == id);
        for sandbox in &sandboxes {
            self.sandbox(sandbox, &events, data);
        }
        self.course(&sandboxes, &events);
        self.tickets(client, id, &events).await
    }

    fn positions(&mut self, events: &[EventView]) {
        let positions: Vec<u64> = events.iter().map(|event| event.position).collect();
        let right: Vec<u64> = (1..=positions.len() as u64).collect();
        self.expect(positions == right, || format!("positions do not rise by one: {positions:?}"));
        let mut ids = BTreeSet::new();
        for event in events {
            if !ids.insert(event.event.id) {
                self.doubled += 1;
                self.because.push(format!("{} is stored twice: {event:?}", event.event.id));
            }
        }
    }

    /// One sandbox's numbers, against themselves and against its spool.
    fn sandbox(&mut self, sandbox: &SandboxView, events: &[EventView], data: &Path) {
        let id = sandbox.id;
        self.expect(sandbox.state == SandboxState::Ended, || format!("{id} has not ended"));
        let own = events.iter().filter(|event| event.sandbox_id == Some(id));
        let mut stored: BTreeMap<u64, String> = BTreeMap::new();
        let mut last = 0;
        for event in own {
            let seq = event.event.seq;
            if stored.insert(seq, event.event.id.to_string()).is_some() {
                self.doubled += 1;
                self.because.push(format!("{id}: number {seq} is stored twice"));
            } else if seq > last + 1 {
                self.lost += seq - last - 1;
                self.because.push(format!("{id}: {last} is followed by {seq}"));
            } else if seq <= last {
                self.violated(format!("{id}: {seq} is stored behind {last}"));
            }
            last = last.max(seq);
        }
        let state = data.join("sandboxes").join(id.to_string()).join("state");
        for durable in spool::read(&state) {
            match stored.get(&durable.seq) {
                Some(found) if *found == durable.id => {}
                Some(found) => self.violated(format!(
                    "{id}: number {} is {found} in the store and {} in the spool",
                    durable.seq, durable.id
                )),
                None => {
                    self.lost += 1;
                    let (seq, kind) = (durable.seq, durable.kind);
                    let because = format!("{id}: number {seq} ({kind}) is durable and not stored");
                    self.because.push(because);
                }
            }
        }
    }

    async fn tickets(&mut self, client: &Client, id: SpecId, events: &[EventView]) -> Result<()> {
        let made = events.iter().filter(|event| event.event.kind == "spec.tickets_created").count();
        self.expect(made == 1, || format!("tickets were made {made} times"));
        let (tickets, tasks) = (client.tickets(id).await?, client.tasks(id).await?);
        let planned = client.coverage(id).await?;
        let ticket_keys: BTreeSet<&str> =
            tickets.iter().map(|ticket| ticket.local_id.as_str()).collect();
        let task_keys: BTreeSet<&str> = tasks.iter().map(|task| task.local_id.as_str()).collect();
        self.expect(!tickets.is_empty() && ticket_keys.len() == tickets.len(), || {
            format!("{} tickets with {} keys", tickets.len(), ticket_keys.len())
        });
        self.expect(!tasks.is_empty() && task_keys.len() == tasks.len(), || {
            format!("{} tasks with {} keys", tasks.len(), task_keys.len())
        });
        let order = planned.task_order.len();
        self.expect(order == tasks.len(), || format!("{order} planned, {} tasks", tasks.len()));
        Ok(())
    }
}

/// Why a sandbox may have ended in a run that is right in the end.
pub(super) fn may_end_so(outcome: Option<Outcome>, loses: bool, disk: bool) -> bool {
    match outcome {
        // Where not a byte can be written, not even the report can.
        Some(Outcome::Lost) => loses || disk,
        Some(Outcome::WorkerError | Outcome::AgentError) => disk,
        _ => false,
    }
}

async fn all_events(client: &Client, id: SpecId) -> Result<Vec<EventView>> {
    let mut events: Vec<EventView> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = client.events(id, after.as_deref(), std::time::Duration::ZERO).await?;
        if page.items.is_empty() {
            return Ok(events);
        }
        events.extend(page.items);
        ensure!(events.len() < 1_000_000, "events have no end");
        after = Some(page.next.context("a page of events without a cursor")?);
    }
}
