//! Reading on in a log of events: that of a spec, that of a sandbox, or all that someone sees.
//!
//! What holds: what is read behind a place is all that stands there, in order, without a hole; where
//! something is missing the answer is [`Read::Gone`], never a jump. The logs of specs and sandboxes
//! count by one, so a hole shows in the rows themselves, and then it is looked whether what is missing
//! was packed ([`archive`]); in the order of all, who stands before the newest packed event looks there.
//! Whoever reads what is new never does.

use chrono::{DateTime, Utc};
use serde::Serialize;
use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::time::Timestamp;
use specwright_shared::trace::TraceId;
use sqlx::types::{Json, JsonRawValue};
use uuid::Uuid;

use super::archive::{self, among_all};
use super::order::{Horizon, Place};
use super::{ANYWHERE, TABLE, reported_by};
use crate::store::project::Sight;
use crate::store::{Session, StoreError, stored};

/// Whose events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    /// Of one spec, by position.
    Spec(SpecId),
    /// What one sandbox reported, by its own numbers.
    Sandbox(SandboxId),
    /// Of all specs that someone sees.
    Seen(Sight),
}

impl Log {
    /// What commits wake who waits here.
    pub(crate) const fn about(&self) -> Uuid {
        match self {
            Self::Spec(id) => id.0,
            Self::Sandbox(id) => reported_by(*id),
            Self::Seen(_) => ANYWHERE,
        }
    }
}

/// An event as it is given out: `EventView` in JSON, not looked into again.
pub(crate) type Line = Box<JsonRawValue>;

/// An event on its way to a reader.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) place: Place,
    pub(crate) kind: String,
    pub(crate) json: Line,
}

/// What was found behind a place.
#[derive(Debug)]
pub(crate) enum Read {
    /// All that stands there, as many as were asked for.
    Facts {
        facts: Vec<Fact>,
        /// Up to where there is nothing more to find.
        reached: Place,
        /// Committed events wait for an older transaction to end: look again soon.
        held_back: bool,
    },
    /// Something that stood behind it is gone, or the place was never there.
    Gone {
        /// The place before the oldest event that is there.
        oldest: Place,
    },
}

/// A row of the table.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    spec_id: Uuid,
    pub(super) position: i64,
    pub(super) sandbox_id: Option<Uuid>,
    pub(super) seq: Option<i64>,
    id: Uuid,
    kind: String,
    phase: Option<String>,
    at: DateTime<Utc>,
    pub(super) received_at: DateTime<Utc>,
    data: Json<Box<JsonRawValue>>,
    trace_id: Option<Uuid>,
    txid: i64,
    ordinal: i64,
}

/// `EventView` without reading into the body.
#[derive(Serialize)]
struct View<'r> {
    position: i64,
    spec_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_id: Option<Uuid>,
    seq: i64,
    id: Uuid,
    #[serde(rename = "type")]
    kind: &'r str,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
    data: &'r JsonRawValue,
}

impl Row {
    /// Its place in the order of all.
    pub(super) const fn place(&self) -> Place {
        Place { txid: self.txid, number: self.ordinal }
    }

    pub(super) fn into_fact(self, place: Place) -> Result<Fact, StoreError> {
        let view = View {
            position: self.position,
            spec_id: self.spec_id,
            sandbox_id: self.sandbox_id,
            seq: self.seq.unwrap_or(0),
            id: self.id,
            kind: &self.kind,
            at: self.at.into(),
            phase: self.phase.as_deref(),
            trace_id: self.trace_id.and_then(TraceId::of),
            data: &self.data.0,
        };
        let json =
            serde_json::to_string(&view).and_then(JsonRawValue::from_string).map_err(|error| {
                StoreError::Corrupt { table: TABLE, what: format!("an event: {error}") }
            })?;
        Ok(Fact { place, kind: self.kind, json })
    }
}

/// Reads on behind a place.
pub(crate) async fn read(
    session: &mut Session,
    log: Log,
    after: Place,
    limit: u32,
) -> Result<Read, StoreError> {
    match log {
        Log::Spec(id) => {
            let behind = "SELECT * FROM events
                 WHERE spec_id = $1 AND position > $2
                 ORDER BY position
                 LIMIT $3";
            let bounds = "SELECT specs.events AS count,
                        (SELECT MIN(position) FROM events WHERE spec_id = $1) AS first
                 FROM specs
                 WHERE specs.id = $1";
            let found = Counted { log, id: id.0, behind, bounds };
            found.read(session, after, limit, |row| row.position).await
        }
        Log::Sandbox(id) => {
            let behind = "SELECT * FROM events
                 WHERE sandbox_id = $1 AND seq > $2
                 ORDER BY seq
                 LIMIT $3";
            let bounds = "SELECT sandboxes.acked_seq AS count,
                        (SELECT MIN(seq) FROM events WHERE sandbox_id = $1) AS first
                 FROM sandboxes
                 WHERE sandboxes.id = $1";
            let seq = |row: &Row| row.seq.unwrap_or(0);
            let found = Counted { log, id: id.0, behind, bounds };
            found.read(session, after, limit, seq).await
        }
        Log::Seen(sight) => seen(session, sight, after, limit).await,
    }
}

