//! The process table, read from `/proc`.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// A process that was alive when the table was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its arguments, the program first.
    pub arguments: Vec<String>,
    /// Its environment, `NAME=value` each.
    pub environment: Vec<String>,
}

impl Process {
    /// Reads one. `None`: it is gone (or dead and not yet waited for).
    #[must_use]
    pub fn read(pid: i32) -> Option<Self> {
        let place = Path::new("/proc").join(pid.to_string());
        let arguments = strings(&fs::read(place.join("cmdline")).ok()?);
        // A worker is not dumpable: only root may read its environment.
        let environment = strings(&fs::read(place.join("environ")).unwrap_or_default());
        // A process that has exited has neither.
        (!arguments.is_empty()).then_some(Self { pid, arguments, environment })
    }

    /// Whether a text stands in its arguments or its environment.
    #[must_use]
    pub fn mentions(&self, text: &str) -> bool {
        self.arguments.iter().chain(&self.environment).any(|one| one.contains(text))
    }

    /// The value of a variable in its environment.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find_map(|one| one.strip_prefix(name)?.strip_prefix('='))
    }

    /// Sends a signal. False: it is gone.
    pub fn signal(&self, signal: Signal) -> bool {
        Pid::from_raw(self.pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    /// Sends SIGKILL. False: it is gone.
    pub fn kill(&self) -> bool {
        self.signal(Signal::KILL)
    }
}

/// All processes but this one in whose arguments or environment a path stands.
#[must_use]
pub fn naming(path: &Path) -> Vec<Process> {
    let Ok(table) = fs::read_dir("/proc") else { return Vec::new() };
    let path = path.to_string_lossy();
    let own = i32::try_from(std::process::id()).ok();
    table
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| Some(*pid) != own)
        .filter_map(Process::read)
        .filter(|process| process.mentions(&path))
        .collect()
}

fn strings(bytes: &[u8]) -> Vec<String> {
    bytes
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_found_by_a_path_in_its_environment_until_it_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let mut child =
            Command::new("sleep").arg("60").env("A_PLACE", place.path()).spawn().unwrap();
        // Between fork and exec a child still shows its parent's environment.
        let found = std::iter::repeat_with(|| naming(place.path()))
            .take(1000)
            .inspect(|_| std::thread::yield_now())
            .find(|found| !found.is_empty())
            .expect("the process is in the table");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].variable("A_PLACE"), place.path().to_str());
        assert!(found[0].kill());
        child.wait().unwrap();
        assert!(naming(place.path()).is_empty());
    }
}
