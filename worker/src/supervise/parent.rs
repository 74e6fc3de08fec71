//! Ending with the parent, also with one that is gone already.
//!
//! What holds: the kernel's signal comes only for a parent that ends after it was asked for. One that
//! ended before is known by its number: who is no longer its child has lost it.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Whose end was asked for, as we see its number.
static PARENT: OnceLock<Option<Pid>> = OnceLock::new();

/// Asks for SIGTERM when the parent ends; `false`: it has ended already. `parent` is its number, from
/// itself; without it, such an early end cannot be seen.
///
/// # Errors
/// The system refuses.
pub(crate) fn end_with(parent: Option<i32>) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // None: the parent is in another namespace of processes, and its number means nothing here.
    let now = getppid();
    // One process has one parent to ask for: the first that was is it.
    PARENT.get_or_init(|| now);
    let now = now.map(|pid| pid.as_raw_nonzero().get());
    Ok(parent.is_none() || now.is_none() || now == parent)
}

/// Whether the parent whose end was asked for has ended: then a SIGTERM is the kernel's word of it, and
/// nobody's wish. The kernel gives a child its new parent before it sends the signal.
pub(crate) fn is_gone() -> bool {
    PARENT.get().is_some_and(|parent| *parent != getppid())
}
