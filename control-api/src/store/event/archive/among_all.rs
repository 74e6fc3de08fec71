//! Packed events in the order of all events, together with those that are rows.
//!
//! What holds: pieces of several specs lie across one another in that order, but each is in order
//! itself. So what stands next is picked by the places alone, of as many pieces as begin before the
//! last one picked; and only the pieces from which something was picked are unpacked, one at a time.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Line, TABLE, corrupt, fact, unpacked};
use crate::store::event::log::Fact;
use crate::store::event::order::Place;
use crate::store::project::Sight;
use crate::store::{Session, StoreError};

/// How many pieces one look takes: the places of so many are some 100 KB.
const PIECES: usize = 128;

/// A stretch of the order of all.
#[derive(Debug, Clone, Copy)]
pub(in crate::store::event) struct Stretch {
    pub(in crate::store::event) after: Place,
    /// The last place that may be read.
    pub(in crate::store::event) until: Place,
    pub(in crate::store::event) limit: usize,
}

/// The begin of a piece, without its events.
#[derive(sqlx::FromRow)]
struct Head {
    spec_id: Uuid,
    last_position: i64,
    first_txid: i64,
    first_ordinal: i64,
    last_txid: i64,
    places: Vec<u8>,
}

/// Those that end behind a place and begin behind another one, in the order of their beginnings.
const HEADS: &str = "
    SELECT event_archives.spec_id, event_archives.last_position, event_archives.first_txid,
           event_archives.first_ordinal, event_archives.last_txid, event_archives.places
    FROM event_archives
    JOIN specs ON specs.id = event_archives.spec_id
    WHERE (event_archives.last_txid, event_archives.last_ordinal) > ($1, $2)
      AND (event_archives.first_txid, event_archives.first_ordinal) > ($3, $4)
      AND (event_archives.first_txid, event_archives.first_ordinal) <= ($5, $6)
      AND ($7 IS NULL OR specs.project_id IN (
              SELECT project_id FROM project_members WHERE user_id = $7
          ))
      AND ($8 IS NULL OR specs.project_id = $8)
    ORDER BY event_archives.first_txid, event_archives.first_ordinal
    LIMIT $9";

impl Head {
    const fn first(&self) -> Place {
        Place { txid: self.first_txid, number: self.first_ordinal }
    }

    /// The places of its events, line by line. Where the piece is of another life of the database,
    /// which counted transactions otherwise, its ordinals alone count.
    fn places(&self) -> Result<Vec<Place>, StoreError> {
        let text = unpacked(&self.places).map_err(|error| corrupt(TABLE, error.to_string()))?;
        let place = |line: &str| {
            let (txid, number) = line.split_once(' ')?;
            let txid = if self.last_txid == 0 { 0 } else { txid.parse().ok()? };
            Some(Place { txid, number: number.parse().ok()? })
        };
        let places: Option<Vec<Place>> = text.lines().map(place).collect();
        places.ok_or_else(|| corrupt(TABLE, "a place that is none".to_owned()))
    }
}

/// What was picked of a piece: its lines, and their places.
type Picked = BTreeMap<usize, Place>;

/// Puts packed events of a stretch among its rows, and keeps as many as were asked for.
pub(in crate::store::event) async fn with(
    session: &mut Session,
    sight: Sight,
    stretch: Stretch,
    rows: Vec<Fact>,
) -> Result<Vec<Fact>, StoreError> {
    // Behind as many rows as were asked for nothing is of use.
    let until = match rows.last() {
        Some(last) if rows.len() >= stretch.limit => last.place,
        _ => stretch.until,
    };
    let mut facts = rows;
    for ((spec, last_position), lines) in pick(session, sight, Stretch { until, ..stretch }).await?
    {
        facts.extend(lines_of(session, spec, last_position, &lines).await?);
    }
    facts.sort_unstable_by_key(|fact| fact.place);
    facts.truncate(stretch.limit);
    Ok(facts)
}

/// Picks what stands next, by places alone.
async fn pick(
    session: &mut Session,
    sight: Sight,
    stretch: Stretch,
) -> Result<BTreeMap<(Uuid, i64), Picked>, StoreError> {
    let Stretch { after, until, limit } = stretch;
    let mut next: BTreeMap<Place, (Uuid, i64, usize)> = BTreeMap::new();
    // Ordinals begin at 1.
    let mut begun = Place::default();
    'looks: loop {
        let heads: Vec<Head> = session
            .query(HEADS)
            .bind(after.txid)
            .bind(after.number)
            .bind(begun.txid)
            .bind(begun.number)
            .bind(until.txid)
            .bind(until.number)
            .bind(sight.user.map(|id| id.0))
            .bind(sight.project.map(|id| id.0))
            .bind(PIECES as i64)
            .fetch_all()
            .await?;
        let are_all = heads.len() < PIECES;
        for head in heads {
            begun = head.first();
            let is_enough = |next: &BTreeMap<Place, _>, place: Place| {
                next.len() >= limit && next.last_key_value().is_none_or(|(last, _)| place > *last)
            };
            if is_enough(&next, begun) {
                break 'looks;
            }
            for (line, place) in head.places()?.into_iter().enumerate() {
                if place <= after {
                    continue;
                }
                if place > until || is_enough(&next, place) {
                    break;
                }
                next.insert(place, (head.spec_id, head.last_position, line));
                if next.len() > limit {
                    next.pop_last();
                }
            }
        }
        if are_all {
            break;
        }
    }
    let mut pieces: BTreeMap<(Uuid, i64), Picked> = BTreeMap::new();
    for (place, (spec, last_position, line)) in next {
        pieces.entry((spec, last_position)).or_default().insert(line, place);
    }
    Ok(pieces)
}

/// Some lines of one piece.
async fn lines_of(
    session: &mut Session,
    spec: Uuid,
    last_position: i64,
    picked: &Picked,
) -> Result<Vec<Fact>, StoreError> {
    let (lines,): (Vec<u8>,) = session
        .query("SELECT lines FROM event_archives WHERE spec_id = $1 AND last_position = $2")
        .bind(spec)
        .bind(last_position)
        .fetch_one()
        .await?;
    let lines = unpacked(&lines).map_err(|error| corrupt(TABLE, error.to_string()))?;
    let mut facts = Vec::with_capacity(picked.len());
    for (number, line) in lines.lines().enumerate() {
        let Some(place) = picked.get(&number) else { continue };
        let key: Line =
            serde_json::from_str(line).map_err(|error| corrupt(TABLE, error.to_string()))?;
        facts.push(fact(*place, key.kind, line)?);
    }
    Ok(facts)
}
