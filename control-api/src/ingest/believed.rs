//! Where sandboxes stood when this control API greeted them or took something in last. Who is believed to
//! know needs not to be asked: on PostgreSQL that saves a statement, and with it the transaction around.
//!
//! What holds: nothing is decided by it. What is taken in on its word is taken in only of whom it is
//! still true, as the statement itself finds under its locks; no answer but that of such a statement
//! is told. What turned out wrong is forgotten, and asked for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use specwright_shared::id::SandboxId;

use crate::store::event::intake::Standing;

/// Of how many: more than report to one control API at once; 120 bytes each.
const KEPT_MAX: usize = 10_000;

/// What is believed.
#[derive(Debug, Default)]
pub(super) struct Believed(Mutex<HashMap<SandboxId, Standing>>);

impl Believed {
    fn kept(&self) -> MutexGuard<'_, HashMap<SandboxId, Standing>> {
        // The map is valid between any two steps, also when a holder panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where these are believed to stand, as far as that is known. It is taken out: who has taken
    /// something in says where they stand then.
    pub(super) fn take(&self, sandboxes: impl Iterator<Item = SandboxId>) -> Vec<Standing> {
        let mut kept = self.kept();
        sandboxes.filter_map(|sandbox| kept.remove(&sandbox)).collect()
    }

    /// They stand there now, as was committed.
    pub(super) fn keep(&self, standings: impl Iterator<Item = Standing>) {
        let mut kept = self.kept();
        for standing in standings {
            if kept.len() >= KEPT_MAX {
                // Rare, and a guess: who is still there is asked for once more.
                kept.clear();
            }
            kept.insert(standing.sandbox, standing);
        }
    }
}
