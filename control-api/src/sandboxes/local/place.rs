//! Where a local worker is: a process, told apart from a later one of the same number by its start
//! time, on a machine, told apart by name, boot and process namespace.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::sandboxes::Life;

/// How long a worker has to end its agent, save work and report after SIGTERM: a little more than the
/// 13 seconds that it gives itself.
const GRACE: Duration = Duration::from_secs(14);
/// How long a killed process may take to go; longer means that the kernel holds it.
const KILLED: Duration = Duration::from_secs(2);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// Where a worker runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The process, which is also the number of its group.
    pub(super) pid: i32,
    /// When it started, in clock ticks since the machine's boot.
    pub(super) start_time: u64,
    /// The machine.
    pub(super) host: String,
    /// The machine's boot.
    pub(super) boot: String,
    /// The namespace that the process number belongs to.
    pub(super) namespace: String,
    /// Who started it, and sees how it ends; absent: an earlier version did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) observer: Option<Observer>,
}

/// A control API on the place's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Observer {
    pub(super) pid: i32,
    pub(super) start_time: u64,
}

impl Observer {
    fn here() -> Option<Self> {
        let pid = i32::try_from(std::process::id()).ok()?;
        Some(Self { pid, start_time: stat(pid)?.0 })
    }

    /// Whether another process than this one watches the place. Of its own ones this process knows
    /// more than that.
    fn watches(self) -> bool {
        let another = Self::here().is_none_or(|here| here != self);
        another
            && matches!(stat(self.pid), Some((start, state)) if start == self.start_time && state != 'Z')
    }
}

impl Place {
    /// The place of a process of this machine; `None` when there is none of that number.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let (start_time, _) = stat(pid)?;
        let [host, boot, namespace] = machine();
        let observer = Observer::here();
        Some(Self { pid, start_time, host, boot, namespace, observer })
    }

    /// A place as stored.
    pub(super) fn read(value: &Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok()
    }

    /// A place to be stored.
    pub(super) fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Whether the process runs, as far as that can be seen from here.
    pub(super) fn life(&self) -> Life {
        let [host, boot, namespace] = machine();
        if host != self.host {
            return Life::Unknown;
        }
        if boot != self.boot {
            return Life::Gone("the machine was restarted".to_owned());
        }
        if namespace != self.namespace {
            return Life::Unknown;
        }
        if self.is_alive() {
            Life::Alive
        } else if self.observer.is_some_and(Observer::watches) {
            // It will say how the worker ended; we would only see that it did.
            Life::Unknown
        } else {
            Life::Gone(format!("the worker (process {}) is gone", self.pid))
        }
    }

    /// Whether it is on this machine, in this boot or an earlier one.
    pub(super) fn is_here(&self) -> bool {
        let [host, _, namespace] = machine();
        host == self.host && namespace == self.namespace
    }

    /// Whether another process than this one watches it.
    pub(super) fn is_watched(&self) -> bool {
        let [host, boot, namespace] = machine();
        let here = (&host, &boot, &namespace) == (&self.host, &self.boot, &self.namespace);
        here && self.observer.is_some_and(Observer::watches)
    }

    fn is_alive(&self) -> bool {
        // A zombie has ended; it only waits for its parent.
        matches!(stat(self.pid), Some((start, state)) if start == self.start_time && state != 'Z')
    }

    /// Ends the worker: asks, waits, kills its group. Comes back when it is gone.
    pub(super) async fn end(&self) {
        if self.life() == Life::Alive {
            self.signal(Signal::TERM);
            if !self.is_gone_within(GRACE).await {
                tracing::warn!(pid = self.pid, "a worker did not end when asked; it is killed");
            }
        }
        self.kill_group();
        if !self.is_gone_within(KILLED).await {
            tracing::error!(pid = self.pid, "a killed worker is still there");
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid)
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::debug!(pid = self.pid, %error, "a signal found nobody");
        }
    }

    /// Kills what is left of the worker's process group. Not when the number has passed to another
    /// process: the kernel keeps a number as long as its group has members, so then there are none.
    pub(super) fn kill_group(&self) {
        let [host, boot, namespace] = machine();
        if (host, boot, namespace) != (self.host.clone(), self.boot.clone(), self.namespace.clone())
            || stat(self.pid).is_some_and(|(start, _)| start != self.start_time)
        {
            return;
        }
        if let Some(pid) = Pid::from_raw(self.pid)
            && let Err(error) = kill_process_group(pid, Signal::KILL)
        {
            tracing::trace!(pid = self.pid, %error, "the process group is empty");
        }
    }

    async fn is_gone_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.life() == Life::Alive {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }
}

/// Start time and state of a process, from `/proc/PID/stat` (proc(5): fields 22 and 3).
fn stat(pid: i32) -> Option<(u64, char)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may hold blanks and brackets; the last bracket closes it.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    Some((fields.get(19)?.parse().ok()?, fields.first()?.chars().next()?))
}

/// This machine, its boot, and the namespace of our process numbers.
pub(super) fn machine() -> [String; 3] {
    let read = |path| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let namespace = fs::read_link("/proc/self/ns/pid").map(|target| target.display().to_string());
    [
        read("/proc/sys/kernel/hostname").unwrap_or_default(),
        read("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
        namespace.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_of_another_start_is_not() {
        let here = Place::of(std::process::id()).unwrap();
        assert_eq!(here.life(), Life::Alive);
        assert_eq!(Place::read(&here.to_value()), Some(here.clone()));
        let earlier = Place { start_time: here.start_time - 1, ..here.clone() };
        assert!(matches!(earlier.life(), Life::Gone(_)));
        let rebooted = Place { boot: "another".into(), ..here.clone() };
        assert!(matches!(rebooted.life(), Life::Gone(_)));
        let elsewhere = Place { host: "another".into(), ..here };
        assert_eq!(elsewhere.life(), Life::Unknown);
    }
}
