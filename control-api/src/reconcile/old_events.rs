//! Events that are older than they are to be kept as rows are packed, where that was asked for; they
//! can be read as before.

use crate::app::App;
use crate::store::StoreError;
use crate::store::event::archive;

/// How many pieces one round makes: up to 10,000 events in as many short transactions, between which
/// others write. With a round a minute that is 14 million events a day.
const PIECES: u32 = 50;

/// Looks once; says how many events it packed.
pub(super) async fn round(app: &App) -> Result<u64, StoreError> {
    let Some(kept) = app.events_kept else { return Ok(0) };
    let now = app.now();
    let before = now.minus(kept);
    let mut did = 0;
    for _ in 0..PIECES {
        let mut write = app.store.write().await?;
        let Some(packed) = archive::pack(&mut write, before, now).await? else { break };
        write.commit().await?;
        did += packed.events;
    }
    if did > 0 {
        tracing::info!(events = did, "old events were packed");
    }
    Ok(did)
}
