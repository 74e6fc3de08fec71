//! Messages with an `expires_at` that passed before a worker wrote them say so, also when there is no
//! worker that could.

use crate::app::App;
use crate::store::{self, StoreError};

/// Looks once.
pub(super) async fn round(app: &App) -> Result<u64, StoreError> {
    let now = app.now();
    // Nearly always there is none, and a look does not take the writer.
    let mut session = app.store.read().await?;
    if !store::message::any_overdue(&mut session, now).await? {
        return Ok(0);
    }
    drop(session);
    let mut write = app.store.write().await?;
    let expired = store::message::expire_overdue(&mut write, now).await?;
    write.commit().await?;
    tracing::info!(expired, "messages have expired");
    Ok(expired)
}
