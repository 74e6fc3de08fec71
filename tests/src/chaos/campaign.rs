//! Many cycles, several at a time, and a trace for each that did not hold.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Verdict;
use super::plan::{Kind, Plan};

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// How many cycles.
    pub cycles: u64,
    /// What they follow from.
    pub seed: u64,
    /// The only kind, if not all.
    pub only: Option<Kind>,
    /// How many at a time.
    pub jobs: u64,
    /// Where traces go.
    pub traces: PathBuf,
}

/// A cycle that can be played again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trace {
    /// Its campaign's seed.
    pub seed: u64,
    /// Its number.
    pub cycle: u64,
    /// What broke.
    pub plan: Plan,
    /// What did not hold.
    #[serde(default)]
    pub because: Vec<String>,
    /// Where the world of it was kept.
    #[serde(default)]
    pub kept: Option<PathBuf>,
}

impl Trace {
    /// Reads one.
    ///
    /// # Errors
    /// When the file is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no trace", path.display()))
    }

    fn write(&self, into: &Path) -> Result<PathBuf> {
        let path = into.join(format!("chaos-{}-{}.json", self.seed, self.cycle));
        std::fs::write(&path, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }
}

impl Campaign {
    /// Runs it. Each cycle that does not hold is told on stderr, with its trace.
    pub async fn run(&self) -> Verdict {
        let next = AtomicU64::new(0);
        let lane = async || {
            let mut sum = Verdict::default();
            loop {
                let cycle = next.fetch_add(1, Ordering::Relaxed);
                if cycle >= self.cycles {
                    return sum;
                }
                sum.add(&self.cycle(cycle).await);
            }
        };
        let lanes = (0..self.jobs).map(|_| lane());
        let mut sum = Verdict::default();
        for verdict in futures_util::future::join_all(lanes).await {
            sum.add(&verdict);
        }
        sum
    }

    async fn cycle(&self, cycle: u64) -> Verdict {
        let plan = Plan::of(self.seed, cycle, self.only);
        if plan.needs_root() && !rustix::process::geteuid().is_root() {
            eprintln!("cycle {cycle} is left out: {:?} needs root", plan.kind);
            return Verdict::default();
        }
        let (verdict, kept) = super::play(&plan).await;
        if !verdict.holds() {
            let because = verdict.because.clone();
            let trace = Trace { seed: self.seed, cycle, plan, because, kept };
            let first = trace.because.first().map_or("", String::as_str);
            let again = match trace.write(&self.traces) {
                Ok(path) => format!("chaos --replay {}", path.display()),
                Err(error) => format!("no trace of it: {error:#}"),
            };
            eprintln!("cycle {cycle} of seed {} does not hold: {first}\n  {again}", self.seed);
        }
        verdict
    }
}
