//! From a line of an agent to a subscriber, with everything that lies between: the agent's pipe, the
//! worker that reads it, the spool's disk, delivery, the commit and the push.
//!
//! `specwright serve` starts the workers as it starts those of users, each a process with an agent of
//! its own; the agents say what they say at a steady pace, and each line tells when it was written
//! (`steady` of the faulty agent). They begin together when all are in their turn. Control API,
//! workers, agents and subscribers share the machine and its clock.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use specwright_control_api::client::Client;
use specwright_shared::phase::{Phase, SpecStatus};
use specwright_shared::text::Text;
use specwright_shared::wire::spec::{Launch, NewSpec, RunOptions};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{System, program};
use specwright_tests::wait::{PATIENCE, wait_for};
use tokio::time::Instant;

use super::subscriber::{Seen, Subscriber};
use super::{P50_AIM_MS, P99_AIM_MS, raw};
use crate::database::Database;
use crate::figure::{Figure, percentile};
use crate::fleet::seats::{Seat, Table};
use crate::fleet::server::{Server, TOKEN, load_average};

/// Each is a process, and so is its agent: more of them would be most of what is measured.
const WORKERS: usize = 10;
/// Lines of one agent: 1,000 a second from all.
const LINES_PER_SECOND: u32 = 100;

/// What the names of the figures are on one engine.
struct Names {
    p50: &'static str,
    p99: &'static str,
    lost: &'static str,
}

const SQLITE: Names = Names {
    p50: "stream_agent_line_sqlite_p50",
    p99: "stream_agent_line_sqlite_p99",
    lost: "stream_agent_line_sqlite_lost_or_doubled",
};
const POSTGRES: Names = Names {
    p50: "stream_agent_line_postgres_p50",
    p99: "stream_agent_line_postgres_p99",
    lost: "stream_agent_line_postgres_lost_or_doubled",
};

pub(super) async fn figures(database: &Database, lasts: Duration) -> Result<Vec<Figure>> {
    let Lines { took_ms, astray, per_second, cores, commit_ms, append_ms, load } =
        lines(database, WORKERS, lasts).await?;
    let names = if database.is_sqlite() { SQLITE } else { POSTGRES };
    let at = |of| percentile(&took_ms, of).context("nothing was seen");
    let raw = |of: &[f64]| percentile(of, 0.5).context("nothing raw was measured");
    let (p50, commit, append) = (at(0.5)?, raw(&commit_ms)?, raw(&append_ms)?);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let astray = astray as f64;
    Ok(vec![
        Figure::new(names.p50, p50, "ms").aim(P50_AIM_MS).beside(format!(
            "from an agent's line to the spec's subscriber, {WORKERS} workers, {per_second:.0} \
             lines/s; alone on this machine, p50: one row and its commit {commit:.2} ms, one line \
             durable at the end of a file {append:.2} ms"
        )),
        Figure::new(names.p99, at(0.99)?, "ms").aim(P99_AIM_MS).beside(format!(
            "longest {:.0} ms; the control API used {cores:.2} cores; load average {load}",
            at(1.0)?
        )),
        Figure::new(names.lost, astray, "lines")
            .aim(0.0)
            .beside("seen by the subscribers and stored, against what the agents were told to say"),
    ])
}

pub(super) fn skipped(why: String) -> Figure {
    Figure::skipped(POSTGRES.p50, "ms", why)
}

/// What was seen.
pub(super) struct Lines {
    /// From when each line was written until its event was seen, in ms.
    pub(super) took_ms: Vec<f64>,
    /// Lines that were not seen exactly once and in their order, and holes in what is stored.
    pub(super) astray: u64,
    /// How many lines all agents together wrote in a second.
    per_second: f64,
    /// Cores that the control API used.
    cores: f64,
    /// One row and its commit.
    commit_ms: Vec<f64>,
    /// As much as a line, made durable where the workers' spools are.
    append_ms: Vec<f64>,
    load: String,
}

