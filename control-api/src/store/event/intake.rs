//! What taking in from many sandboxes at once needs of their rows: where each stands, and raising all
//! of it together. A few statements, however many they are.
//!
//! What holds: whoever is read here is locked until the transaction ends, spec and sandbox, and read as
//! it stands under that lock. Nobody is waited for: a run that somebody else has locked is left out.
//! So two that take in never wait for each other, in whatever order they come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::phase::SandboxState;
use specwright_shared::time::Timestamp;
use specwright_shared::trace::{TraceContext, TraceId};
use uuid::Uuid;

use super::{BEFORE, INSERT_ALL, Recorded, bind_rows, insert_in_parts};
use crate::store::engine::Query;
use crate::store::{Session, StoreError, Write, count, stored, word};

const TABLE: &str = "sandboxes";

/// Where a sandbox stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) sandbox: SandboxId,
    pub(crate) spec: SpecId,
    pub(crate) ended: bool,
    pub(crate) generation: u64,
    pub(crate) acked: u64,
    /// How many events its spec has.
    pub(crate) events: u64,
    /// Of its run.
    pub(crate) trace: Option<TraceId>,
    /// SHA-256 of the token that opens it.
    pub(crate) token: [u8; 32],
}

#[derive(sqlx::FromRow)]
struct Row {
    sandbox_id: Uuid,
    spec_id: Uuid,
    state: String,
    generation: i64,
    acked_seq: i64,
    events: i64,
    traceparent: Option<String>,
    token_hash: Vec<u8>,
}

impl TryFrom<Row> for Standing {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let context = row.traceparent.and_then(|context| context.parse().ok());
        Ok(Self {
            sandbox: SandboxId(row.sandbox_id),
            spec: SpecId(row.spec_id),
            ended: word::<SandboxState>(TABLE, &row.state)? == SandboxState::Ended,
            generation: count(TABLE, row.generation)?,
            acked: count(TABLE, row.acked_seq)?,
            events: count(TABLE, row.events)?,
            trace: context.map(|context: TraceContext| context.trace),
            token: row.token_hash.try_into().map_err(|_| StoreError::Corrupt {
                table: TABLE,
                what: "a token's hash has not 32 bytes".to_owned(),
            })?,
        })
    }
}

/// One connection writes: whoever is in this transaction holds every lock.
const LOCK_SQLITE: &str = "
    SELECT sandboxes.id AS sandbox_id, sandboxes.spec_id, sandboxes.state, sandboxes.generation,
           sandboxes.acked_seq, specs.events, sandboxes.traceparent, sandboxes.token_hash
    FROM sandboxes
    JOIN specs ON specs.id = sandboxes.spec_id
    WHERE sandboxes.id IN (SELECT unhex(value) FROM json_each($1))";

const LOCK_POSTGRES: &str = "
    SELECT sandboxes.id AS sandbox_id, sandboxes.spec_id, sandboxes.state, sandboxes.generation,
           sandboxes.acked_seq, specs.events, sandboxes.traceparent, sandboxes.token_hash
    FROM sandboxes
    JOIN specs ON specs.id = sandboxes.spec_id
    WHERE sandboxes.id = ANY($1)
    -- The lock that an update of no key takes, so that nobody who refers to them is kept out.
    FOR NO KEY UPDATE OF specs, sandboxes SKIP LOCKED";

/// Locks and reads where these sandboxes stand. Absent: who is not there, or locked by another.
pub(crate) async fn lock(
    write: &mut Write,
    sandboxes: impl Iterator<Item = SandboxId>,
) -> Result<Vec<Standing>, StoreError> {
    let rows: Vec<Row> = match **write {
        Session::Sqlite(_) => {
            let ids: Vec<_> = sandboxes.map(|id| id.0.simple().to_string()).collect();
            write.query(LOCK_SQLITE).bind(serde_json::json!(ids).to_string()).fetch_all().await?
        }
        Session::Postgres(_) => {
            write.query(LOCK_POSTGRES).bind_all(sandboxes.map(|id| id.0)).fetch_all().await?
        }
    };
    rows.into_iter().map(Standing::try_from).collect()
}

