//! Messages with an `expires_at` that passed before a worker wrote them say so, also when there is no
//! worker that could.

use std::time::Duration;

use crate::app::App;
use crate::problem::chain;
use crate::store::{self, StoreError};

/// How often to look: who waits for the receipt should not wonder for long.
const EVERY: Duration = Duration::from_secs(2);

/// Looks at start and every two seconds from then on.
pub(super) async fn run(app: App) {
    loop {
        if let Err(error) = round(&app).await {
            tracing::error!(error = chain(&error), "overdue messages could not be expired");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = app.shutdown.cancelled() => return,
        }
    }
}

async fn round(app: &App) -> Result<(), StoreError> {
    let now = app.now();
    // Nearly always there is none, and a look does not take the writer.
    let mut session = app.store.read().await?;
    if !store::message::any_overdue(&mut session, now).await? {
        return Ok(());
    }
    drop(session);
    let mut write = app.store.write().await?;
    let expired = store::message::expire_overdue(&mut write, now).await?;
    write.commit().await?;
    tracing::info!(expired, "messages have expired");
    Ok(())
}
