//! The agent's whole process tree, from the process table, and its end.
//!
//! What holds: a process belongs to the tree if it descends from one that does, or carries the
//! agent's mark in its environment; the second finds orphans, also those that called `setsid`. A
//! process is named by id *and* start time, so that a reused id is never signalled. Only processes of
//! the tree are reaped here, and never the leader, which belongs to the runtime.
//!
//! Deliberately absent: a process that both lost its parents before we looked and wiped its own
//! environment. Only a control group would hold that one; the sandbox as a whole ends it.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};
use uuid::Uuid;

use super::launch::MARKER;

/// How often the table is walked while processes end.
const WALK_EVERY: Duration = Duration::from_millis(10);

/// Field numbers of `/proc/<pid>/stat`, counted from the state (man 5 proc: minus 3).
const PARENT: usize = 1;
const START_TIME: usize = 19;

/// The tree of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    leader: Process,
    mark: Vec<u8>,
    /// Every process ever seen in the tree: an orphan is still known.
    known: HashMap<i32, Process>,
}

/// One process, unmistakably.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Process {
    pid: i32,
    /// In clock ticks since boot.
    started: u64,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    process: Process,
    parent: i32,
    zombie: bool,
}

/// What ending a tree came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// How many descendants (not the leader) had to be ended.
    pub(crate) descendants: u32,
    /// How many processes are still there after the limit.
    pub(crate) left: u32,
}

impl Tree {
    /// The tree of a leader that was just started and not yet reaped.
    pub(crate) fn of(leader: u32, marker: Uuid) -> Self {
        let pid = i32::try_from(leader).unwrap_or_default();
        let started = row(pid).map_or(0, |row| row.process.started);
        let mark = format!("{MARKER}={marker}").into_bytes();
        Self { leader: Process { pid, started }, mark, known: HashMap::new() }
    }

    /// Ends every process of the tree with SIGKILL and walks the table until none is left, at most
    /// for `limit`. Blocks.
    pub(crate) fn end(&mut self, limit: Duration) -> Ended {
        let deadline = Instant::now() + limit;
        let mut ended = std::collections::HashSet::new();
        loop {
            let living = self.walk();
            for process in &living {
                signal(*process, Signal::KILL);
                if *process != self.leader {
                    ended.insert(*process);
                }
            }
            self.reap();
            if living.is_empty() || Instant::now() >= deadline {
                let descendants = u32::try_from(ended.len()).unwrap_or(u32::MAX);
                let left = u32::try_from(living.len()).unwrap_or(u32::MAX);
                return Ended { descendants, left };
            }
            std::thread::sleep(WALK_EVERY);
        }
    }

    /// Asks the leader, and only it, to end: the CLI then ends its tools itself and saves its work.
    pub(crate) fn terminate_leader(&self) {
        signal(self.leader, Signal::TERM);
    }

    /// Looks, so that what is an orphan later is known.
    pub(crate) fn look(&mut self) {
        self.walk();
    }

    /// The living processes of the tree, leader included.
    fn walk(&mut self) -> Vec<Process> {
        let rows = table();
        let us = getpid().as_raw_nonzero().get();
        let is_root = |row: &Row| {
            row.process == self.leader
                || self.known.get(&row.process.pid) == Some(&row.process)
                || (row.process.started >= self.leader.started && self.is_marked(row.process.pid))
        };
        let mut in_tree: HashMap<i32, Row> = rows
            .iter()
            .filter(|row| row.process.pid != us && is_root(row))
            .map(|row| (row.process.pid, *row))
            .collect();
        // Children follow their parents, whatever the order of ids.
        loop {
            let before = in_tree.len();
            for row in &rows {
                if row.process.pid != us && in_tree.contains_key(&row.parent) {
                    in_tree.insert(row.process.pid, *row);
                }
            }
            if in_tree.len() == before {
                break;
            }
        }
        for row in in_tree.values().filter(|row| row.process != self.leader) {
            self.known.insert(row.process.pid, row.process);
        }
        in_tree.values().filter(|row| !row.zombie).map(|row| row.process).collect()
    }

    fn is_marked(&self, pid: i32) -> bool {
        // Unreadable: another user's, or gone.
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == self.mark))
    }

    /// Reaps what became our child (we are the sub-reaper) and ended.
    fn reap(&self) {
        let us = getpid().as_raw_nonzero().get();
        for process in self.known.values() {
            let ours = row(process.pid)
                .is_some_and(|row| row.process == *process && row.zombie && row.parent == us);
            if ours && let Some(pid) = Pid::from_raw(process.pid) {
                // Gone already is as good as reaped.
                waitpid(Some(pid), WaitOptions::NOHANG).ok();
            }
        }
    }
}

fn signal(process: Process, signal: Signal) {
    let same = row(process.pid).is_some_and(|row| row.process == process);
    if same && let Some(pid) = Pid::from_raw(process.pid) {
        // Gone already is what we want; what may not be signalled shows as left.
        kill_process(pid, signal).ok();
    }
}

fn table() -> Vec<Row> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(row)
        .collect()
}

fn row(pid: i32) -> Option<Row> {
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

    #[test]
    fn we_are_in_the_table_and_never_in_a_tree() {
        let us = getpid().as_raw_nonzero().get();
        assert!(table().iter().any(|row| row.process.pid == us));
        let mut tree = Tree::of(u32::try_from(us).unwrap(), Uuid::nil());
        assert!(!tree.walk().iter().any(|process| process.pid == us));
    }
}
