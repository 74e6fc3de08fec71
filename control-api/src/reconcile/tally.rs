//! What a round came to. One thing that failed does not keep it from those behind; the round has then
//! failed with the first error, and the log has each.

use crate::problem::chain;
use crate::store::StoreError;

/// How many things were done, and what went wrong first.
#[derive(Debug, Default)]
pub(super) struct Tally {
    did: u64,
    failed: Option<StoreError>,
}

impl Tally {
    /// Counts what came of one of them.
    pub(super) fn add(&mut self, what: impl std::fmt::Display, done: Result<bool, StoreError>) {
        match done {
            Ok(done) => self.did += u64::from(done),
            Err(error) => {
                tracing::error!(%what, error = chain(&error), "a duty leaves one out");
                self.failed.get_or_insert(error);
            }
        }
    }

    /// What the round answers.
    pub(super) fn end(self) -> Result<u64, StoreError> {
        self.failed.map_or(Ok(self.did), Err)
    }
}
