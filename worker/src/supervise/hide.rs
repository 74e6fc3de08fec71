//! Takes secrets out of what the same user can read of this process in `/proc`.
//!
//! What holds: after [`secrets`], the environment block holds no secret (the kernel keeps the block
//! that a process was started with, whatever the process does to its variables; so it starts itself
//! again without them), they stand on stdin until they are taken from there, and the process is not dumpable:
//! another process of the same user can read neither its memory nor its open files. Root can.
//!
//! Starting again keeps the process id, its start time and its parent. Call it before any thread is.

use std::io::{self, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::config::handover;

/// Hides what is secret; comes back when nothing of it is in the environment (any more), or with the
/// reason why this system cannot do it.
///
/// # Errors
/// The system has no files in memory, or does not let the process start itself again.
pub(crate) fn secrets() -> io::Result<()> {
    // First, so that nobody reads what is written below.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let secrets = handover::in_the_environment();
    if secrets.is_empty() || handover::are_on_stdin() {
        return Ok(());
    }
    if secrets.len() > handover::SECRETS_MAX_BYTES {
        return Err(io::Error::other("the secrets are larger than any key is"));
    }
    let mut file = std::fs::File::from(memfd_create("secrets", MemfdFlags::CLOEXEC)?);
    file.write_all(&secrets)?;
    file.rewind()?;
    let mut arguments = std::env::args_os();
    let mut again = Command::new("/proc/self/exe");
    again.arg0(arguments.next().unwrap_or_default()).args(arguments);
    for name in handover::SECRETS {
        again.env_remove(name);
    }
    again.env(handover::SECRETS_FROM, handover::FROM_STDIN).stdin(Stdio::from(file));
    Err(again.exec())
}
