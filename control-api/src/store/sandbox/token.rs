//! Whose token it is: sandboxes by the hashes of what opens them.

use specwright_shared::id::SandboxId;
use specwright_shared::time::Timestamp;
use uuid::Uuid;

use crate::store::{Session, StoreError};

/// The sandbox whose token has this hash, unless it had ended by a time.
pub(crate) async fn by_token(
    session: &mut Session,
    hash: &[u8; 32],
    ended_after: Timestamp,
) -> Result<Option<SandboxId>, StoreError> {
    let row: Option<(Uuid,)> = session
        .query(
            "SELECT id
             FROM sandboxes
             WHERE token_hash = $1 AND (ended_at IS NULL OR ended_at > $2)",
        )
        .bind(hash.to_vec())
        .bind(ended_after.as_utc())
        .fetch_optional()
        .await?;
    Ok(row.map(|(id,)| SandboxId(id)))
}

const BY_TOKENS_SQLITE: &str = "
    SELECT token_hash, id
    FROM sandboxes
    WHERE token_hash IN (SELECT unhex(value) FROM json_each($1))
      AND (ended_at IS NULL OR ended_at > $2)";

const BY_TOKENS_POSTGRES: &str = "
    SELECT token_hash, id
    FROM sandboxes
    WHERE token_hash = ANY($1) AND (ended_at IS NULL OR ended_at > $2)";

/// The same of many at once: whose they are, as far as they are somebody's.
pub(crate) async fn by_tokens(
    session: &mut Session,
    hashes: &[[u8; 32]],
    ended_after: Timestamp,
) -> Result<Vec<([u8; 32], SandboxId)>, StoreError> {
    let query = match session {
        Session::Sqlite(_) => {
            let texts: Vec<String> = hashes.iter().map(hex::encode).collect();
            session.query(BY_TOKENS_SQLITE).bind(serde_json::json!(texts).to_string())
        }
        Session::Postgres(_) => {
            session.query(BY_TOKENS_POSTGRES).bind_all(hashes.iter().map(|hash| hash.to_vec()))
        }
    };
    let rows: Vec<(Vec<u8>, Uuid)> = query.bind(ended_after.as_utc()).fetch_all().await?;
    let whose = |(hash, id): (Vec<u8>, Uuid)| Some((hash.try_into().ok()?, SandboxId(id)));
    Ok(rows.into_iter().filter_map(whose).collect())
}
