//! Old events, packed into pieces: out of the table, and readable as before.
//!
//! What holds: a log is its pieces, then its rows, without a hole between and nothing twice; a piece
//! is made and its rows are deleted in one transaction, under the spec's lock. A piece is a stretch of
//! one spec's positions with the events of one sandbox at most, so that the numbers of a sandbox are
//! whole stretches of it, too. Its lines are what readers were given of the rows, byte for byte; beside
//! them are the places of its events in the order of all ([`among_all`]).

pub(super) mod among_all;

use std::io::{Read as _, Write as _};

use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use specwright_shared::id::SpecId;
use specwright_shared::time::Timestamp;
use uuid::Uuid;

use super::log::{Fact, Log, Row};
use super::order::Place;
use crate::store::{Session, StoreError, Write, spec};

const TABLE: &str = "event_archives";

/// The most events of a piece: a transaction that deletes them is over in milliseconds, and who reads
/// one event unpacks 60 KB.
const EVENTS_MAX: i64 = 200;
/// The most bytes of a piece, unless one event alone is larger: unpacked while a request waits.
const BYTES_MAX: usize = 1024 * 1024;

/// What was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) events: u64,
}

/// Packs the oldest events that were taken in before a moment into one piece; `None`: there are none.
pub(crate) async fn pack(
    write: &mut Write,
    before: Timestamp,
    now: Timestamp,
) -> Result<Option<Packed>, StoreError> {
    let oldest = match **write {
        // The key alone orders them; PostgreSQL has an index over both.
        Session::Sqlite(_) => "SELECT spec_id, received_at FROM events ORDER BY ordinal LIMIT 1",
        Session::Postgres(_) => {
            "SELECT spec_id, received_at FROM events ORDER BY txid, ordinal LIMIT 1"
        }
    };
    let oldest: Option<(Uuid, DateTime<Utc>)> = write.query(oldest).fetch_optional().await?;
    let Some((id, _)) = oldest.filter(|(_, received_at)| *received_at < before.as_utc()) else {
        return Ok(None);
    };
    // Read again under the lock: someone else may have been faster.
    if spec::lock(write, SpecId(id)).await?.is_none() {
        return Err(corrupt("events", format!("events of spec {id}, which is not there")));
    }
    let rows: Vec<Row> = write
        .query("SELECT * FROM events WHERE spec_id = $1 ORDER BY position LIMIT $2")
        .bind(id)
        .bind(EVENTS_MAX)
        .fetch_all()
        .await?;
    let Some(piece) = Piece::of(rows, before)? else { return Ok(None) };
    piece.insert(write, id, now).await?;
    let gone = write
        .query("DELETE FROM events WHERE spec_id = $1 AND position <= $2")
        .bind(id)
        .bind(piece.last_position)
        .execute()
        .await?;
    Ok(Some(Packed { events: gone }))
}

/// A place, as it stands beside its event.
fn line_of(place: Place) -> String {
    format!("{} {}", place.txid, place.number)
}

/// A piece in the making.
struct Piece {
    first_position: i64,
    last_position: i64,
    sandbox: Option<Uuid>,
    seqs: Option<(i64, i64)>,
    first: Place,
    last: Place,
    /// One place a line, one event a line.
    places: String,
    lines: String,
}

impl Piece {
    /// The beginning of some rows: as far as they are old, of one sandbox, and fit.
    fn of(rows: Vec<Row>, before: Timestamp) -> Result<Option<Self>, StoreError> {
        let mut piece: Option<Self> = None;
        for row in rows {
            if row.received_at >= before.as_utc() {
                break;
            }
            let (position, sandbox, seq) = (row.position, row.sandbox_id, row.seq);
            let place = row.place();
            let line = row.into_fact(place)?.json;
            let Some(piece) = &mut piece else {
                piece = Some(Self {
                    first_position: position,
                    last_position: position,
                    sandbox,
                    seqs: seq.map(|seq| (seq, seq)),
                    first: place,
                    last: place,
                    places: line_of(place),
                    lines: line.get().to_owned(),
                });
                continue;
            };
            let another = matches!((piece.sandbox, sandbox), (Some(one), Some(two)) if one != two);
            let hole = position != piece.last_position + 1;
            if another || hole || piece.lines.len() + line.get().len() > BYTES_MAX {
                break;
            }
            piece.last_position = position;
            piece.sandbox = piece.sandbox.or(sandbox);
            piece.seqs = match (piece.seqs, seq) {
                (Some((first, _)), Some(seq)) => Some((first, seq)),
                (None, Some(seq)) => Some((seq, seq)),
                (seqs, None) => seqs,
            };
            piece.last = place;
            piece.places.push('\n');
            piece.places.push_str(&line_of(place));
            piece.lines.push('\n');
            piece.lines.push_str(line.get());
        }
        Ok(piece)
    }

