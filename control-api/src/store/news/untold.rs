//! What was committed by anyone, told or not: looked up in the tables that streams wait for.
//!
//! Only for PostgreSQL, whose notifications can be lost with who was to send them; on SQLite it is
//! nothing, because the file itself says that another process committed.

use std::collections::{BTreeMap, BTreeSet};

use specwright_shared::id::SandboxId;
use uuid::Uuid;

use crate::store::engine::Engine;
use crate::store::event::order::{self, Place};
use crate::store::event::reported_by;
use crate::store::{Session, Store, StoreError};

/// The most events that one look goes through: what is written in a second, many times over.
const EVENTS_MAX: i64 = 20_000;
/// The most sandboxes with messages that are looked at.
const SANDBOXES_MAX: i64 = 10_000;

/// Whether a commit can stay untold.
pub(crate) const fn is_possible(store: &Store) -> bool {
    matches!(store.engine, Engine::Postgres(_))
}

/// Of which specs and sandboxes events were written behind a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// `None`: of more than are looked up.
    pub(crate) about: Option<BTreeSet<Uuid>>,
    /// Where the next look begins.
    pub(crate) mark: Place,
}

/// Looks behind a mark; the first look gives only the mark.
pub(crate) async fn written_behind(
    session: &mut Session,
    mark: Option<Place>,
) -> Result<Written, StoreError> {
    let none = Some(BTreeSet::new());
    if matches!(session, Session::Sqlite(_)) {
        return Ok(Written { about: none, mark: Place::default() });
    }
    let until = order::reached(session).await?;
    let Some(mark) = mark else { return Ok(Written { about: none, mark: until }) };
    let written: Vec<(Uuid, Option<Uuid>)> = session
        .query(
            "SELECT spec_id, sandbox_id
             FROM events
             WHERE (txid, ordinal) > ($1, $2) AND (txid, ordinal) <= ($3, $4)
             ORDER BY txid, ordinal
             LIMIT $5",
        )
        .bind(mark.txid)
        .bind(mark.number)
        .bind(until.txid)
        .bind(until.number)
        .bind(EVENTS_MAX)
        .fetch_all()
        .await?;
    let is_all = (written.len() as i64) < EVENTS_MAX;
    let about = written.into_iter().flat_map(|(spec, sandbox)| {
        [Some(spec), sandbox.map(|id| reported_by(SandboxId(id)))].into_iter().flatten()
    });
    // Not the greater of the two: a restored database may count from lower on.
    Ok(Written { about: is_all.then(|| about.collect()), mark: until })
}

/// The position of the newest message that no worker has got yet, by sandbox.
pub(crate) async fn messages_waiting(
    session: &mut Session,
) -> Result<BTreeMap<Uuid, i64>, StoreError> {
    if matches!(session, Session::Sqlite(_)) {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<(Uuid, i64)> = session
        .query(
            "SELECT sandbox_id, MAX(position)
             FROM messages
             WHERE status = 'queued'
             GROUP BY sandbox_id
             ORDER BY sandbox_id
             LIMIT $1",
        )
        .bind(SANDBOXES_MAX)
        .fetch_all()
        .await?;
    Ok(rows.into_iter().collect())
}
