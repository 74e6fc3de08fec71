//! How the database goes about every statement that the contract makes: none of them reads the whole
//! of a table that grows without end.
//!
//! Every statement is noted on its way to the database, under `cfg(test)`. When all else has been
//! tried the tables that grow are filled, and each statement that was noted is explained with
//! arguments that it had. So a new statement is looked at as soon as the contract makes it; one that
//! must read a whole table stands in [`WHOLE`], with the reason. The statements by which people,
//! workers and duties find their way are asked for by name ([`HOT`]), so that none of them goes
//! unlooked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value, json};
use specwright_shared::phase::Phase;
use specwright_shared::wire::event::ArtifactCreated;
use sqlx::types::Json;
use uuid::Uuid;

use super::now;
use crate::store::engine::{Arguments, Query};
use crate::store::user::OWNER_ID;
use crate::store::{Session, Store, Write, audit, document, token, transcript};

/// Rows that each table that grows is given: enough that reading them all is the dearer way.
const ROWS: i64 = 8_000;
/// With so many of the arguments that a text had it is explained: the first, and some that differ.
const SAMPLES: usize = 4;

/// What a table that grows is filled with: a row that is there, with these columns changed. `{i}` is
/// the row's number, `{id}` an id made of it.
const GROWING: [(&str, &[(&str, &str)]); 19] = [
    ("specs", &[("id", "{id}"), ("status", "'completed'")]),
    ("requirements", &[("id", "{id}"), ("spec_id", "{id}")]),
    ("acceptance_criteria", &[("id", "{id}"), ("spec_id", "{id}"), ("requirement_id", "{id}")]),
    ("spec_tasks", &[("id", "{id}"), ("spec_id", "{id}")]),
    ("tickets", &[("id", "{id}"), ("spec_id", "{id}")]),
    (
        "tasks",
        &[("id", "{id}"), ("spec_id", "{id}"), ("ticket_id", "{id}"), ("spec_task_id", "{id}")],
    ),
    ("ticket_dependencies", &[("ticket_id", "{id}"), ("depends_on", "{id}")]),
    ("task_dependencies", &[("task_id", "{id}"), ("depends_on", "{id}")]),
    ("spec_phases", &[("spec_id", "{id}")]),
    ("documents", &[("spec_id", "{id}")]),
    (
        "sandboxes",
        &[("id", "{id}"), ("spec_id", "{id}"), ("state", "'ended'"), ("token_hash", "{bytes}")],
    ),
    ("events", &[("spec_id", "{id}"), ("sandbox_id", "{id}"), ("seq", "1"), ("ordinal", "{own}")]),
    ("event_archives", &[("spec_id", "{id}"), ("sandbox_id", "{id}")]),
    ("transcripts", &[("sandbox_id", "{id}")]),
    ("messages", &[("id", "{id}"), ("sandbox_id", "{id}"), ("status", "'settled'")]),
    ("verdicts", &[("sandbox_id", "{id}")]),
    (
        "interventions",
        &[("id", "{id}"), ("sandbox_id", "{id}"), ("message_id", "NULL"), ("outcome", "'helped'")],
    ),
    ("audit", &[("id", "{id}")]),
    ("tokens", &[("id", "{id}"), ("hash", "{bytes}")]),
];

/// Tables that stay small, or are read whole by their nature.
const SMALL: [&str; 11] = [
    "_sqlx_migrations",
    "credentials",
    "duties",
    "event_order",
    "presence",
    "project_guardian",
    "project_liveness",
    "project_members",
    "projects",
    "sqlite_sequence",
    "users",
];

/// Indexes of what is under way: read whole they are as long as that.
const UNDER_WAY: [&str; 4] = [
    "sandboxes_one_active_per_spec",
    "messages_overdue",
    "messages_queued",
    "interventions_to_judge",
];

/// Statements, by their beginning, that may go through a table from its begin, and why.
const WHOLE: [(&str, &str); 7] = [
    ("SELECT spec_id, received_at FROM events ORDER BY", "stops at the first row"),
    ("DELETE FROM events WHERE position <= $1", "a test's own"),
    ("UPDATE events SET txid = ", "once in a life of the database, and a test's own"),
    ("UPDATE event_order", "a test's own"),
    ("UPDATE events SET received_at", "a test's own"),
    ("SELECT 1 FROM specs LIMIT 1", "stops at the first row"),
    ("SELECT COUNT(*) FROM tokens WHERE user_id", "filled, all are one user's; else each has few"),
];

