//! The processes of a cycle's sandboxes, and signals to them.

use std::path::Path;

use rustix::process::Signal;

use crate::system::processes::{Process, naming};

/// The words that make our program a supervisor or a worker.
const SUPERVISOR: &str = "supervise";
const WORKER: &str = "worker";

/// The sandboxes' own processes below a directory: supervisors first, then workers. Agents are not
/// among them: their end is not ours to bring about.
pub(super) fn of_the_sandbox(root: &Path) -> Vec<Process> {
    let mut found = naming(root);
    found.retain(|one| is(one, SUPERVISOR) || is(one, WORKER));
    found.sort_by_key(|one| is(one, WORKER));
    found
}

/// The worker alone.
pub(super) fn worker(root: &Path) -> Option<Process> {
    of_the_sandbox(root).into_iter().find(|one| is(one, WORKER))
}

/// Sends a signal to each. How many got it.
pub(super) fn signal(processes: &[Process], signal: Signal) -> usize {
    processes.iter().filter(|one| one.signal(signal)).count()
}

fn is(process: &Process, word: &str) -> bool {
    process.arguments.get(1).is_some_and(|argument| argument == word)
}
