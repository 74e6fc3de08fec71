//! Benches: they print one JSON line per figure, and leave nothing running.
//!
//! ```text
//! cargo run --release -p specwright-tests --bin bench -- footprint
//! cargo run --release -p specwright-tests --bin bench -- gateway
//! cargo run --release -p specwright-tests --bin bench -- steer
//! cargo run --release -p specwright-tests --bin bench -- ingest [--database URL]
//! cargo run --release -p specwright-tests --bin bench -- stream [--database URL]
//! cargo run --release -p specwright-tests --bin bench -- fleet [--workers N] [--seconds N] [--database URL]
//! cargo run --release -p specwright-tests --bin bench -- pages [--extended] [--database URL]
//! ```
//! A line says what was measured, in which unit, what was aimed at and whether that was met; or why
//! it was skipped. The figures mean something in a release build only, and the lines of another say
//! which it was. Exit codes: 0 everything could be measured (met or not), 1 something could not,
//! 3 the programs to be measured could not be built.

mod bare;
mod database;
mod figure;
mod first_event;
mod fleet;
mod gateway;
mod ingest;
mod memory;
mod overhead;
mod pages;
mod programs;
mod run;
mod size;
mod steer;
mod steer_tool;
mod stream;

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::{Parser, Subcommand};

use figure::Figure;

/// Measures what Specwright costs.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
    /// Measure the programs as they are: they were just built
    #[arg(long, global = true)]
    as_built: bool,
}

#[derive(Clone, PartialEq, Eq, Subcommand)]
enum Bench {
    /// Times, memory and sizes of a run on this machine
    Footprint,
    /// What the gateway to the model adds to a call
    Gateway,
    /// How fast messages and interrupts reach the agent
    Steer,
    /// How many events are taken in, beside what the database takes by itself
    Ingest {
        /// A database to measure on; without it a SQLite file and a PostgreSQL of their own
        #[arg(long)]
        database: Option<String>,
    },
    /// From a worker's event, and from an agent's line, to who watches, at 1,000 a second
    Stream {
        /// A database to measure on; without it a SQLite file and a PostgreSQL of their own
        #[arg(long)]
        database: Option<String>,
    },
    /// Thousands of workers at one replica: nothing lost, how fast, how much memory
    Fleet {
        /// How many workers, each with one event a second
        #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u16).range(1..))]
        workers: u16,
        /// How long they work
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..))]
        seconds: u16,
        /// A database to measure on; without it a SQLite file and a PostgreSQL of their own
        #[arg(long)]
        database: Option<String>,
    },
    /// How fast a long log, the board and the list of specs are read where much is stored
    Pages {
        /// A database to measure on; without it a SQLite file and a PostgreSQL of their own
        #[arg(long)]
        database: Option<String>,
        /// Instead: what taking events in costs when the table has grown (PostgreSQL; minutes)
        #[arg(long)]
        extended: bool,
        /// How many rows it has then; ten million take about 6 GB
        #[arg(long, requires = "extended", default_value_t = 10_000_000)]
        rows: u32,
    },
}

/// The pages: two databases, each filled first.
const PAGES_AT_MOST: Duration = Duration::from_secs(600);
/// The grown table: it is filled at some 20,000 rows a second.
const GROWN_AT_MOST: Duration = Duration::from_secs(1800);

/// The stream: five measurements of ten seconds each, some of which start workers.
const STREAM_AT_MOST: Duration = Duration::from_secs(300);

/// No measurement takes longer: the slowest, the overhead, takes a third of it on two busy cores.
const MEASUREMENT_AT_MOST: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let Arguments { bench, as_built } = Arguments::parse();
    // The gateway and ingest are measured in this very process.
    if !matches!(bench, Bench::Gateway | Bench::Ingest { .. })
        && !as_built
        && let Err(error) = programs::build()
    {
        eprintln!("{error:#}");
        return ExitCode::from(3);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the asynchronous runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let local = tokio::task::LocalSet::new();
    let measured = async {
        match bench {
            Bench::Footprint => footprint().await,
            Bench::Gateway => take("gateway", gateway::figures()).await,
            Bench::Steer => take("steer", steer::figures()).await,
            Bench::Ingest { database } => take("ingest", ingest::figures(database)).await,
            Bench::Stream { database } => {
                take_within(STREAM_AT_MOST, "stream", stream::figures(database)).await
            }
            Bench::Pages { database, extended: true, rows } => {
                take_within(GROWN_AT_MOST, "pages", pages::grown(database, rows)).await
            }
            Bench::Pages { database, .. } => {
                take_within(PAGES_AT_MOST, "pages", pages::figures(database)).await
            }
            Bench::Fleet { workers, seconds, database } => {
                let (workers, lasts) = (workers.into(), Duration::from_secs(seconds.into()));
                // Two databases at most, each with the start and the end of the fleet.
                let at_most = (lasts + MEASUREMENT_AT_MOST) * 2;
                let fleet = fleet::figures(database, workers, lasts);
                take_within(at_most, "fleet", fleet).await
            }
        }
    };
    if local.block_on(&runtime, measured) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All figures of the footprint; whether each could be taken.
async fn footprint() -> bool {
    let mut all = true;
    all &= take("size", size::figures()).await;
    all &= take("rehearsal_run", run::figures()).await;
    all &= take("worker_start_to_first_event", first_event::figures()).await;
    all &= take("worker_memory_idle", memory::worker_idle()).await;
    all &= take("worker_memory_rehearsal_peak", memory::worker_in_a_run()).await;
    all &= take("control_api_memory_start", memory::control_api()).await;
    all &= take("overhead_over_bare_cli", overhead::figures()).await;
    all
}

/// Takes one group of figures and prints them. One that breaks does not take the others along.
async fn take(
    name: &str,
    measurement: impl Future<Output = Result<Vec<Figure>>> + 'static,
) -> bool {
    take_within(MEASUREMENT_AT_MOST, name, measurement).await
}

/// The same for a measurement that may take longer.
async fn take_within(
    at_most: Duration,
    name: &str,
    measurement: impl Future<Output = Result<Vec<Figure>>> + 'static,
) -> bool {
    // A task of its own: the parts of the harness say what is wrong by panicking.
    let mut task = tokio::task::spawn_local(measurement);
    let taken = match tokio::time::timeout(at_most, &mut task).await {
        Ok(Ok(figures)) => figures,
        Ok(Err(broke)) => Err(broke).context("the measurement broke"),
        Err(_) => {
            task.abort();
            // Awaited, so that what it holds (processes, directories) is gone before the next.
            drop(task.await);
            Err(anyhow!("the measurement took longer than {at_most:?}"))
        }
    };
    match taken {
        Ok(figures) => {
            for figure in figures {
                figure.print();
            }
            true
        }
        Err(error) => {
            figure::print_failure(name, &format!("{error:#}"));
            false
        }
    }
}