/// What is new of specs and sandboxes.
#[derive(Debug, Default)]
pub(crate) struct Raised {
    /// How many events a spec has now, and what it has cost since, in millionths of a US dollar.
    pub(crate) specs: BTreeMap<SpecId, (u64, i64)>,
    /// Up to where a sandbox's events are taken in now, and what it has cost since.
    pub(crate) sandboxes: BTreeMap<SandboxId, (u64, i64)>,
}

/// Raises what counts up in a table, and says when, from rows `new (id, counted, cost)`. A cost that nobody
/// ever had stays at the most that can be kept: the engines would refuse the sum, or make another kind of
/// number of it, and whoever goes together with it would have to go alone.
fn raise(table: &str, counter: &str, moment: &str, rows: &str) -> String {
    format!(
        "UPDATE {table}
        SET {counter} = new.counted, {moment},
            cost_micro_usd = CASE WHEN {table}.cost_micro_usd > {most} - new.cost THEN {most}
                                  ELSE {table}.cost_micro_usd + new.cost END
        FROM {rows}
        WHERE {table}.id = new.id",
        most = i64::MAX
    )
}

static RAISE_SPECS: LazyLock<String> = LazyLock::new(|| {
    let rows = "UNNEST($15, $16, $17) AS new (id, counted, cost)";
    raise("specs", "events", "updated_at = $1", rows)
});

static RAISE_SANDBOXES: LazyLock<String> = LazyLock::new(|| {
    let rows = "UNNEST($18, $19, $20) AS new (id, counted, cost)";
    raise("sandboxes", "acked_seq", "lease_expires_at = $14", rows)
});

/// Everything in one statement: each costs a way to the server and back, and who waits for a commit
/// waits for them all.
static ENTER_POSTGRES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH {BEFORE},
        written AS ({INSERT_ALL} ORDER BY new.place),
        counted AS ({specs})
        {sandboxes}",
        specs = *RAISE_SPECS,
        sandboxes = *RAISE_SANDBOXES,
    )
});

/// The same of those alone who still stand where they are believed to stand: locked, looked at, written
/// and raised by a single statement. Who has been changed since the statement began is looked at again
/// once he is locked, so what was believed is compared with what is true then.
static ENTER_IF_POSTGRES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH locked AS MATERIALIZED (
            SELECT sandboxes.id, sandboxes.spec_id
            FROM UNNEST($21, $22, $23, $24, $25, $26)
                     AS believed (id, generation, acked, events, ended, token)
            JOIN sandboxes ON sandboxes.id = believed.id
            JOIN specs ON specs.id = sandboxes.spec_id
            WHERE sandboxes.generation = believed.generation
              AND sandboxes.acked_seq = believed.acked
              AND (sandboxes.state = 'ended') = believed.ended
              AND specs.events = believed.events
              AND sandboxes.token_hash = believed.token
            FOR NO KEY UPDATE OF specs, sandboxes SKIP LOCKED
        ),
        {BEFORE},
        written AS ({INSERT_ALL} JOIN locked ON locked.id = new.sandbox_id ORDER BY new.place),
        counted AS ({specs} AND specs.id IN (SELECT spec_id FROM locked))
        {sandboxes} AND sandboxes.id IN (SELECT id FROM locked)
        RETURNING sandboxes.id",
        specs = *RAISE_SPECS,
        sandboxes = *RAISE_SANDBOXES,
    )
});

const ROWS_SQLITE: &str = "
    (SELECT unhex(value ->> 0) AS id, value ->> 1 AS counted, value ->> 2 AS cost
     FROM json_each($2)) AS new";

static RAISE_SPECS_SQLITE: LazyLock<String> =
    LazyLock::new(|| raise("specs", "events", "updated_at = $1", ROWS_SQLITE));

