//! The program that runs here, to be started once more.
//!
//! What holds: a program that was replaced while it ran (an upgrade in place) goes on starting itself:
//! a supervisor and its workers are of one version. The kernel then names it by a path that is no more.

use std::io;
use std::path::{Path, PathBuf};

/// The kernel's own link to the program of whoever opens it; a new process still has its parent's.
const LINK: &str = "/proc/self/exe";

/// Where to start this program from.
pub(crate) fn own_program() -> io::Result<PathBuf> {
    std::env::current_exe().map(there_or_link)
}

fn there_or_link(path: PathBuf) -> PathBuf {
    if path.is_file() || !Path::new(LINK).exists() { path } else { LINK.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_is_started_through_the_kernels_link() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(there_or_link(own.clone()), own);
        assert_eq!(there_or_link(format!("{} (deleted)", own.display()).into()), Path::new(LINK));
    }
}
