//! One run under way, locked: its spec, its sandbox and its phases, read together and written
//! together.
//!
//! What holds: whoever changes a run holds the spec's lock and the sandbox's, in this order; an
//! ended sandbox is never changed again; positions of events rise by one in commit order. What was
//! recorded is stored with [`Run::save`], all at once.

use std::collections::{BTreeMap, BTreeSet};

use specwright_shared::id::{EventId, SandboxId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{Phase, PhaseStatus, SandboxState, SpecStatus};
use specwright_shared::time::Timestamp;
use specwright_shared::trace::TraceId;
use specwright_shared::wire::event::{Event, ExecutionFailed, RawEvent, Restarted};
use uuid::Uuid;

use crate::store::event::Recorded;
use crate::store::phase::PhaseRecord;
use crate::store::sandbox::{NewSandbox, Sandbox};
use crate::store::spec::Spec;
use crate::store::{self, StoreError, Write, usd};

/// A run, locked by the transaction that it was read in.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) spec: Spec,
    pub(crate) sandbox: Sandbox,
    pub(crate) phases: BTreeMap<Phase, PhaseRecord>,
    changed: BTreeSet<Phase>,
    recorded: Vec<Recorded>,
    /// The sandbox that goes on with the run; its place is to be made once that is committed.
    pub(crate) next: Option<SandboxId>,
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
        Ok(Some(Self {
            spec,
            sandbox,
            phases,
            changed: BTreeSet::new(),
            recorded: Vec::new(),
            next: None,
            now,
        }))
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

    /// Puts an event behind the newest one of the spec.
    pub(crate) fn record(&mut self, event: &RawEvent, by_sandbox: bool) {
        self.spec.events += 1;
        let sandbox = by_sandbox.then_some(self.sandbox.id);
        let of_run = self.sandbox.traceparent.map(|context| context.trace);
        self.recorded.push(Recorded::new(self.spec.events, sandbox, event).in_trace(of_run));
    }

    /// Puts an event of the control API's own there.
    pub(crate) fn record_own(&mut self, event: &Event, phase: Option<Phase>) {
        self.record_own_in(None, event, phase);
    }

    /// The same, of a request that is in another trace than the run.
    pub(crate) fn record_own_in(
        &mut self,
        trace_id: Option<TraceId>,
        event: &Event,
        phase: Option<Phase>,
    ) {
        let event = RawEvent {
            seq: 0,
            id: EventId(Uuid::now_v7()),
            kind: event.kind().to_owned(),
            at: self.now,
            phase,
            trace_id,
            data: event.data(),
        };
        self.record(&event, false);
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
        self.record_own(&report, Some(phase));
        Ok(true)
    }

    /// What an end means that the worker calls cancelled, or that nobody reported: if a duty asked for
    /// it, what that duty said. What the run says of itself beside that goes before.
    pub(crate) async fn as_intended(
        &self,
        write: &mut Write,
        outcome: Outcome,
        message: &str,
    ) -> Result<(Outcome, String), StoreError> {
        let watched = store::liveness::find(write, self.sandbox.id).await?;
        let intended = watched.and_then(|watched| watched.stop_outcome);
        Ok(match (intended, &self.sandbox.stop_reason) {
            (Some(intended), Some(reason))
                if matches!(outcome, Outcome::Cancelled | Outcome::Lost)
                    && !message.starts_with(reason) =>
            {
                (intended, format!("{reason}; {message}"))
            }
            (Some(intended), _) if matches!(outcome, Outcome::Cancelled | Outcome::Lost) => {
                (intended, message.to_owned())
            }
            _ => (outcome, message.to_owned()),
        })
    }

    /// Ends the sandbox of a run, and asks for another one that goes on from the first phase without an
    /// accepted output. The spec stays what it is. `false`: the sandbox had ended already, and nothing
    /// changed.
    pub(crate) async fn restart(
        &mut self,
        write: &mut Write,
        (outcome, message): (Outcome, &str),
        next: &NewSandbox,
        restart: u32,
    ) -> Result<bool, StoreError> {
        let ended = self.sandbox.id;
        if !store::sandbox::end(write, ended, outcome, Some(message), self.now).await? {
            return Ok(false);
        }
        self.sandbox.state = SandboxState::Ended;
        store::message::expire(write, ended, self.now).await?;
        let records: Vec<PhaseRecord> = self.phases.values().cloned().collect();
        let first = store::phase::accepted(&records)?.first_missing();
        for phase in Phase::ALL.into_iter().filter(|phase| *phase >= first) {
            if self.status(phase) != PhaseStatus::Pending {
                *self.phase(phase) = PhaseRecord::pending(phase);
            }
        }
        self.spec.current_phase = first;
        store::sandbox::insert(write, next).await?;
        store::start::set_restart(write, next.id, restart, self.now).await?;
        self.next = Some(next.id);
        let event = Event::Restarted(Restarted {
            ended,
            outcome,
            message: message.to_owned(),
            sandbox_id: next.id,
            phase: first,
            restart,
        });
        self.record_own(&event, Some(first));
        Ok(true)
    }

    /// Writes what was recorded, and what changed of spec and phases.
    pub(crate) async fn save(&mut self, write: &mut Write) -> Result<(), StoreError> {
        let recorded = std::mem::take(&mut self.recorded);
        store::event::insert(write, self.spec.id, recorded, self.now).await?;
        for phase in std::mem::take(&mut self.changed) {
            if let Some(record) = self.phases.get(&phase) {
                store::phase::save(write, self.spec.id, record).await?;
            }
        }
        self.spec.updated_at = self.now;
        store::spec::save(write, &self.spec).await
    }
}
