//! The course of a spec: which sandbox was at work when, how each ended, and what it did until then.
//!
//! Sandboxes follow each other, so one walk over the events in their order tells: a terminal event ends
//! the sandbox that is at work, whether it said so itself or the control API did; what a sandbox says
//! after its end is late, and counts for nothing.

use std::collections::BTreeMap;

use specwright_shared::phase::Phase;
use specwright_shared::wire::event::EventView;
use specwright_shared::wire::sandbox::SandboxView;

use super::{Verdict, spool};

impl Verdict {
    /// Judges how sandboxes followed each other, and what was accepted while they were at work.
    pub(super) fn course(&mut self, sandboxes: &[SandboxView], events: &[EventView]) {
        let mut order: Vec<&SandboxView> = sandboxes.iter().collect();
        order.sort_by_key(|sandbox| sandbox.id.0);
        let (mut ended, mut last_end) = (0, None);
        let mut accepted: BTreeMap<Phase, usize> = BTreeMap::new();
        for event in events {
            let by = event.sandbox_id.map(|id| order.iter().position(|one| one.id == id));
            match by {
                Some(None) => self.violated(format!("nobody knows whose {event:?} is")),
                Some(Some(by)) if by > ended => {
                    self.violated(format!("{by} works before {ended} has ended: {event:?}"));
                }
                // Late: kept as a fact.
                Some(Some(by)) if by < ended => {}
                Some(Some(_)) | None => {
                    let kind = event.event.kind.as_str();
                    if spool::is_terminal(kind) {
                        (ended, last_end) = (ended + 1, Some(kind));
                    }
                    if let ("spec.phase_completed", Some(phase)) = (kind, event.event.phase) {
                        *accepted.entry(phase).or_default() += 1;
                    }
                }
            }
        }
        let count = order.len();
        self.expect(ended == count, || format!("{count} sandboxes and {ended} ends"));
        self.expect(last_end == Some("spec.execution_completed"), || {
            format!("the last end is {last_end:?}")
        });
        for phase in Phase::ALL {
            let accepted = accepted.get(&phase).copied().unwrap_or_default();
            // `complete` makes nothing; a worker that was killed behind it does it again.
            let right = if phase == Phase::Complete { accepted >= 1 } else { accepted == 1 };
            self.expect(right, || format!("{phase} was accepted {accepted} times"));
        }
    }
}
