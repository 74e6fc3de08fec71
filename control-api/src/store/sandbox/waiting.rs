//! What waits for a sandbox's worker: a narrow row, because thousands of workers look at theirs.

use specwright_shared::id::SandboxId;
use specwright_shared::phase::SandboxState;

use super::TABLE;
use crate::store::{Session, StoreError, count, word};

/// What a look at the row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) state: SandboxState,
    pub(crate) stop_reason: Option<String>,
    pub(crate) pause_requested: bool,
    /// The position of the newest message; 0: there is none.
    pub(crate) messages: u64,
}

#[derive(sqlx::FromRow)]
struct Row {
    state: String,
    stop_reason: Option<String>,
    pause_requested: bool,
    messages: i64,
}

/// What there is for a worker; `None`: no such sandbox.
pub(crate) async fn look(
    session: &mut Session,
    id: SandboxId,
) -> Result<Option<Waiting>, StoreError> {
    let row: Option<Row> = session
        .query("SELECT state, stop_reason, pause_requested, messages FROM sandboxes WHERE id = $1")
        .bind(id.0)
        .fetch_optional()
        .await?;
    row.map(|row| {
        Ok(Waiting {
            state: word(TABLE, &row.state)?,
            stop_reason: row.stop_reason,
            pause_requested: row.pause_requested,
            messages: count(TABLE, row.messages)?,
        })
    })
    .transpose()
}