/// What is asked all the time, by a piece of its text: it must be among what was explained.
const HOT: [(&str, &str); 22] = [
    ("who brings a token", "WHERE tokens.hash = $1"),
    ("which sandbox brings a token", "WHERE token_hash = $1"),
    ("the role of a member", "FROM project_members WHERE project_id = $1 AND user_id = $2"),
    ("the project of a spec", "SELECT project_id FROM specs WHERE id = $1"),
    ("the project of a ticket", "SELECT project_id FROM tickets WHERE id = $1"),
    ("the lock of ingest", "JOIN specs ON specs.id = sandboxes.spec_id WHERE sandboxes.id"),
    ("the rows of ingest", "INSERT INTO events"),
    ("a heartbeat", "UPDATE sandboxes SET heartbeat = $2"),
    ("events of a spec", "FROM events WHERE spec_id = $1 AND position > $2"),
    ("events of a sandbox", "FROM events WHERE sandbox_id = $1 AND seq > $2"),
    ("events of all", "FROM events JOIN specs ON specs.id = events.spec_id WHERE"),
    ("messages of a worker", "FROM messages WHERE sandbox_id = $1 AND position > $2"),
    ("the list of specs", "FROM specs WHERE project_id = $3 AND id < $1"),
    ("the list of sandboxes", "WHERE sandboxes.id < $1"),
    ("a column of the board", "FROM tickets WHERE project_id = $5"),
    ("the audit log", "FROM audit WHERE project_id = $3 AND id < $1"),
    ("the duty of liveness", "WHERE sandboxes.state <> 'ended'"),
    ("the duty of starts", "state = 'requested' AND place IS NULL"),
    ("the duty of messages", "WHERE status IN ('queued', 'delivered') AND expires_at <= $1"),
    ("the duty of outcomes", "interventions.judged_by <= $1"),
    ("the duty of old events", "SELECT spec_id, received_at FROM events ORDER BY"),
    ("deletes of old events", "DELETE FROM events WHERE spec_id = $1 AND position <= $2"),
];