static RAISE_SANDBOXES_SQLITE: LazyLock<String> =
    LazyLock::new(|| raise("sandboxes", "acked_seq", "lease_expires_at = $1", ROWS_SQLITE));

/// Stores events behind the newest ones of their specs, in order and without a hole, and what is raised
/// by them; tells who waits for them. The caller holds the locks of all.
pub(crate) async fn enter(
    write: &mut Write,
    events: &[(SpecId, Recorded)],
    raised: &Raised,
    now: Timestamp,
    lease_expires_at: Timestamp,
) -> Result<(), StoreError> {
    super::tell(write, events);
    let (specs, sandboxes) = (&raised.specs, &raised.sandboxes);
    if matches!(**write, Session::Postgres(_)) {
        let query = bind_rows(write.query(&ENTER_POSTGRES), events, now);
        bind_raised(query, raised, lease_expires_at).execute().await?;
        return Ok(());
    }
    insert_in_parts(write, events, now).await?;
    let specs = specs.iter().map(|(id, new)| (id.0, *new));
    let sandboxes = sandboxes.iter().map(|(id, new)| (id.0, *new));
    let update = write.query(&RAISE_SPECS_SQLITE).bind(now.as_utc());
    update.bind(as_json(specs)).execute().await?;
    let update = write.query(&RAISE_SANDBOXES_SQLITE).bind(lease_expires_at.as_utc());
    update.bind(as_json(sandboxes)).execute().await?;
    Ok(())
}

/// The same in a single statement, on PostgreSQL alone, of those who still stand as believed and whom
/// nobody has locked: who that was. Of the others nothing is stored. Each of them has a spec to itself.
pub(crate) async fn enter_if(
    write: &mut Write,
    believed: &[Standing],
    events: &[(SpecId, Recorded)],
    raised: &Raised,
    now: Timestamp,
    lease_expires_at: Timestamp,
) -> Result<BTreeSet<SandboxId>, StoreError> {
    super::tell(write, events);
    let query = bind_rows(write.query(&ENTER_IF_POSTGRES), events, now);
    let entered: Vec<(Uuid,)> = bind_raised(query, raised, lease_expires_at)
        .bind_all(believed.iter().map(|one| one.sandbox.0))
        .bind_all(believed.iter().map(|one| stored(one.generation)))
        .bind_all(believed.iter().map(|one| stored(one.acked)))
        .bind_all(believed.iter().map(|one| stored(one.events)))
        .bind_all(believed.iter().map(|one| one.ended))
        .bind_all(believed.iter().map(|one| one.token.to_vec()))
        .fetch_all()
        .await?;
    Ok(entered.into_iter().map(|(id,)| SandboxId(id)).collect())
}

/// The arguments of [`RAISE_SPECS`] and [`RAISE_SANDBOXES`].
fn bind_raised<'s>(query: Query<'s>, raised: &Raised, lease_expires_at: Timestamp) -> Query<'s> {
    let (specs, sandboxes) = (&raised.specs, &raised.sandboxes);
    query
        .bind(lease_expires_at.as_utc())
        .bind_all(specs.keys().map(|id| id.0))
        .bind_all(specs.values().map(|(events, _)| stored(*events)))
        .bind_all(specs.values().map(|(_, cost)| *cost))
        .bind_all(sandboxes.keys().map(|id| id.0))
        .bind_all(sandboxes.values().map(|(acked, _)| stored(*acked)))
        .bind_all(sandboxes.values().map(|(_, cost)| *cost))
}

/// SQLite has no arrays; it reads JSON.
fn as_json(rows: impl Iterator<Item = (Uuid, (u64, i64))>) -> String {
    let rows = rows.map(|(id, (number, cost))| {
        serde_json::json!([id.simple().to_string(), stored(number), cost])
    });
    serde_json::Value::Array(rows.collect()).to_string()
}
