//! What it costs to read where much is stored: a replay of 100,000 events, and pages of the board and
//! of the list of specs among 100,000 tickets and 10,000 specs; beside what the database takes for the
//! same rows by itself, in the same run.
//!
//! `specwright serve` is a process of its own with the defaults that users have. Who reads is a user
//! who owns eight of twenty projects, one request after the other. Load, control API and database
//! share the machine.
//!
//! The extended one ([`grown`]) takes events in before and after the table has grown.

mod fill;
mod grown;
mod reader;

use anyhow::{Context, Result};

use crate::database::Database;
use crate::figure::{Figure, percentile};
use crate::fleet::seats::Table;
use crate::fleet::server::{Server, load_average};
use reader::Reader;

pub(crate) use grown::figures as grown;

/// Events of the replay.
const EVENTS: usize = 100_000;
const REPLAY_AIM_MS: f64 = 1000.0;
const PAGE_AIM_MS: f64 = 20.0;
/// How often a page is read.
const TIMES: usize = 200;
/// How often the log is read from its beginning; the median counts.
const REPLAYS: usize = 3;

/// What the names of the figures are on one engine.
struct Names {
    stream: &'static str,
    json: &'static str,
    board: &'static str,
    board_of_project: &'static str,
    column: &'static str,
    specs: &'static str,
    specs_middle: &'static str,
    specs_of_status: &'static str,
}

macro_rules! names {
    ($engine:literal) => {
        Names {
            stream: concat!("pages_", $engine, "_replay_by_stream"),
            json: concat!("pages_", $engine, "_replay_by_json_pages"),
            board: concat!("pages_", $engine, "_board_p95"),
            board_of_project: concat!("pages_", $engine, "_board_of_a_project_p95"),
            column: concat!("pages_", $engine, "_column_in_the_middle_p95"),
            specs: concat!("pages_", $engine, "_specs_p95"),
            specs_middle: concat!("pages_", $engine, "_specs_in_the_middle_p95"),
            specs_of_status: concat!("pages_", $engine, "_specs_of_a_status_p95"),
        }
    };
}

pub(crate) async fn figures(url: Option<String>) -> Result<Vec<Figure>> {
    if let Some(url) = url {
        return on(&Database::at(url)?).await;
    }
    let mut figures = on(&Database::sqlite()?).await?;
    match Database::postgres()? {
        Some(database) => figures.extend(on(&database).await?),
        None => {
            let why = "this machine has no PostgreSQL".to_owned();
            figures.push(Figure::skipped("pages_postgres_board_p95", "ms", why));
        }
    }
    Ok(figures)
}

async fn on(database: &Database) -> Result<Vec<Figure>> {
    let names = if database.is_sqlite() { names!("sqlite") } else { names!("postgres") };
    let server = Server::start(&database.url).await?;
    let table = Table::open(database).await?;
    let deployment = fill::deployment(server.address).await?;
    fill::fill(&table).await?;
    let reader = Reader { address: server.address, user: deployment.user };
    let mut figures = replays(&reader, &table, &names).await?;
    figures.extend(pages(&reader, &table, &deployment, &names).await?);
    table.close().await;
    server.end().await;
    Ok(figures)
}

/// The log of one spec from its beginning.
async fn replays(reader: &Reader, table: &Table, names: &Names) -> Result<Vec<Figure>> {
    let path = format!("/api/v1/specs/{}/events", fill::LOGGED);
    let (mut streams, mut pages, mut raws) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPLAYS {
        raws.push(fill::raw(table, fill::LOG, fill::LOGGED, 1).await?[0]);
        streams.push(reader.replay_stream(&format!("{path}/stream"), EVENTS).await?);
        pages.push(reader.replay_pages(&path, EVENTS).await?);
    }
    let middle = |values: &[f64]| percentile(values, 0.5).context("nothing was read");
    let raw = middle(&raws)?;
    let figure = |name, took: f64| {
        Figure::new(name, took, "ms").aim(REPLAY_AIM_MS).beside(format!(
            "{EVENTS} events; {:.1} times the database's own {raw:.0} ms for the rows; load average {}",
            took / raw,
            load_average()
        ))
    };
    Ok(vec![figure(names.stream, middle(&streams)?), figure(names.json, middle(&pages)?)])
}

/// The board and the list of specs.
async fn pages(
    reader: &Reader,
    table: &Table,
    deployment: &fill::Deployment,
    names: &Names,
) -> Result<Vec<Figure>> {
    let project = deployment.projects.first().context("no project")?;
    let column = reader.middle_of_the_board().await?;
    let specs = reader.middle_of_the_specs().await?;
    let raw_board = fill::raw(table, fill::BOARD, deployment.user, TIMES).await?;
    let raw_specs = fill::raw(table, fill::SPECS, deployment.user, TIMES).await?;
    let all = [
        (names.board, "/api/v1/board".to_owned(), &raw_board),
        (names.board_of_project, format!("/api/v1/board?project_id={project}"), &raw_board),
        (names.column, column, &raw_board),
        (names.specs, "/api/v1/specs".to_owned(), &raw_specs),
        (names.specs_middle, specs, &raw_specs),
        (names.specs_of_status, "/api/v1/specs?status=failed".to_owned(), &raw_specs),
    ];
    let mut figures = Vec::new();
    for (name, path, raw) in all {
        let read = reader.times(&path, TIMES).await?;
        let p95 = percentile(&read.took_ms, 0.95).context("nothing was read")?;
        let raw = percentile(raw, 0.95).context("nothing was read")?;
        let about = format!(
            "{} kB; {:.1} times the database's own p95 of {raw:.1} ms for a first page's rows; load \
             average {}",
            read.bytes / 1000,
            p95 / raw,
            load_average()
        );
        figures.push(Figure::new(name, p95, "ms").aim(PAGE_AIM_MS).beside(about));
    }
    Ok(figures)
}