type Noted = BTreeMap<(bool, &'static str), Vec<Arguments>>;

static NOTED: Mutex<Noted> = Mutex::new(Noted::new());

/// Notes a statement that is about to be made.
pub(in crate::store) fn note(sql: &'static str, arguments: &Arguments) {
    let mut noted = NOTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let is_sqlite = matches!(arguments, Arguments::Sqlite(_));
    let samples = noted.entry((is_sqlite, sql)).or_default();
    if samples.len() < SAMPLES {
        samples.push(arguments.clone());
    }
}

pub(super) async fn no_statement_reads_all_of_a_table_that_grows(store: &Store) {
    let mut write = store.write().await.unwrap();
    let is_sqlite = matches!(*write, Session::Sqlite(_));
    let noted = NOTED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let noted: Vec<_> = noted.into_iter().filter(|((engine, _), _)| *engine == is_sqlite).collect();
    let texts: Vec<String> = noted.iter().map(|((_, sql), _)| one_line(sql)).collect();
    let silent: Vec<_> =
        HOT.iter().filter(|(_, hot)| !texts.iter().any(|text| text.contains(hot))).collect();
    assert!(silent.is_empty(), "the contract does not make these statements: {silent:#?}");

    every_table_is_known_to_grow_or_not(&mut write).await;
    if !is_sqlite {
        write.query("SET LOCAL statement_timeout = 0").execute().await.unwrap();
    }
    what_the_contract_took_back(&mut write).await;
    for (table, changed) in GROWING {
        fill(&mut write, table, changed).await;
    }
    if !is_sqlite {
        // As its autovacuum does. SQLite is never asked to, and plans without figures.
        write.query("ANALYZE").execute().await.unwrap();
    }

    let mut wrong = Vec::new();
    for ((_, sql), samples) in noted {
        let one_line = one_line(sql);
        let verb = one_line.split(' ').next().unwrap_or_default();
        let explains = matches!(verb, "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "WITH");
        if !explains || WHOLE.iter().any(|(beginning, _)| one_line.starts_with(beginning)) {
            continue;
        }
        for arguments in samples {
            let scans = explain(&mut write, sql, arguments).await;
            if !scans.is_empty() {
                wrong.push(format!("{one_line}\n    {}", scans.join("\n    ")));
                break;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} statements read all of a table that grows; give them an index, or say in WHOLE why \
         they may:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn every_table_is_known_to_grow_or_not(session: &mut Session) {
    let tables = match session {
        Session::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table'",
        Session::Postgres(_) => {
            "SELECT tablename::TEXT FROM pg_tables WHERE schemaname = current_schema()"
        }
    };
    let tables: Vec<(String,)> = session.query(tables).fetch_all().await.unwrap();
    let known: BTreeSet<&str> = GROWING.iter().map(|(table, _)| *table).chain(SMALL).collect();
    let unknown: Vec<_> = tables.iter().filter(|(table,)| !known.contains(&**table)).collect();
    assert!(unknown.is_empty(), "put into GROWING or SMALL: {unknown:?}");
}

/// A row of each table in which the contract leaves none.
async fn what_the_contract_took_back(write: &mut Write) {
    let spec = super::new_spec_in(write).await;
    let one = "SELECT id FROM sandboxes LIMIT 1";
    let (sandbox,): (Uuid,) = write.query(one).fetch_one().await.unwrap();
    let document = ArtifactCreated {
        name: "design.md".into(),
        media_type: "text/markdown".into(),
        path: "/x".into(),
        sha256: "0".into(),
        bytes: 1,
        content: "x".into(),
    };
    document::save(write, spec.id, Phase::Design, &document, now()).await.unwrap();
    transcript::save(write, sandbox.into(), Uuid::nil(), vec![1], now()).await.unwrap();
    let of_token = json!({
        "id": Uuid::nil(), "user": "owner", "kind": "user", "name": "x", "created_at": now(),
    });
    let view = serde_json::from_value(of_token).unwrap();
    token::insert(write, &token::NewRow { view, user: OWNER_ID, hash: [0; 32] }).await.unwrap();
    let of_audit = json!({
        "id": Uuid::nil(), "at": now(), "user": "owner", "route": "x", "request_id": "x",
    });
    let entry = serde_json::from_value(of_audit).unwrap();
    audit::insert(write, &entry).await.unwrap();
}

/// Fills a table with copies of a row that the contract left in it.
async fn fill(session: &mut Session, table: &str, changed: &[(&str, &str)]) {
    let (columns, id, bytes) = match session {
        Session::Sqlite(_) => (
            format!("SELECT name FROM pragma_table_info('{table}')"),
            "unhex(printf('%032x', numbers.i))",
            "unhex(printf('%064x', numbers.i))",
        ),
        Session::Postgres(_) => (
            format!(
                "SELECT column_name::TEXT FROM information_schema.columns
                 WHERE table_schema = current_schema() AND table_name = '{table}'"
            ),
            "lpad(to_hex(numbers.i), 32, '0')::UUID",
            "decode(lpad(to_hex(numbers.i), 64, '0'), 'hex')",
        ),
    };
    let columns: Vec<(String,)> = session.query(columns.leak()).fetch_all().await.unwrap();
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (column,) in columns {
        let change = changed.iter().find(|(name, _)| *name == column).map(|(_, value)| *value);
        if change == Some("{own}") {
            continue;
        }
        let value = change.map_or_else(
            || format!("pattern.{column}"),
            |value| value.replace("{id}", id).replace("{bytes}", bytes),
        );
        names.push(column);
        values.push(value);
    }
    let sql = format!(
        "WITH RECURSIVE numbers (i) AS (
             SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {ROWS}
         )
         INSERT INTO {table} ({})
         SELECT {}
         FROM numbers, (SELECT * FROM {table} LIMIT 1) AS pattern",
        names.join(", "),
        values.join(", ")
    );
    let filled = session.query(sql.leak()).execute().await;
    let filled = filled.unwrap_or_else(|error| panic!("{table}: {error:?}"));
    assert_eq!(filled, ROWS.unsigned_abs(), "the contract left no row in {table} to copy");
}

/// What a statement would read the whole of.
async fn explain(session: &mut Session, sql: &str, arguments: Arguments) -> Vec<String> {
    match session {
        Session::Sqlite(_) => {
            let sql: &'static str = format!("EXPLAIN QUERY PLAN {sql}").leak();
            let plan: Vec<(i64, i64, i64, String)> =
                Query::with(sql, session, arguments).fetch_all().await.unwrap();
            plan.into_iter().map(|step| step.3).filter(|step| scans_on_sqlite(step)).collect()
        }
        Session::Postgres(_) => {
            let sql: &'static str = format!("EXPLAIN (FORMAT JSON) {sql}").leak();
            let (plan,): (Json<Value>,) =
                Query::with(sql, session, arguments).fetch_one().await.unwrap();
            let mut found = Vec::new();
            scans_on_postgres(&plan.0[0]["Plan"], false, &mut found);
            found
        }
    }
}

/// `SCAN tickets`, `SCAN tickets USING INDEX …`; `SEARCH …` is by a key.
fn scans_on_sqlite(step: &str) -> bool {
    let mut words = step.split(' ');
    if words.next() != Some("SCAN") {
        return false;
    }
    let name = words.next().unwrap_or_default();
    let is_table = GROWING.iter().any(|(table, _)| *table == name);
    is_table && !UNDER_WAY.iter().any(|index| step.contains(index))
}

/// `is_limited`: the node above takes the first rows and no more.
fn scans_on_postgres(node: &Value, is_limited: bool, found: &mut Vec<String>) {
    let word = |key: &str| node[key].as_str().unwrap_or_default();
    let (kind, table, index) = (word("Node Type"), word("Relation Name"), word("Index Name"));
    let whole = match kind {
        "Seq Scan" => true,
        "Index Scan" | "Index Only Scan" | "Bitmap Index Scan" => {
            node["Index Cond"].is_null() && !UNDER_WAY.contains(&index)
        }
        _ => false,
    };
    let stops = is_limited && node["Filter"].is_null();
    let is_growing = table.is_empty() || GROWING.iter().any(|(growing, _)| *growing == table);
    if whole && is_growing && !stops {
        found.push(format!("{kind} of {table} {index}"));
    }
    for inner in node["Plans"].as_array().into_iter().flatten() {
        scans_on_postgres(inner, kind == "Limit", found);
    }
}