/// A log that counts by one.
struct Counted {
    log: Log,
    id: Uuid,
    /// Its rows behind a number.
    behind: &'static str,
    /// How many events it has, and the number of its first row.
    bounds: &'static str,
}

impl Counted {
    async fn read(
        self,
        session: &mut Session,
        after: Place,
        limit: u32,
        number: impl Fn(&Row) -> i64,
    ) -> Result<Read, StoreError> {
        let rows: Vec<Row> = session
            .query(self.behind)
            .bind(self.id)
            .bind(after.number)
            .bind(i64::from(limit))
            .fetch_all()
            .await?;
        let (next, is_end) = match rows.first() {
            Some(first) => (number(first), false),
            None => {
                let bounds: Option<(i64, Option<i64>)> =
                    session.query(self.bounds).bind(self.id).fetch_optional().await?;
                let (count, first) = bounds.unwrap_or((0, None));
                (first.unwrap_or(count + 1), after.number == count)
            }
        };
        let mut facts = Vec::new();
        if !is_end && next != after.number.saturating_add(1) {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let packed = archive::read(session, self.log, after, limit).await?;
            if packed.facts.is_empty() {
                let oldest = packed.next.unwrap_or(next) - 1;
                return Ok(Read::Gone { oldest: Place::behind(oldest) });
            }
            facts = packed.facts;
        }
        let mut reached = facts.last().map_or(after, |fact: &Fact| fact.place);
        for row in rows {
            let number = number(&row);
            if number != reached.number.saturating_add(1)
                || stored(facts.len() as u64) >= i64::from(limit)
            {
                break;
            }
            reached = Place::behind(number);
            facts.push(row.into_fact(reached)?);
        }
        Ok(Read::Facts { facts, reached, held_back: false })
    }
}

/// Here the ordinal is the key; the numbers of transactions are all 0.
const SEEN_SQLITE: &str = "
    SELECT events.*
    FROM events
    JOIN specs ON specs.id = events.spec_id
    WHERE events.ordinal > $2
      AND events.ordinal <= $4
      AND $1 <= $3
      AND ($5 IS NULL OR specs.project_id IN (
              SELECT project_id FROM project_members WHERE user_id = $5
          ))
      AND ($6 IS NULL OR specs.project_id = $6)
    ORDER BY events.ordinal
    LIMIT $7";

const SEEN_POSTGRES: &str = "
    SELECT events.*
    FROM events
    JOIN specs ON specs.id = events.spec_id
    WHERE (events.txid, events.ordinal) > ($1, $2)
      AND (events.txid, events.ordinal) <= ($3, $4)
      AND ($5 IS NULL OR specs.project_id IN (
              SELECT project_id FROM project_members WHERE user_id = $5
          ))
      AND ($6 IS NULL OR specs.project_id = $6)
    ORDER BY events.txid, events.ordinal
    LIMIT $7";

async fn seen(
    session: &mut Session,
    sight: Sight,
    after: Place,
    limit: u32,
) -> Result<Read, StoreError> {
    let horizon = Horizon::of(session).await?;
    if after < horizon.gone() {
        return Ok(Read::Gone { oldest: horizon.gone() });
    }
    let until = horizon.place();
    let between = match session {
        Session::Sqlite(_) => SEEN_SQLITE,
        Session::Postgres(_) => SEEN_POSTGRES,
    };
    let rows: Vec<Row> = session
        .query(between)
        .bind(after.txid)
        .bind(after.number)
        .bind(until.txid)
        .bind(until.number)
        .bind(sight.user.map(|id| id.0))
        .bind(sight.project.map(|id| id.0))
        .bind(i64::from(limit))
        .fetch_all()
        .await?;
    let mut facts: Vec<Fact> = rows
        .into_iter()
        .map(|row| {
            let place = row.place();
            row.into_fact(place)
        })
        .collect::<Result<_, _>>()?;
    if after < horizon.packed() {
        let stretch = among_all::Stretch { after, until, limit: limit as usize };
        facts = among_all::with(session, sight, stretch, facts).await?;
    }
    let whole = facts.len() < limit as usize;
    let last = facts.last().map_or(after, |fact| fact.place);
    // What someone does not see is passed over once, not with every look.
    let reached = if whole { after.max(until) } else { last };
    Ok(Read::Facts { facts, reached, held_back: horizon.held_back && whole })
}
