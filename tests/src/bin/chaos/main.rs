//! Chaos: breaks whole runs of the real programs in every way we know, and checks that nothing was
//! lost, doubled or left running.
//!
//! ```text
//! cargo run --release -p specwright-tests --bin chaos -- --cycles 1000 --seed 1
//! ```
//! Prints one JSON line. Exit codes: 0 everything held; 1 something did not (each such cycle is told
//! on stderr with a trace that `--replay` plays again); 2 wrong arguments; 3 the programs could not be
//! built, or a trace not be read.
//!
//! Filling a disk and coming back on another machine need root (mount, host name).

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use specwright_tests::chaos::campaign::{Campaign, Trace};
use specwright_tests::chaos::plan::Kind;
use specwright_tests::chaos::{Verdict, play};

/// Breaks runs and checks what comes of them.
#[derive(Parser)]
struct Arguments {
    /// How many cycles
    #[arg(long, default_value_t = 25)]
    cycles: u64,
    /// What all decisions follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this kind of fault
    #[arg(long, value_name = "KIND")]
    only: Option<Kind>,
    /// How many cycles at a time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=16))]
    jobs: u64,
    /// Where traces are written
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    traces: PathBuf,
    /// Break the programs as they stand beside this one, without building them first
    #[arg(long)]
    as_built: bool,
    /// Play the cycle of this trace again
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(verdict) => {
            match serde_json::to_string(&verdict) {
                Ok(line) => println!("{line}"),
                Err(error) => eprintln!("{error}"),
            }
            if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(3)
        }
    }
}

fn run(arguments: Arguments) -> Result<Verdict> {
    if !arguments.as_built {
        build()?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(path) = arguments.replay {
        let trace = Trace::read(&path)?;
        let (verdict, kept) = runtime.block_on(play(&trace.plan));
        for because in &verdict.because {
            eprintln!("{because}");
        }
        if let Some(kept) = kept {
            eprintln!("its world is kept in {}", kept.display());
        }
        return Ok(verdict);
    }
    let Arguments { cycles, seed, only, jobs, traces, .. } = arguments;
    let campaign = Campaign { cycles, seed, only, jobs, traces };
    Ok(runtime.block_on(campaign.run()))
}

/// Builds the programs that are broken, so that no older build is judged. Quick when they are fresh.
fn build() -> Result<()> {
    let mut arguments = vec!["build", "--quiet", "--package", "specwright"];
    arguments.extend(["--package", "specwright-tests", "--bin", "specwright", "--bin"]);
    arguments.push("faulty-agent");
    if !cfg!(debug_assertions) {
        arguments.push("--release");
    }
    let by_hand = format!("by hand: cargo {}", arguments.join(" "));
    let status = Command::new(env!("CARGO"))
        .args(&arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cargo cannot be started; {by_hand}"))?;
    ensure!(status.success(), "the programs could not be built; {by_hand}");
    Ok(())
}
