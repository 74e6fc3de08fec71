//! What an operator's graphs show of the sandboxes that have not ended.

use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::wire::sandbox::Heartbeat;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Session, StoreError};

/// A living sandbox in numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Living {
    pub(crate) id: SandboxId,
    pub(crate) spec_id: SpecId,
    pub(crate) verdict: Option<String>,
    pub(crate) cost_micro_usd: i64,
    /// As the last heartbeat said.
    pub(crate) spool_depth: u64,
}

/// The newest first.
pub(crate) async fn living(session: &mut Session) -> Result<Vec<Living>, StoreError> {
    type Row = (Uuid, Uuid, Option<String>, i64, Option<Json<Heartbeat>>);
    let mut rows: Vec<Row> = session
        .query(
            "SELECT id, spec_id, verdict, cost_micro_usd, heartbeat
             FROM sandboxes
             WHERE state <> 'ended'",
        )
        .fetch_all()
        .await?;
    // Sorted here: told to, SQLite would go through all sandboxes in that order.
    rows.sort_by_key(|row| std::cmp::Reverse(row.0));
    let living = |(id, spec_id, verdict, cost_micro_usd, heartbeat): Row| Living {
        id: SandboxId(id),
        spec_id: SpecId(spec_id),
        verdict,
        cost_micro_usd,
        spool_depth: heartbeat.map_or(0, |heartbeat| heartbeat.0.spool_depth),
    };
    Ok(rows.into_iter().map(living).collect())
}
