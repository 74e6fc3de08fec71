//! The process table, from `/proc`.
//!
//! What holds: a process is named by id *and* start time, so that a reused id is never signalled. A
//! zombie has ended; it only waits for its parent.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

/// How often the table is walked while processes end.
pub(crate) const WALK_EVERY: Duration = Duration::from_millis(10);

/// Field numbers of `/proc/<pid>/stat`, counted from the state (man 5 proc: minus 3).
const PARENT: usize = 1;
const START_TIME: usize = 19;

/// One process, unmistakably.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// In clock ticks since boot.
    pub(crate) started: u64,
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) process: Process,
    pub(crate) parent: i32,
    pub(crate) zombie: bool,
}

/// Our own id.
pub(crate) fn us() -> i32 {
    getpid().as_raw_nonzero().get()
}

/// Every process that we may see.
pub(crate) fn table() -> Vec<Row> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(row)
        .collect()
}

/// The line of one process.
pub(crate) fn row(pid: i32) -> Option<Row> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(pid: i32, stat: &str) -> Option<Row> {
    // The name in parentheses may hold anything, also parentheses and spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Row {
        process: Process { pid, started: fields.get(START_TIME)?.parse().ok()? },
        parent: fields.get(PARENT)?.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
    })
}

/// The user that a process runs as. The owner of its directory would not tell: of a process that is not
/// dumpable, that is root.
pub(crate) fn owner(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Adds to `tree` everything that descends from what is in it; never ourselves.
pub(crate) fn grow(tree: &mut HashMap<i32, Row>, rows: &[Row]) {
    let us = us();
    // Children follow their parents, whatever the order of ids.
    loop {
        let before = tree.len();
        for row in rows {
            if row.process.pid != us && tree.contains_key(&row.parent) {
                tree.insert(row.process.pid, *row);
            }
        }
        if tree.len() == before {
            return;
        }
    }
}

/// Signals a process, if it is still the same.
pub(crate) fn signal(process: Process, signal: Signal) {
    let same = row(process.pid).is_some_and(|row| row.process == process);
    if same && let Some(pid) = Pid::from_raw(process.pid) {
        // Gone already is what we want; what may not be signalled shows as left.
        kill_process(pid, signal).ok();
    }
}

/// Reaps those of our own children that have ended, but for one that somebody else waits for.
pub(crate) fn reap_children(but: Option<i32>) {
    let us = us();
    for row in table() {
        if row.zombie
            && row.parent == us
            && Some(row.process.pid) != but
            && let Some(pid) = Pid::from_raw(row.process.pid)
        {
            // Gone already is as good as reaped.
            waitpid(Some(pid), WaitOptions::NOHANG).ok();
        }
    }
}

/// Ends everything that descends from this process, with SIGKILL, and walks the table until nothing
/// is left, at most for `limit`; gives how many processes were ended and how many are left. Only for
/// a process that is a sub-reaper and waits for no child of its own. Blocks.
pub(crate) fn end_descendants(limit: Duration) -> (usize, usize) {
    let deadline = Instant::now() + limit;
    let mut ended = std::collections::HashSet::new();
    loop {
        let rows = table();
        let us = us();
        let mut tree: HashMap<i32, Row> =
            rows.iter().filter(|row| row.parent == us).map(|row| (row.process.pid, *row)).collect();
        grow(&mut tree, &rows);
        let living: Vec<Process> =
            tree.values().filter(|row| !row.zombie).map(|row| row.process).collect();
        for process in &living {
            signal(*process, Signal::KILL);
            ended.insert(*process);
        }
        reap_children(None);
        if living.is_empty() || Instant::now() >= deadline {
            return (ended.len(), living.len());
        }
        std::thread::sleep(WALK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_whatever_the_name_of_the_program() {
        let stat = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        let row = parse(7, stat).unwrap();
        assert_eq!(row.process, Process { pid: 7, started: 4711 });
        assert_eq!((row.parent, row.zombie), (3, false));
        assert!(parse(7, "7 (x) Z 3").is_none());
    }
}
