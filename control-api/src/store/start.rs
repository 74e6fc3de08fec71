//! Sandboxes that were asked for and are still to be made, by whom, and how many of a spec count
//! against its caps.
//!
//! What holds: of all that would make a sandbox's place one has taken that on, under a token of its
//! own.

use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::time::Timestamp;
use uuid::Uuid;

use super::{Session, StoreError, Write, count};

/// Marks a new sandbox as a restart whose place is to be made at once.
pub(crate) async fn set_restart(
    write: &mut Write,
    id: SandboxId,
    restart: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    write
        .query("UPDATE sandboxes SET restart = $2, starting_until = $3 WHERE id = $1")
        .bind(id.0)
        .bind(i64::from(restart))
        .bind(now.as_utc())
        .execute()
        .await?;
    Ok(())
}

/// Takes it on to make a sandbox's place, with a new token. `false`: it has one, or has ended, or
/// somebody else is at it. Who says nothing of `starting_until` is believed until `silent_since`.
pub(crate) async fn take_start(
    write: &mut Write,
    id: SandboxId,
    token_hash: [u8; 32],
    now: Timestamp,
    silent_since: Timestamp,
    (until, lease_expires_at): (Timestamp, Timestamp),
) -> Result<bool, StoreError> {
    let touched = write
        .query(
            "UPDATE sandboxes
             SET token_hash = $2, starting_until = $5, lease_expires_at = $6
             WHERE id = $1 AND state = 'requested' AND place IS NULL
               AND (starting_until <= $3 OR (starting_until IS NULL AND created_at <= $4))",
        )
        .bind(id.0)
        .bind(token_hash.to_vec())
        .bind(now.as_utc())
        .bind(silent_since.as_utc())
        .bind(until.as_utc())
        .bind(lease_expires_at.as_utc())
        .execute()
        .await?;
    Ok(touched == 1)
}

/// Sandboxes that were asked for and have no place, and nobody who is at making one.
pub(crate) async fn unstarted(
    session: &mut Session,
    now: Timestamp,
    silent_since: Timestamp,
) -> Result<Vec<SandboxId>, StoreError> {
    let rows: Vec<(Uuid,)> = session
        .query(
            "SELECT id
             FROM sandboxes
             WHERE state <> 'ended' AND state = 'requested' AND place IS NULL
               AND (starting_until <= $1 OR (starting_until IS NULL AND created_at <= $2))
             ORDER BY spec_id",
        )
        .bind(now.as_utc())
        .bind(silent_since.as_utc())
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| SandboxId(id)).collect())
}

/// Specs that count as executing and have no sandbox.
pub(crate) async fn without_sandbox(session: &mut Session) -> Result<Vec<SpecId>, StoreError> {
    let rows: Vec<(Uuid,)> = session
        .query(
            "SELECT specs.id
             FROM specs
             LEFT JOIN sandboxes ON sandboxes.spec_id = specs.id AND sandboxes.state <> 'ended'
             WHERE specs.status = 'executing' AND sandboxes.id IS NULL",
        )
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| SpecId(id)).collect())
}

/// What counts against the caps of a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Sandboxes that were asked for since the window's begin, or since the caps were reset.
    pub(crate) starts: u64,
    /// What its runs have cost since the caps were reset, in millionths of a US dollar.
    pub(crate) cost_micro_usd: i64,
}

/// Counts what a spec has used since `window`.
pub(crate) async fn counted(
    session: &mut Session,
    id: SpecId,
    window: Timestamp,
) -> Result<Counted, StoreError> {
    let (starts, cost_micro_usd): (i64, i64) = session
        .query(
            "SELECT
                 (SELECT COUNT(*) FROM sandboxes
                  WHERE sandboxes.spec_id = specs.id AND sandboxes.created_at > $2
                    AND (specs.counted_since IS NULL
                         OR sandboxes.created_at > specs.counted_since)),
                 cost_micro_usd - counted_from_micro_usd
             FROM specs
             WHERE id = $1",
        )
        .bind(id.0)
        .bind(window.as_utc())
        .fetch_one()
        .await?;
    Ok(Counted { starts: count("specs", starts)?, cost_micro_usd })
}

/// Counts from now on.
pub(crate) async fn reset_counts(
    write: &mut Write,
    id: SpecId,
    now: Timestamp,
) -> Result<(), StoreError> {
    write
        .query(
            "UPDATE specs
             SET counted_since = $2, counted_from_micro_usd = cost_micro_usd
             WHERE id = $1",
        )
        .bind(id.0)
        .bind(now.as_utc())
        .execute()
        .await?;
    Ok(())
}