    async fn insert(&self, write: &mut Write, id: Uuid, now: Timestamp) -> Result<(), StoreError> {
        write
            .query(
                "INSERT INTO event_archives (
                     spec_id, first_position, last_position, sandbox_id, first_seq, last_seq, lines,
                     archived_at, first_txid, first_ordinal, last_txid, last_ordinal, places
                 )
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            )
            .bind(id)
            .bind(self.first_position)
            .bind(self.last_position)
            .bind(self.sandbox)
            .bind(self.seqs.map(|(first, _)| first))
            .bind(self.seqs.map(|(_, last)| last))
            .bind(packed(&self.lines).map_err(|error| corrupt(TABLE, error.to_string()))?)
            .bind(now.as_utc())
            .bind(self.first.txid)
            .bind(self.first.number)
            .bind(self.last.txid)
            .bind(self.last.number)
            .bind(packed(&self.places).map_err(|error| corrupt(TABLE, error.to_string()))?)
            .execute()
            .await?;
        Ok(())
    }
}

/// What of a line tells where it belongs.
#[derive(Deserialize)]
struct Line {
    position: i64,
    seq: i64,
    sandbox_id: Option<Uuid>,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(sqlx::FromRow)]
struct PieceRow {
    first: i64,
    lines: Vec<u8>,
}

const OF_SPEC: &str = "
    SELECT first_position AS first, lines
    FROM event_archives
    WHERE spec_id = $1 AND last_position > $2
    ORDER BY last_position
    LIMIT 1";

const OF_SANDBOX: &str = "
    SELECT first_seq AS first, lines
    FROM event_archives
    WHERE sandbox_id = $1 AND last_seq > $2
    ORDER BY last_seq
    LIMIT 1";

/// What of a log is packed.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// What stands behind the place, without a hole, as many as were asked for.
    pub(super) facts: Vec<Fact>,
    /// The number of the next event that is packed; absent: none is.
    pub(super) next: Option<i64>,
}

/// Reads on in the pieces of a spec or a sandbox.
pub(super) async fn read(
    session: &mut Session,
    log: Log,
    after: Place,
    limit: usize,
) -> Result<Unpacked, StoreError> {
    let (id, pieces) = match log {
        Log::Spec(id) => (id.0, OF_SPEC),
        Log::Sandbox(id) => (id.0, OF_SANDBOX),
        Log::Seen(_) => return Ok(Unpacked { facts: Vec::new(), next: None }),
    };
    let mut facts: Vec<Fact> = Vec::new();
    let mut reached = after.number;
    while facts.len() < limit {
        let piece: Option<PieceRow> =
            session.query(pieces).bind(id).bind(reached).fetch_optional().await?;
        let Some(piece) = piece else { break };
        if piece.first > reached + 1 {
            return Ok(Unpacked { facts, next: Some(piece.first) });
        }
        let lines = unpacked(&piece.lines).map_err(|error| corrupt(TABLE, error.to_string()))?;
        for line in lines.lines() {
            let key: Line =
                serde_json::from_str(line).map_err(|error| corrupt(TABLE, error.to_string()))?;
            let number = match log {
                Log::Sandbox(_) if key.sandbox_id != Some(id) => continue,
                Log::Sandbox(_) => key.seq,
                _ => key.position,
            };
            if number <= reached || facts.len() == limit {
                continue;
            }
            if number != reached + 1 {
                return Err(corrupt(TABLE, format!("{number} stands behind {reached} in a piece")));
            }
            facts.push(fact(Place::behind(number), key.kind, line)?);
            reached = number;
        }
    }
    Ok(Unpacked { facts, next: None })
}

fn fact(place: Place, kind: String, line: &str) -> Result<Fact, StoreError> {
    let json = RawValue::from_string(line.to_owned());
    let json = json.map_err(|error| corrupt(TABLE, error.to_string()))?;
    Ok(Fact { place, kind, json })
}

pub(in crate::store) fn packed(lines: &str) -> std::io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(lines.as_bytes())?;
    gzip.finish()
}

fn unpacked(bytes: &[u8]) -> std::io::Result<String> {
    let mut lines = String::new();
    GzDecoder::new(bytes).read_to_string(&mut lines)?;
    Ok(lines)
}

fn corrupt(table: &'static str, what: String) -> StoreError {
    StoreError::Corrupt { table, what }
}
