//! Ending with the parent, also with one that is gone already.
//!
//! What holds: the kernel's signal comes only for a parent that ends after it was asked for. One that
//! ended before is known by its number: who is no longer its child has lost it.

use std::io;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Asks for SIGTERM when the parent ends; `false`: it has ended already. `parent` is its number, from
/// itself; without it, such an early end cannot be seen.
///
/// # Errors
/// The system refuses.
pub(crate) fn end_with(parent: Option<i32>) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // None: the parent is in another namespace of processes, and its number means nothing here.
    let now = getppid().map(|pid| pid.as_raw_nonzero().get());
    Ok(parent.is_none() || now.is_none() || now == parent)
}
