//! Events. A row is never changed, and in time packed away ([`archive`]); its position in its spec
//! counts up by one in commit order, and its number in its sandbox in the order of the worker's facts.

pub(crate) mod archive;
pub(crate) mod intake;
pub(crate) mod log;
pub(crate) mod order;
pub(crate) mod recent;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::phase::Phase;
use specwright_shared::time::Timestamp;
use specwright_shared::trace::TraceId;
use specwright_shared::wire::event::RawEvent;
use uuid::Uuid;

use super::engine::Query;
use super::{Session, StoreError, Write, stored};

const TABLE: &str = "events";

/// Who waits for whatever happens, in any spec.
pub(crate) const ANYWHERE: Uuid = Uuid::nil();

/// Who waits for the events of a sandbox: another name than the sandbox's own, under which its worker
/// waits for messages and is not to be woken by its own facts.
pub(crate) const fn reported_by(sandbox: SandboxId) -> Uuid {
    Uuid::from_u128(!sandbox.0.as_u128())
}

/// An event that is about to be stored.
#[derive(Debug)]
pub(crate) struct Recorded {
    position: i64,
    sandbox: Option<Uuid>,
    seq: Option<i64>,
    id: Uuid,
    kind: String,
    phase: Option<&'static str>,
    at: DateTime<Utc>,
    /// JSON.
    data: String,
    trace_id: Option<Uuid>,
}

impl Recorded {
    /// At its position in its spec; `sandbox` is absent for the control API's own.
    pub(crate) fn new(position: u64, sandbox: Option<SandboxId>, event: &RawEvent) -> Self {
        Self::written(position, sandbox, event, event.data.to_string())
    }

    /// The same, with its body as JSON.
    pub(crate) fn written(
        position: u64,
        sandbox: Option<SandboxId>,
        event: &RawEvent,
        data: String,
    ) -> Self {
        Self {
            position: stored(position),
            sandbox: sandbox.map(|id| id.0),
            seq: sandbox.map(|_| stored(event.seq)),
            id: event.id.0,
            kind: event.kind.clone(),
            phase: event.phase.map(Phase::as_str),
            at: event.at.as_utc(),
            data,
            trace_id: event.trace_id.map(TraceId::as_uuid),
        }
    }

    /// In this trace, if it names none itself.
    pub(crate) fn in_trace(mut self, trace: Option<TraceId>) -> Self {
        self.trace_id = self.trace_id.or(trace.map(TraceId::as_uuid));
        self
    }
}

/// Of so many rows, at most, is one statement on SQLite: the longest is no longer than what it keeps
/// prepared, and a batch of 50 takes six.
const ROWS: [usize; 3] = [16, 4, 1];

static INSERT_SQLITE: LazyLock<[String; 3]> = LazyLock::new(|| {
    ROWS.map(|rows| {
        let rows: Vec<String> = (0..rows)
            .map(|row| {
                let own: Vec<String> = (2..=11).map(|n| format!("${}", row * 10 + n)).collect();
                format!("($1, {})", own.join(", "))
            })
            .collect();
        format!(
            "INSERT INTO events (
                 received_at, spec_id, position, sandbox_id, seq, id, kind, phase, at, data,
                 trace_id
             )
             VALUES {}",
            rows.join(", ")
        )
    })
});

/// The numbers of the transactions that wrote before. A transaction may have got its number before it
/// waited for a spec's lock; were that number kept, the order of all events could turn a spec's own
/// order round.
const BEFORE: &str = "before AS MATERIALIZED (
        SELECT spec.id,
               (SELECT txid FROM events WHERE spec_id = spec.id AND position = spec.position)
        FROM UNNEST($12, $13) AS spec (id, position)
    )";

const INSERT_ALL: &str = "INSERT INTO events (
        received_at, spec_id, position, sandbox_id, seq, id, kind, phase, at, data, trace_id, txid
    )
    SELECT $1, new.spec_id, new.position, new.sandbox_id, new.seq, new.id, new.kind, new.phase,
           new.at, new.data::JSONB, new.trace_id,
           GREATEST(pg_current_xact_id()::TEXT::BIGINT, before.txid)
    FROM UNNEST($2, $3, $4, $5, $6, $7, $8, $9, $10, $11) WITH ORDINALITY
             AS new (spec_id, position, sandbox_id, seq, id, kind, phase, at, data, trace_id, place)
    JOIN before ON before.id = new.spec_id";

