//! A whole rehearsal run, as a person waits for it.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Running, System};

use crate::figure::{Figure, median};

/// Runs of which the median is told. The first one finds cold caches.
const RUNS: usize = 3;
const AIM_MS: f64 = 3000.0;

pub(crate) async fn figures() -> Result<Vec<Figure>> {
    let mut took = Vec::new();
    for _ in 0..RUNS {
        let system = System::new();
        let repository = Repository::with_files(sample::FILES);
        let began = Instant::now();
        let mut running = launch_rehearsal(&system, &repository);
        running.line("the summary", is_summary).await;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        drop(running.finish().await.expect_code(0));
    }
    let median = median(took).context("no run")?;
    Ok(vec![Figure::new("rehearsal_run", median, "ms").aim(AIM_MS)])
}

/// `specwright launch --agent rehearsal --json IDEA` in a repository.
pub(crate) fn launch_rehearsal(system: &System, repository: &Repository) -> Running {
    let arguments = ["launch", "--agent", "rehearsal", "--json", sample::IDEA];
    system.start(repository.path(), arguments)
}

fn is_summary(line: &str) -> Option<()> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["type"] == "summary").then_some(())
}
