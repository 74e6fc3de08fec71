//! A control API as a process of its own, `specwright serve` as users start it, and what it uses.

use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use rustix::process::Signal;
use specwright_tests::system::{Running, System};

use crate::memory::kilobytes;

pub(crate) const TOKEN: &str = "the-owners-token-of-a-bench-0123456789abcdef";
/// Clock ticks a second in `/proc`: fixed on Linux for programs.
const TICKS: f64 = 100.0;

pub(crate) struct Server {
    running: Running,
    pub(crate) address: SocketAddr,
    pid: u32,
    // Dropped last: it ends what is left.
    system: System,
}

impl Server {
    /// Starts one on a database, with nothing but the defaults.
    pub(crate) async fn start(database: &str) -> Result<Self> {
        let mut system = System::new();
        system.set("SPECWRIGHT_OWNER_TOKEN", TOKEN);
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--database", database, "--json"];
        let mut running = system.start(system.root(), arguments);
        let address = running.url().await;
        let address = address.trim_start_matches("http://").parse()?;
        let pid = u32::try_from(running.pid())?;
        Ok(Self { running, address, pid, system })
    }

    /// The world that it stands in.
    pub(crate) const fn system(&self) -> &System {
        &self.system
    }

    /// The most that it has held in memory so far.
    pub(crate) fn peak_mb(&self) -> Result<f64> {
        Ok(kilobytes(self.pid, "VmHWM:").context("its memory cannot be read")? / 1000.0)
    }

    /// What it holds now.
    pub(crate) fn resident_mb(&self) -> Result<f64> {
        Ok(kilobytes(self.pid, "VmRSS:").context("its memory cannot be read")? / 1000.0)
    }

    /// The processor time that it has used.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // Behind the name, which may hold anything: user and system time are the 12th and 13th.
        let behind = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u32 =
            behind.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u32>().ok()).sum();
        Ok(f64::from(ticks) / TICKS)
    }

    /// Ends it in order.
    pub(crate) async fn end(self) {
        self.running.signal(Signal::TERM);
        self.running.finish().await.expect_code(0);
    }
}

/// How busy the machine is, with everything on it.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
