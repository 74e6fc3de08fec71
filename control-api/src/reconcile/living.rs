//! All living sandboxes, some after the other, for duties that look at each.

use specwright_shared::id::SpecId;

use crate::store::liveness::fleet::{Standing, standings};
use crate::store::{Session, StoreError};

/// How many are read at once: a moment's work, so that what workers report comes in between.
const AT_ONCE: usize = 256;

/// A way through all that have not ended. Who ends or begins meanwhile may be seen or not.
#[derive(Debug, Default)]
pub(super) struct Living {
    behind: Option<SpecId>,
    is_done: bool,
}

impl Living {
    /// The next ones; `None`: that was all.
    pub(super) async fn next(
        &mut self,
        session: &mut Session,
    ) -> Result<Option<Vec<Standing>>, StoreError> {
        if self.is_done {
            return Ok(None);
        }
        let some = standings(session, self.behind, AT_ONCE).await?;
        self.is_done = some.len() < AT_ONCE;
        self.behind = some.last().map(|last| last.spec);
        Ok(Some(some))
    }
}
