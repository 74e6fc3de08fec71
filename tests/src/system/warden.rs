//! A process that outlives the test and ends what it leaves, should it be killed.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::program;

/// The warden of one world. Dropping it, or dying, tells it to look.
pub(super) struct Warden(Child);

impl Warden {
    /// Starts one.
    #[track_caller]
    pub(super) fn over(world: &Path) -> Self {
        let mut child = Command::new(program("warden"))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A runner that gives up kills the test's whole group.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("the warden cannot be started: {error}"));
        // Not as an argument: it would be one of the processes that it looks for.
        let told = child.stdin.as_mut().map(|stdin| writeln!(stdin, "{}", world.display()));
        assert!(matches!(told, Some(Ok(()))), "the warden does not listen: {told:?}");
        Self(child)
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        // Ends its stdin first. How it ended is of no interest: the world is ours to remove.
        drop(self.0.wait());
    }
}
