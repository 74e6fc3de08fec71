//! The order of all events, and the life of the database that it belongs to.
//!
//! What holds: an event's [`Place`] in the order of all never changes within one life, and no event
//! ever gets a place at or before one up to which somebody has read. On SQLite one connection writes,
//! so the order of insertion is such an order. On PostgreSQL it is the number of the writing
//! transaction, then a sequence, read only below the oldest transaction that still runs, and only as
//! far as there are events: a database that fell counts on from the last number that had reached its
//! disk, so those above the newest event's may be given out again.
//!
//! A *life* ends when the database becomes another one under the same name: restored from a dump or
//! an archive, or failed over. Transactions may be counted anew then, and positions given twice; so
//! the epoch, which is part of every cursor, changes.

use super::super::{Session, Store, StoreError, Write};

/// A place in an order of events; in the log of one spec or sandbox the number alone counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    pub(crate) txid: i64,
    pub(crate) number: i64,
}

impl Place {
    /// Behind so many events of one spec or sandbox.
    pub(crate) const fn behind(number: i64) -> Self {
        Self { txid: 0, number }
    }
}

/// How far the order of all can be read at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Horizon {
    /// The newest event whose transaction no other one that still runs is older than.
    newest_txid: i64,
    newest_ordinal: i64,
    /// The newest packed event of which that holds: all that is new may be packed.
    settled_txid: i64,
    settled_ordinal: i64,
    /// Committed events wait for an older transaction to end.
    pub(super) held_back: bool,
    gone_txid: i64,
    gone_ordinal: i64,
    packed_txid: i64,
    packed_ordinal: i64,
}

impl Horizon {
    /// The last place that can be read: that of an event, which is on the disk, and so is the number
    /// of its transaction.
    pub(super) fn place(&self) -> Place {
        let newest = Place { txid: self.newest_txid, number: self.newest_ordinal };
        newest.max(Place { txid: self.settled_txid, number: self.settled_ordinal })
    }

    /// The newest place whose event is no longer there.
    pub(super) const fn gone(&self) -> Place {
        Place { txid: self.gone_txid, number: self.gone_ordinal }
    }

    /// The newest place whose event is packed.
    pub(super) const fn packed(&self) -> Place {
        Place { txid: self.packed_txid, number: self.packed_ordinal }
    }

    pub(super) async fn of(session: &mut Session) -> Result<Self, StoreError> {
        let horizon = match session {
            // All have the transaction 0.
            Session::Sqlite(_) => {
                "WITH packed AS (
                     SELECT COALESCE(MAX(last_ordinal), 0) AS ordinal
                     FROM event_archives
                     WHERE last_txid = 0
                 )
                 SELECT 0 AS newest_txid,
                        COALESCE((SELECT MAX(ordinal) FROM events), 0) AS newest_ordinal,
                        0 AS settled_txid, packed.ordinal AS settled_ordinal,
                        FALSE AS held_back, gone_txid, gone_ordinal,
                        0 AS packed_txid, packed.ordinal AS packed_ordinal
                 FROM event_order, packed"
            }
            // The newest are read by the index: asked whether there is one, the planner may read all
            // that are older.
            Session::Postgres(_) => {
                "WITH oldest AS (
                     SELECT pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT AS txid
                 ),
                 newest AS (
                     SELECT txid, ordinal
                     FROM events
                     WHERE txid < (SELECT txid FROM oldest)
                     ORDER BY txid DESC, ordinal DESC
                     LIMIT 1
                 ),
                 settled AS (
                     SELECT last_txid, last_ordinal
                     FROM event_archives
                     WHERE last_txid < (SELECT txid FROM oldest)
                     ORDER BY last_txid DESC, last_ordinal DESC
                     LIMIT 1
                 ),
                 packed AS (
                     SELECT last_txid, last_ordinal
                     FROM event_archives
                     ORDER BY last_txid DESC, last_ordinal DESC
                     LIMIT 1
                 )
                 SELECT COALESCE((SELECT txid FROM newest), 0) AS newest_txid,
                        COALESCE((SELECT ordinal FROM newest), 0) AS newest_ordinal,
                        COALESCE((SELECT last_txid FROM settled), 0) AS settled_txid,
                        COALESCE((SELECT last_ordinal FROM settled), 0) AS settled_ordinal,
                        COALESCE(
                            (SELECT txid FROM events ORDER BY txid DESC, ordinal DESC LIMIT 1)
                                >= oldest.txid,
                            FALSE
                        ) AS held_back,
                        gone_txid, gone_ordinal,
                        COALESCE((SELECT last_txid FROM packed), 0) AS packed_txid,
                        COALESCE((SELECT last_ordinal FROM packed), 0) AS packed_ordinal
                 FROM event_order, oldest"
            }
        };
        session.query(horizon).fetch_one().await
    }
}

