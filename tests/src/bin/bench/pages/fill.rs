//! A deployment as it is after a year: users and projects made over HTTP, the rest by statements that
//! both databases take.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::fleet::seats::Table;
use crate::fleet::server::TOKEN;

const PROJECTS: usize = 20;
/// Projects of the user who reads.
const OWN: usize = 8;

/// The spec whose log is replayed.
pub(super) const LOGGED: Uuid = Uuid::from_u128(900_000_000_000);

/// The rows of the first page of the board by the database's own driver: the tickets of each column
/// with their tasks.
pub(super) const BOARD: &str = "
    WITH mine AS (
        SELECT tickets.*,
               ROW_NUMBER() OVER (PARTITION BY phase ORDER BY spec_id DESC, position) AS place
        FROM tickets
        WHERE spec_id > (SELECT id FROM specs ORDER BY id DESC LIMIT 1 OFFSET 200)
          AND project_id IN (SELECT project_id FROM project_members WHERE user_id = $1)
    )
    SELECT mine.*, tasks.*
    FROM mine
    LEFT JOIN tasks ON tasks.ticket_id = mine.id
    WHERE mine.place <= 50
    ORDER BY mine.phase, mine.spec_id DESC, mine.position, tasks.position";
/// The rows of the first page of the specs.
pub(super) const SPECS: &str = "
    SELECT *
    FROM specs
    WHERE project_id IN (SELECT project_id FROM project_members WHERE user_id = $1)
    ORDER BY id DESC
    LIMIT 50";
/// The rows of the log.
pub(super) const LOG: &str = "SELECT * FROM events WHERE spec_id = $1 ORDER BY position";

const NUMBERS: &str = "WITH RECURSIVE numbers (i) AS (
    SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < {last}
)";

/// Each is made so many times. `{id: …}` is an id made of a number; specs, tickets, spec tasks and tasks
/// have theirs far apart.
const ROWS: [(u32, &str); 9] = [
    (
        10_000,
        "INSERT INTO specs (
             id, project_id, owner, title, description, status, current_phase, rehearsal,
             cost_micro_usd, events, created_at, updated_at
         )
         SELECT {id: i + 1000000},
                (SELECT id FROM projects WHERE name = 'bench-' || (i % 20)), 'owner',
                'A spec among many others', '{text}',
                CASE i % 10 WHEN 0 THEN 'failed' WHEN 1 THEN 'draft' ELSE 'completed' END, 'complete',
                FALSE, 1234567, 0, '{time}', '{time}'
         FROM numbers",
    ),
    (
        100_000,
        "INSERT INTO tickets (
             id, spec_id, project_id, owner, local_id, position, title, description, priority,
             estimate, phase, requirements, acceptance_criteria, rehearsal, created_at
         )
         SELECT {id: i + 2000000}, {id: i / 10 + 1000000},
                (SELECT id FROM projects WHERE name = 'bench-' || (i / 10 % 20)), 'owner',
                'TKT-' || (i % 10), i % 10, 'A ticket among many others', '{text}', 'HIGH', 'M',
                CASE i % 4 WHEN 0 THEN 'PHASE_INITIAL' WHEN 1 THEN 'PHASE_IMPLEMENTATION'
                           WHEN 2 THEN 'PHASE_INTEGRATION' ELSE 'PHASE_REFACTORING' END,
                '[\"REQ-001\", \"REQ-002\"]', '[\"{line}\", \"{line}\"]', FALSE, '{time}'
         FROM numbers",
    ),
    (
        200_000,
        "INSERT INTO spec_tasks (
             id, spec_id, project_id, owner, local_id, position, ticket_local_id, plan
         )
         SELECT {id: i + 3000000}, {id: i / 20 + 1000000},
                (SELECT id FROM projects WHERE name = 'bench-' || (i / 20 % 20)), 'owner',
                'TSK-' || (i % 20), i % 20, 'TKT-' || (i % 20 / 2), '{}'
         FROM numbers",
    ),
    (
        200_000,
        "INSERT INTO tasks (
             id, spec_id, project_id, owner, local_id, ticket_id, spec_task_id, position, title,
             description, kind, priority, estimated_hours, status, requirements, files_to_create,
             files_to_modify, acceptance_criteria
         )
         SELECT {id: i + 4000000}, {id: i / 20 + 1000000},
                (SELECT id FROM projects WHERE name = 'bench-' || (i / 20 % 20)), 'owner',
                'TSK-' || (i % 20), {id: i / 2 + 2000000}, {id: i + 3000000}, i % 20,
                'A task among many others', '{text}', 'feature', 'HIGH', 2.5, 'pending',
                '[\"REQ-001\"]', '[\"src/a.rs\"]', '[\"src/b.rs\"]', '[\"{line}\"]'
         FROM numbers",
    ),
    (
        99_999,
        "INSERT INTO ticket_dependencies (ticket_id, depends_on)
         SELECT {id: i + 2000001}, {id: i + 2000000} FROM numbers WHERE i % 10 < 9",
    ),
    (
        199_999,
        "INSERT INTO task_dependencies (task_id, depends_on)
         SELECT {id: i + 4000001}, {id: i + 4000000} FROM numbers WHERE i % 20 < 19",
    ),
    (
        1,
        "INSERT INTO specs (
             id, project_id, owner, title, description, status, current_phase, rehearsal,
             cost_micro_usd, events, created_at, updated_at
         )
         SELECT {id: 900000000000}, (SELECT id FROM projects WHERE name = 'bench-0'), 'owner',
                'A spec with a long log', '{text}', 'completed', 'complete', FALSE, 0, 100000,
                '{time}', '{time}'
         FROM numbers",
    ),
    (
        1,
        "INSERT INTO sandboxes (
             id, spec_id, state, provider, token_hash, generation, acked_seq, messages,
             cost_micro_usd, lease_expires_at, agent, options, created_at, ended_at
         )
         SELECT {id: 900000000001}, {id: 900000000000}, 'ended', 'local', {hash}, 1,
                100000, 0, 0, '{time}', 'claude', '{}', '{time}', '{time}'
         FROM numbers",
    ),
    (
        100_000,
        "INSERT INTO events (
             spec_id, position, sandbox_id, seq, id, kind, phase, at, received_at, data
         )
         SELECT {id: 900000000000}, i + 1, {id: 900000000001}, i + 1, {id: i + 5000000},
                'spec.progress', 'explore', '{time}', '{time}', '{\"message\": \"{line}{line}\"}'
         FROM numbers",
    ),
];