static INSERT_POSTGRES: LazyLock<String> =
    LazyLock::new(|| format!("WITH {BEFORE} {INSERT_ALL} ORDER BY new.place"));

/// Stores events behind the newest one of a spec, in order and without a hole, under the spec's lock,
/// and tells who waits for them.
pub(crate) async fn insert(
    write: &mut Write,
    spec: SpecId,
    events: Vec<Recorded>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let events: Vec<_> = events.into_iter().map(|event| (spec, event)).collect();
    if events.is_empty() {
        return Ok(());
    }
    tell(write, &events);
    if matches!(**write, Session::Sqlite(_)) {
        return insert_in_parts(write, &events, now).await;
    }
    bind_rows(write.query(&INSERT_POSTGRES), &events, now).execute().await?;
    Ok(())
}

/// Tells who waits for these.
fn tell(write: &mut Write, events: &[(SpecId, Recorded)]) {
    for (spec, event) in events {
        write.tell(spec.0);
        write.tell(ANYWHERE);
        if let Some(sandbox) = event.sandbox {
            write.tell(reported_by(SandboxId(sandbox)));
        }
    }
}

/// The arguments of [`BEFORE`] and [`INSERT_ALL`].
fn bind_rows<'s>(query: Query<'s>, events: &[(SpecId, Recorded)], now: Timestamp) -> Query<'s> {
    let mut befores: BTreeMap<SpecId, i64> = BTreeMap::new();
    for (spec, event) in events {
        befores.entry(*spec).or_insert(event.position - 1);
    }
    let each = || events.iter().map(|(_, event)| event);
    query
        .bind(now.as_utc())
        .bind_all(events.iter().map(|(spec, _)| spec.0))
        .bind_all(each().map(|event| event.position))
        .bind_all(each().map(|event| event.sandbox))
        .bind_all(each().map(|event| event.seq))
        .bind_all(each().map(|event| event.id))
        .bind_all(each().map(|event| event.kind.as_str()))
        .bind_all(each().map(|event| event.phase))
        .bind_all(each().map(|event| event.at))
        .bind_all(each().map(|event| event.data.as_str()))
        .bind_all(each().map(|event| event.trace_id))
        .bind_all(befores.keys().map(|spec| spec.0))
        .bind_all(befores.values().copied())
}

async fn insert_in_parts(
    write: &mut Write,
    mut events: &[(SpecId, Recorded)],
    now: Timestamp,
) -> Result<(), StoreError> {
    for (rows, sql) in ROWS.into_iter().zip(INSERT_SQLITE.iter()) {
        while let Some((part, rest)) = events.split_at_checked(rows) {
            let mut insert = write.query(sql).bind(now.as_utc());
            for (spec, event) in part {
                insert = insert
                    .bind(spec.0)
                    .bind(event.position)
                    .bind(event.sandbox)
                    .bind(event.seq)
                    .bind(event.id)
                    .bind(event.kind.as_str())
                    .bind(event.phase)
                    .bind(event.at)
                    .bind(event.data.as_str())
                    .bind(event.trace_id);
            }
            insert.execute().await?;
            events = rest;
        }
    }
    Ok(())
}

/// Takes each spec's events away up to a position, as if they had become too old.
#[cfg(test)]
pub(crate) async fn take_away(write: &mut Write, position: i64) {
    let delete = write.query("DELETE FROM events WHERE position <= $1").bind(position);
    delete.execute().await.unwrap();
}

/// Makes all events as old as if they had been taken in at this moment.
#[cfg(test)]
pub(crate) async fn make_old(write: &mut Write, taken_in: Timestamp) {
    let update = write.query("UPDATE events SET received_at = $1").bind(taken_in.as_utc());
    update.execute().await.unwrap();
}
