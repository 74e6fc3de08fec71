//! The agent's whole process tree, from the process table, and its end.
//!
//! What holds: a process belongs to the tree if it descends from one that does, or carries the
//! agent's mark in its environment; the second finds orphans, also those that called `setsid`. Where
//! the agent has a user of its own, whose environments not every root may read, an orphan is also known
//! by being that user's *and* our child: the kernel gives orphans to us, the sub-reaper. A process is
//! named by id *and* start time ([`super::table`]). Only processes of the tree are reaped here, and
//! never the leader, which belongs to the runtime.
//!
//! Without such a user, a process that both lost its parents before we looked and wiped its own
//! environment is found by the agent's control group, where there is one ([`super::cgroup`]); else the
//! supervisor, or the sandbox as a whole, ends it.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use uuid::Uuid;

use super::cgroup::Cgroup;
use super::launch::MARKER;
use super::table::{Process, Row, WALK_EVERY, grow, owner, row, signal, table, us};

/// The tree of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    leader: Process,
    mark: Vec<u8>,
    /// Every process ever seen in the tree: an orphan is still known.
    known: HashMap<i32, Process>,
    /// The agent's own user; none of our other children is that one's.
    user: Option<u32>,
    /// Where the system has one, it knows what no walk can find.
    group: Option<Cgroup>,
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
        Self {
            leader: Process { pid, started },
            mark,
            known: HashMap::new(),
            user: None,
            group: None,
        }
    }

    /// The same, run by a user of its own.
    pub(crate) fn of_user(mut self, user: Option<u32>) -> Self {
        self.user = user;
        self
    }

    /// The same, from now on in a control group, where the system lets us.
    pub(crate) fn in_a_group(mut self, marker: Uuid) -> Self {
        self.group = Cgroup::of(self.leader, marker);
        self
    }

    /// Ends every process of the tree with SIGKILL and walks the table until none is left, at most
    /// for `limit`. Blocks.
    pub(crate) fn end(&mut self, limit: Duration) -> Ended {
        let deadline = Instant::now() + limit;
        let mut ended = std::collections::HashSet::new();
        loop {
            let living = self.walk();
            if let Some(group) = &self.group {
                group.kill();
            }
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
                if let Some(group) = self.group.take() {
                    group.remove();
                }
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
        let us = us();
        let grouped = self.group.as_ref().map(Cgroup::processes).unwrap_or_default();
        let is_root = |row: &Row| {
            row.process == self.leader
                || self.known.get(&row.process.pid) == Some(&row.process)
                || grouped.contains(&row.process.pid)
                || (row.process.started >= self.leader.started
                    && (self.is_marked(row.process.pid) || self.is_its_orphan(row)))
        };
        let mut in_tree: HashMap<i32, Row> = rows
            .iter()
            .filter(|row| row.process.pid != us && is_root(row))
            .map(|row| (row.process.pid, *row))
            .collect();
        grow(&mut in_tree, &rows);
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

    fn is_its_orphan(&self, row: &Row) -> bool {
        row.parent == us() && self.user.is_some() && owner(row.process.pid) == self.user
    }

    /// Reaps what became our child (we are the sub-reaper) and ended.
    fn reap(&self) {
        let us = us();
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn we_are_in_the_table_and_never_in_a_tree() {
        let us = us();
        assert!(table().iter().any(|row| row.process.pid == us));
        let mut tree = Tree::of(u32::try_from(us).unwrap(), Uuid::nil());
        assert!(!tree.walk().iter().any(|process| process.pid == us));
    }

    #[test]
    fn an_orphan_that_wiped_its_environment_is_found_as_the_agents_users() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("only root can start a process as another user: nothing is tested");
            return;
        }
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        let start = |uid: u32| {
            let mut command = Command::new("sh");
            command.args(["-c", "env -i sleep 600 >/dev/null 2>&1 & echo $!"]);
            command.uid(uid).gid(uid).stdout(Stdio::piped()).spawn().unwrap()
        };
        let (agent, other) = (start(64_001), start(64_002));
        let mut tree = Tree::of(agent.id(), Uuid::nil()).of_user(Some(64_001));
        let orphan = |leader: Child| -> i32 {
            let output = leader.wait_with_output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
        };
        let (orphan, another) = (orphan(agent), orphan(other));
        assert_eq!(tree.end(Duration::from_secs(60)), Ended { descendants: 1, left: 0 });
        assert!(row(orphan).is_none());
        let another = row(another).expect("a process of another user is not the agent's");
        signal(another.process, Signal::KILL);
    }
}