/// Who reads, and what is theirs.
pub(super) struct Deployment {
    pub(super) user: Uuid,
    pub(super) projects: Vec<Uuid>,
}

async fn put(address: SocketAddr, path: &str, method: Method, body: Value) -> Result<Value> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let request = http.request(method, format!("http://{address}/api/v1{path}"));
    let answer = request.bearer_auth(TOKEN).json(&body).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}

fn id_of(thing: &Value) -> Result<Uuid> {
    Ok(thing["id"].as_str().context("no id")?.parse()?)
}

/// Makes the projects, and a user who owns some of them.
pub(super) async fn deployment(address: SocketAddr) -> Result<Deployment> {
    // The second database finds it installed.
    drop(rustls::crypto::ring::default_provider().install_default());
    let user = put(address, "/users", Method::POST, json!({ "name": "reader" })).await?;
    let user = id_of(&user)?;
    let mut projects = Vec::new();
    for number in 0..PROJECTS {
        let new = json!({ "name": format!("bench-{number}") });
        let project = id_of(&put(address, "/projects", Method::POST, new).await?)?;
        if number < OWN {
            let path = format!("/projects/{project}/members/reader");
            put(address, &path, Method::PUT, json!({ "role": "owner" })).await?;
            projects.push(project);
        }
    }
    Ok(Deployment { user, projects })
}

/// Another token of a user.
pub(super) async fn token(address: SocketAddr, user: Uuid) -> Result<String> {
    let path = format!("/users/{user}/tokens");
    let made = put(address, &path, Method::POST, json!({ "name": "bench" })).await?;
    Ok(made["token"].as_str().context("no token")?.to_owned())
}

/// Makes the rest.
pub(super) async fn fill(table: &Table) -> Result<()> {
    for (count, sql) in ROWS {
        let sql = format!("{} {sql}", NUMBERS.replace("{last}", &(count - 1).to_string()));
        execute(table, written(table, &sql)?).await?;
    }
    if matches!(table, Table::Postgres(_)) {
        // As its autovacuum does in time.
        execute(table, "VACUUM ANALYZE".to_owned()).await?;
    }
    Ok(())
}

/// A statement in the words of the database.
pub(super) fn written(table: &Table, sql: &str) -> Result<String> {
    let line = "One sees that it is done when this line can be read from the end to its begin.";
    let sql = sql
        .replace("{text}", &format!("{line} ").repeat(5))
        .replace("{line}", line)
        .replace("{time}", "2026-11-01T12:00:00.123456+00:00");
    let hash = match table {
        Table::Sqlite(_) => "x'00ff'",
        Table::Postgres(_) => "decode('00ff', 'hex')",
    };
    let sql = sql.replace("{hash}", hash);
    let mut parts = sql.split("{id: ");
    let mut sql = parts.next().context("no statement")?.to_owned();
    for part in parts {
        let (number, behind) = part.split_once('}').context("an id has no end")?;
        sql += &match table {
            Table::Sqlite(_) => format!("unhex(printf('%032x', {number}))"),
            Table::Postgres(_) => format!("lpad(to_hex(({number})::BIGINT), 32, '0')::UUID"),
        };
        sql += behind;
    }
    Ok(sql)
}

pub(super) async fn execute(table: &Table, sql: String) -> Result<()> {
    match table {
        Table::Sqlite(pool) => sqlx::query(AssertSqlSafe(sql)).execute(pool).await.map(|_| ())?,
        Table::Postgres(pool) => sqlx::query(AssertSqlSafe(sql)).execute(pool).await.map(|_| ())?,
    }
    Ok(())
}

/// How long the database takes for some rows by itself.
pub(super) async fn raw(
    table: &Table,
    sql: &'static str,
    whose: Uuid,
    times: usize,
) -> Result<Vec<f64>> {
    let mut took_ms = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        let rows = match table {
            Table::Sqlite(pool) => sqlx::query(sql).bind(whose).fetch_all(pool).await?.len(),
            Table::Postgres(pool) => sqlx::query(sql).bind(whose).fetch_all(pool).await?.len(),
        };
        ensure!(rows > 0, "the database gives no rows");
        took_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took_ms)
}
