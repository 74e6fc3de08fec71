//! One run under way, locked: its spec, its sandbox and its phases, read together and written
//! together.
//!
//! What holds: whoever changes a run holds the spec's lock and the sandbox's, in this order; an
//! ended sandbox is never changed again; positions of events rise by one in commit order.

use std::collections::{BTreeMap, BTreeSet};

use specwright_shared::id::{EventId, SandboxId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{Phase, PhaseStatus, SandboxState, SpecStatus};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::{Event, ExecutionFailed, RawEvent};
use uuid::Uuid;

use crate::store::phase::PhaseRecord;
use crate::store::sandbox::Sandbox;
use crate::store::spec::Spec;
use crate::store::{self, StoreError, Write, usd};

/// A run, locked by the transaction that it was read in.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) spec: Spec,
    pub(crate) sandbox: Sandbox,
    pub(crate) phases: BTreeMap<Phase, PhaseRecord>,
    changed: BTreeSet<Phase>,
    now: Timestamp,
}

/// How a run ends, and what becomes of its spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) message: Option<String>,
    pub(crate) status: SpecStatus,
}

impl Ending {
    /// An ending that leaves the spec failed.
    pub(crate) fn failed(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: Some(message.into()), status: SpecStatus::Failed }
    }
}

impl Run {
    /// Locks and reads the run of a sandbox; `None`: no such sandbox.
    pub(crate) async fn lock(
        write: &mut Write,
        sandbox: SandboxId,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreError> {
        // A sandbox's spec never changes: it can be read before the lock that it names.
        let Some(found) = store::sandbox::find(write, sandbox).await? else { return Ok(None) };
        let Some(spec) = store::spec::lock(write, found.spec_id).await? else { return Ok(None) };
        let Some(sandbox) = store::sandbox::lock(write, sandbox).await? else { return Ok(None) };
        let phases = store::phase::list(write, spec.id).await?;
        let phases = phases.into_iter().map(|record| (record.phase, record)).collect();
        Ok(Some(Self { spec, sandbox, phases, changed: BTreeSet::new(), now }))
    }

    /// When this is happening.
    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// A phase's record, to be changed.
    pub(crate) fn phase(&mut self, phase: Phase) -> &mut PhaseRecord {
        self.changed.insert(phase);
        self.phases.entry(phase).or_insert_with(|| PhaseRecord::pending(phase))
    }

    /// Where a phase stands.
    pub(crate) fn status(&self, phase: Phase) -> PhaseStatus {
        self.phases.get(&phase).map_or(PhaseStatus::Pending, |record| record.status)
    }

    /// Stores an event behind the newest one of the spec.
    pub(crate) async fn record(
        &mut self,
        write: &mut Write,
        event: &RawEvent,
        by_sandbox: bool,
    ) -> Result<(), StoreError> {
        self.spec.events += 1;
        let sandbox = by_sandbox.then_some(self.sandbox.id);
        store::event::insert(write, self.spec.id, self.spec.events, sandbox, event, self.now).await
    }

    /// Stores an event of the control API's own.
    pub(crate) async fn record_own(
        &mut self,
        write: &mut Write,
        event: &Event,
        phase: Option<Phase>,
    ) -> Result<(), StoreError> {
        let event = RawEvent {
            seq: 0,
            id: EventId(Uuid::now_v7()),
            kind: event.kind().to_owned(),
            at: self.now,
            phase,
            data: event.data(),
        };
        self.record(write, &event, false).await
    }

    /// Ends the run. `false`: it had ended already, and nothing changed.
    pub(crate) async fn end(
        &mut self,
        write: &mut Write,
        ending: Ending,
    ) -> Result<bool, StoreError> {
        let message = ending.message.as_deref();
        if !store::sandbox::end(write, self.sandbox.id, ending.outcome, message, self.now).await? {
            return Ok(false);
        }
        self.sandbox.state = SandboxState::Ended;
        store::message::expire(write, self.sandbox.id, self.now).await?;
        if ending.outcome != Outcome::Succeeded {
            let broken: Vec<Phase> = Phase::ALL
                .into_iter()
                .filter(|phase| self.status(*phase) == PhaseStatus::Running)
                .collect();
            for phase in broken {
                self.phase(phase).status = PhaseStatus::Failed;
            }
        }
        if self.spec.status.can_become(ending.status) {
            self.spec.status = ending.status;
            self.spec.reason = (ending.status != SpecStatus::Completed).then_some(ending.outcome);
            self.spec.message = ending.message;
        }
        Ok(true)
    }

    /// Ends a run that can no longer report for itself, and records that as an event in its place.
    /// `false`: it had ended already, and nothing changed.
    pub(crate) async fn end_unreported(
        &mut self,
        write: &mut Write,
        outcome: Outcome,
        message: &str,
    ) -> Result<bool, StoreError> {
        let phase = self.spec.current_phase;
        if !self.end(write, Ending::failed(outcome, message)).await? {
            return Ok(false);
        }
        let report = Event::ExecutionFailed(ExecutionFailed {
            outcome,
            failed_phase: Some(phase),
            message: message.to_owned(),
            cost_usd: usd(self.sandbox.cost_micro_usd),
            duration_ms: u64::try_from(self.now.since(self.sandbox.created_at).as_millis())
                .unwrap_or(u64::MAX),
        });
        self.record_own(write, &report, Some(phase)).await?;
        Ok(true)
    }

    /// Writes what changed of spec and phases.
    pub(crate) async fn save(&mut self, write: &mut Write) -> Result<(), StoreError> {
        for phase in std::mem::take(&mut self.changed) {
            if let Some(record) = self.phases.get(&phase) {
                store::phase::save(write, self.spec.id, record).await?;
            }
        }
        self.spec.updated_at = self.now;
        store::spec::save(write, &self.spec).await
    }
}