/// Up to where the order of all can be read at this moment.
pub(crate) async fn reached(session: &mut Session) -> Result<Place, StoreError> {
    Ok(Horizon::of(session).await?.place())
}

/// The epoch of this life.
pub(crate) async fn epoch(session: &mut Session) -> Result<String, StoreError> {
    let (epoch,): (String,) = session.query("SELECT epoch FROM event_order").fetch_one().await?;
    Ok(epoch)
}

/// Whether this role may ask for the cluster's own number: on a server that someone else runs it
/// may not be.
const MAY_ASK: &str = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')";

/// What a life is known by.
const LIFE: &str = "
    SELECT (SELECT system_identifier::TEXT FROM pg_control_system())
               || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
               || '/' || 'event_order'::REGCLASS::OID::TEXT";

/// The same where that is forbidden: another cluster is then told by its timeline and by the numbers
/// that it gave to the database and the table.
const LIFE_UNNUMBERED: &str = "
    SELECT (SELECT oid::TEXT FROM pg_database WHERE datname = current_database())
               || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
               || '/' || 'event_order'::REGCLASS::OID::TEXT";

/// Looks whether the database began another life, and begins one in the store then. Done before
/// anything is served, and whenever the connection for news had to be made anew.
///
/// Transactions of a new cluster are counted from the beginning. Where the stored ones are ahead of
/// them, new events would stand before old ones: all stored ones are set to 0, where the ordinals
/// alone order them.
///
/// # Errors
/// [`StoreError`]
pub(crate) async fn settle(store: &Store) -> Result<(), StoreError> {
    let mut write = store.write().await?;
    if matches!(*write, Session::Sqlite(_)) {
        return Ok(());
    }
    let (may_ask,): (bool,) = write.query(MAY_ASK).fetch_one().await?;
    let life = if may_ask { LIFE } else { LIFE_UNNUMBERED };
    let (life,): (String,) = write.query(life).fetch_one().await?;
    let (known,): (String,) = write.query("SELECT life FROM event_order").fetch_one().await?;
    if life == known {
        return Ok(());
    }
    // Another replica may have come first; it then waits here, and finds it done.
    let changed = write
        .query("UPDATE event_order SET life = $1 WHERE life <> $1")
        .bind(life)
        .execute()
        .await?;
    if changed == 0 {
        return Ok(());
    }
    // Events that this very moment are being written are below the mark: what is visible has ended.
    let (ahead,): (bool,) = write
        .query(
            "SELECT GREATEST(
                        (SELECT MAX(txid) FROM events),
                        (SELECT MAX(last_txid) FROM event_archives),
                        0
                    ) >= pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT",
        )
        .fetch_one()
        .await?;
    let mut reset = 0;
    if ahead {
        reset = write.query("UPDATE events SET txid = 0 WHERE txid > 0").execute().await?;
        // What is written in a piece does not count then.
        let pieces = "UPDATE event_archives SET first_txid = 0, last_txid = 0 WHERE last_txid > 0";
        reset += write.query(pieces).execute().await?;
        write.query("UPDATE event_order SET gone_txid = 0").execute().await?;
    }
    // A fresh database has none to refuse.
    if !known.is_empty() {
        begin_life(&mut write).await?;
        tracing::warn!(
            reset,
            "the database began another life; cursors of the old one are refused"
        );
    }
    write.commit().await
}

/// Begins another life: no cursor that was given out before is taken any more.
pub(crate) async fn begin_life(write: &mut Write) -> Result<(), StoreError> {
    let epoch: String = uuid::Uuid::new_v4().simple().to_string().chars().take(12).collect();
    write.query("UPDATE event_order SET epoch = $1").bind(epoch).execute().await?;
    Ok(())
}

#[cfg(test)]
mod tests;
