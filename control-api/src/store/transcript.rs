//! Transcripts: the newest conversation of each sandbox's agent, compressed as it came.

use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::time::Timestamp;
use uuid::Uuid;

use super::{Session, StoreError, Write};

/// Stores a sandbox's transcript, or its newer one.
pub(crate) async fn save(
    write: &mut Write,
    sandbox: SandboxId,
    session_id: Uuid,
    body: Vec<u8>,
    now: Timestamp,
) -> Result<(), StoreError> {
    write
        .query(
            "INSERT INTO transcripts (sandbox_id, session_id, body, stored_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (sandbox_id) DO UPDATE
             SET session_id = excluded.session_id, body = excluded.body,
                 stored_at = excluded.stored_at",
        )
        .bind(sandbox.0)
        .bind(session_id)
        .bind(body)
        .bind(now.as_utc())
        .execute()
        .await?;
    Ok(())
}

/// The transcript of a sandbox, with the spec that it worked for.
pub(crate) async fn find(
    session: &mut Session,
    sandbox: SandboxId,
) -> Result<Option<(SpecId, Uuid, Vec<u8>)>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        spec_id: Uuid,
        session_id: Uuid,
        body: Vec<u8>,
    }
    let row: Option<Row> = session
        .query(
            "SELECT sandboxes.spec_id, transcripts.session_id, transcripts.body
             FROM transcripts
             JOIN sandboxes ON sandboxes.id = transcripts.sandbox_id
             WHERE transcripts.sandbox_id = $1",
        )
        .bind(sandbox.0)
        .fetch_optional()
        .await?;
    Ok(row.map(|row| (SpecId(row.spec_id), row.session_id, row.body)))
}
