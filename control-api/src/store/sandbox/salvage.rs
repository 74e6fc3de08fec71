//! Who delivers what a lost sandbox had left in its place: one at a time, for a while.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use specwright_shared::id::SandboxId;
use specwright_shared::time::Timestamp;
use sqlx::types::Json;

use crate::store::{StoreError, Write};

/// Who delivers what was left in a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// The control API, in the provider's own terms.
    pub(crate) by: Value,
    /// Until when nobody else does.
    pub(crate) until: Timestamp,
}

/// Claims the delivery of what was left in a sandbox's place, as a further try: from now on this token
/// opens the sandbox, and no older one.
pub(crate) async fn claim(
    write: &mut Write,
    id: SandboxId,
    by: &Claim,
    token_hash: &[u8; 32],
) -> Result<(), StoreError> {
    write
        .query(
            "UPDATE sandboxes
             SET salvages = salvages + 1, salvage_claim = $2, token_hash = $3
             WHERE id = $1",
        )
        .bind(id.0)
        .bind(Json(by.clone()))
        .bind(token_hash.to_vec())
        .execute()
        .await?;
    Ok(())
}

/// A try to deliver is over.
pub(crate) async fn release(write: &mut Write, id: SandboxId) -> Result<(), StoreError> {
    write
        .query("UPDATE sandboxes SET salvage_claim = NULL WHERE id = $1")
        .bind(id.0)
        .execute()
        .await?;
    Ok(())
}
