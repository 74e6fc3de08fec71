//! What a worker left running, found in the process table and ended.
//!
//! What holds: a process belongs to a sandbox if it carries the sandbox's mark in its environment
//! (the worker hands it on to the agent, the agent to its tools), if it descends from one that does,
//! or if it is an orphan that stands in the sandbox's own directory: one that the kernel gave to us
//! ([`adopt_orphans`]), or to process 1 because the control API of its time was killed, too. The last
//! finds those that wiped their environment. A process is named by
//! id *and* start time, so that a reused id is never signalled.
//!
//! Deliberately absent: a process that lost its parents, wiped its environment *and* went elsewhere.
//! Only a control group would hold that one; containers have it. Nor is an orphan reaped that was
//! dead before we looked: it is one line in the table until this process ends.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid,
};
use specwright_shared::id::SandboxId;
use tokio::time::Instant;
use uuid::Uuid;

use crate::sandboxes::Listed;

/// The variable that marks every process of one sandbox.
pub(crate) const MARK: &str = "SPECWRIGHT_SANDBOX";
/// The variable that says which deployment a sandbox's first process belongs to: another one on this
/// machine, with a database of its own, must not call it an orphan.
pub(crate) const LABEL: &str = "SPECWRIGHT_DEPLOYMENT";
/// Who gets the orphans that nobody else adopts.
const INIT: i32 = 1;
/// How long killed processes may take to go; longer means that the kernel holds them.
const GONE: Duration = Duration::from_secs(2);
/// How often the table is read meanwhile.
const LOOK: Duration = Duration::from_millis(20);
/// Where `/proc/PID/stat` has the parent and the start time, counted from the state (proc(5): fields
/// 4 and 22 of which the state is 3).
const PARENT: usize = 1;
const START_TIME: usize = 19;

/// One living process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pid: i32,
    parent: i32,
    /// In clock ticks since boot.
    started: u64,
}

/// Lets the orphans of workers that are our children become our children, not init's: so they are
/// still known as somebody's when their worker was killed.
pub(super) fn adopt_orphans() {
    if let Err(error) = set_child_subreaper(Some(getpid())) {
        tracing::warn!(%error, "orphans of killed workers cannot be adopted");
    }
}

/// Kills what belongs to a sandbox whose worker is gone, until nothing is left.
pub(super) async fn end(sandbox: SandboxId, directory: &Path) {
    kill(sandbox, || of(sandbox, directory)).await;
}

/// Kills what was there, and nothing that came later.
pub(super) async fn end_those(sandbox: SandboxId, those: &[Process]) {
    let is_there =
        |process: &&Process| read(process.pid).is_some_and(|now| now.started == process.started);
    kill(sandbox, || those.iter().filter(is_there).copied().collect()).await;
}

async fn kill(sandbox: SandboxId, left: impl Fn() -> Vec<Process>) {
    let deadline = Instant::now() + GONE;
    let mut killed = HashSet::new();
    loop {
        let left = left();
        for process in &left {
            if read(process.pid).is_some_and(|now| now.started == process.started)
                && let Some(pid) = Pid::from_raw(process.pid)
            {
                // Gone already is what we want; what may not be signalled shows as left.
                kill_process(pid, Signal::KILL).ok();
                killed.insert(pid);
            }
        }
        // Orphans became our children: they stay in the table until they are waited for. Those that
        // did not are somebody else's to reap.
        for pid in &killed {
            waitpid(Some(*pid), WaitOptions::NOHANG).ok();
        }
        if left.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            tracing::error!(%sandbox, left = left.len(), "killed processes are still there");
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The sandboxes of a deployment that something runs in, each with the age of its oldest process.
pub(super) fn list(deployment: Uuid) -> Vec<Listed> {
    let label = format!("{LABEL}={deployment}").into_bytes();
    let mark = format!("{MARK}=").into_bytes();
    let mut found: HashMap<SandboxId, Duration> = HashMap::new();
    for process in table() {
        let Ok(environ) = fs::read(format!("/proc/{}/environ", process.pid)) else { continue };
        let entries = || environ.split(|byte| *byte == 0);
        if !entries().any(|entry| entry == label) {
            continue;
        }
        let sandbox = entries().find_map(|entry| {
            std::str::from_utf8(entry.strip_prefix(mark.as_slice())?).ok()?.parse().ok()
        });
        if let Some(sandbox) = sandbox {
            let age = age(process);
            let oldest = found.entry(sandbox).or_insert(age);
            *oldest = age.max(*oldest);
        }
    }
    found.into_iter().map(|(sandbox, age)| Listed { sandbox, age }).collect()
}

/// How long a process is there; zero where that cannot be read.
fn age(process: Process) -> Duration {
    let uptime = fs::read_to_string("/proc/uptime").ok();
    let uptime = uptime.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    let began = Duration::from_secs(process.started / rustix::param::clock_ticks_per_second());
    uptime
        .and_then(|uptime| Duration::try_from_secs_f64(uptime).ok())
        .map_or(Duration::ZERO, |uptime| uptime.saturating_sub(began))
}

/// The living processes of a sandbox.
pub(super) fn of(sandbox: SandboxId, directory: &Path) -> Vec<Process> {
    let us = getpid().as_raw_nonzero().get();
    let mark = format!("{MARK}={sandbox}").into_bytes();
    let table: Vec<Process> = table().into_iter().filter(|process| process.pid != us).collect();
    let mut found: HashMap<i32, Process> = table
        .iter()
        .filter(|process| {
            is_marked(process.pid, &mark)
                || ([us, INIT].contains(&process.parent) && stands_in(process.pid, directory))
        })
        .map(|process| (process.pid, *process))
        .collect();
    // Children follow their parents, whatever the order of ids.
    loop {
        let before = found.len();
        for process in &table {
            if found.contains_key(&process.parent) {
                found.insert(process.pid, *process);
            }
        }
        if found.len() == before {
            return found.into_values().collect();
        }
    }
}

fn is_marked(pid: i32, mark: &[u8]) -> bool {
    // Unreadable: another user's, or gone.
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == mark))
}

fn stands_in(pid: i32, directory: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|there| there.starts_with(directory))
}

fn table() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(read).collect()
}

/// A process of the table that has not ended.
fn read(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also parentheses and spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let process = Process {
        pid,
        parent: fields.get(PARENT)?.parse().ok()?,
        started: fields.get(START_TIME)?.parse().ok()?,
    };
    (!matches!(*fields.first()?, "Z" | "X")).then_some(process)
}