pub(super) async fn lines(database: &Database, workers: usize, lasts: Duration) -> Result<Lines> {
    let server = Server::start(&database.url).await?;
    let client = Client::new(&format!("http://{}", server.address), TOKEN)?;
    let repository = Repository::with_files(sample::FILES);
    let each = u64::from(LINES_PER_SECOND) * lasts.as_secs();
    let launch = launch(&install(server.system(), each)?, repository.path())?;
    let (mut seats, mut subscribers) = (Vec::new(), Vec::new());
    for _ in 0..workers {
        let launched = client.launch(&launch).await?;
        let (spec, sandbox) = (launched.spec.id, launched.sandbox_id);
        // The token is the worker's own.
        seats.push(Seat { spec: spec.0, sandbox: sandbox.0, token: String::new() });
        let path = format!("/api/v1/specs/{spec}/events/stream");
        subscribers.push(Subscriber::noting(server.address, &path, note).await?);
    }
    let folder = server.system().directory("bin");
    wait_for("all agents to be in their turn", PATIENCE, async || {
        (in_their_turn(&folder) == workers).then_some(())
    })
    .await;
    let (began, cpu) = (Instant::now(), server.cpu_seconds()?);
    std::fs::write(folder.join("go"), "")?;
    // Together, so that the last events of all are waited for once.
    let all = subscribers.into_iter().map(|one| one.until_sent(lasts, each));
    let seen = try_join_all(all).await?;
    let cores = (server.cpu_seconds()? - cpu) / began.elapsed().as_secs_f64();
    let load = load_average();
    until_all_ended(&client, &seats).await?;
    let table = Table::open(database).await?;
    let astray = astray(&seen, each) + holes(&table, &seats).await?;
    let commit_ms = raw::commits(&table, &seats).await?;
    let spools = server.system().data();
    let append_ms = tokio::task::spawn_blocking(move || raw::appends(&spools)).await??;
    table.close().await;
    server.end().await;
    let per_second = per_second(&seen).context("nothing was seen")?;
    let took_ms = seen.into_iter().flat_map(|one| one.took_ms).collect();
    Ok(Lines { took_ms, astray, per_second, cores, commit_ms, append_ms, load })
}

/// Puts the agent where it finds what it is told; its path.
fn install(system: &System, lines: u64) -> Result<String> {
    let folder = system.directory("bin");
    let behaviour = format!("ok:outputs.json,steady:{LINES_PER_SECOND}:{lines}");
    std::fs::write(folder.join("behaviour"), behaviour)?;
    let outputs = json!({ "Explore": sample::document(Phase::Explore) });
    std::fs::write(folder.join("outputs.json"), outputs.to_string())?;
    let path = system.install("faulty-agent", &program("faulty-agent"));
    Ok(path.display().to_string())
}

/// One turn, and no second sandbox: what is said again by another agent would be counted.
fn launch(agent: &str, repository: &Path) -> Result<Launch> {
    Ok(Launch {
        spec: NewSpec {
            project_id: None,
            title: None,
            description: Text::new(sample::IDEA)?,
            repository: Some(Text::new(repository.to_string_lossy())?),
        },
        run: RunOptions {
            agent: Some(Text::new(agent)?),
            until: Some(Phase::Explore),
            restarts: Some(0),
            ..RunOptions::default()
        },
    })
}

/// How many agents have left their mark.
fn in_their_turn(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("steady-")).count()
}

/// Notes an event if it is a line of an agent.
fn note(seen: &mut Seen, data: &str) -> Result<()> {
    let event: Value = serde_json::from_str(data)?;
    if event["type"] != "agent.message" {
        return Ok(());
    }
    let sandbox = event["sandbox_id"].as_str().context("a line of no sandbox")?.parse()?;
    let mut words = event["data"]["content"]["text"].as_str().unwrap_or_default().split(' ');
    let (Some(at), Some(number)) = (words.next(), words.next()) else { bail!("an unknown line") };
    seen.came(sandbox, number.parse()?, at.parse()?)
}

async fn until_all_ended(client: &Client, seats: &[Seat]) -> Result<()> {
    for seat in seats {
        let spec = seat.spec.into();
        let ended = async || {
            let looked = client.spec(spec).await;
            looked.map(|spec| (spec.status != SpecStatus::Executing).then_some(())).transpose()
        };
        wait_for("the end of a run", PATIENCE, ended).await?;
    }
    Ok(())
}

fn astray(seen: &[Seen], each: u64) -> u64 {
    seen.iter().map(|one| one.disorder + (one.took_ms.len() as u64).abs_diff(each)).sum()
}

/// Numbers that are missing or doubled among the stored events of these sandboxes.
async fn holes(table: &Table, seats: &[Seat]) -> Result<u64> {
    let stored = table.stored().await?;
    let of_one = |seat: &Seat| {
        let stored = stored.get(&seat.sandbox).context("nothing of a sandbox is stored")?;
        Ok(stored.first.abs_diff(1) + stored.rows.abs_diff(stored.last))
    };
    seats.iter().map(of_one).sum()
}

/// All lines, by the time from the first to the last as their agents wrote them.
fn per_second(seen: &[Seen]) -> Option<f64> {
    let between = || seen.iter().filter_map(|one| one.between);
    let first = between().map(|(first, _)| first).min()?;
    let last = between().map(|(_, last)| last).max()?;
    let lasted = Duration::from_micros(u64::try_from(last - first).ok()?);
    let lines: usize = seen.iter().map(|one| one.took_ms.len()).sum();
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let lines = lines as f64;
    Some(lines / lasted.as_secs_f64())
}
