//! What the system says about the agent's process tree, the disk, and the clocks.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use specwright_shared::liveness::{AgentSignals, ClockJump};

use crate::agent::table::{grow, row, table};

/// Part of one processor, in percent, from which a tree counts as busy: an agent that waits for its
/// model uses one or two.
const BUSY_PERCENT: u128 = 10;

/// A difference between the clocks, or a delay of a heartbeat, from which it counts as a jump.
const JUMP_MIN: Duration = Duration::from_secs(5);

/// Field numbers of `/proc/<pid>/stat`, counted from the state (man 5 proc: minus 3): time in user
/// and kernel mode, that of reaped children, and resident pages.
const TIMES: [usize; 4] = [11, 12, 13, 14];
const PAGES: usize = 21;

/// Free bytes for us where a path lies; `None`: unknown.
pub(super) fn disk_free(path: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(path).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

/// Measures one agent's tree again and again.
#[derive(Debug, Default)]
pub(super) struct TreeMeter {
    leader: u32,
    last: Option<(Instant, u64)>,
    busy_at: Option<Instant>,
}

impl TreeMeter {
    /// `None`: the leader is gone.
    pub(super) fn measure(&mut self, leader: u32, now: Instant) -> Option<AgentSignals> {
        let pid = i32::try_from(leader).ok()?;
        let first = row(pid).filter(|row| !row.zombie)?;
        let mut tree = HashMap::from([(pid, first)]);
        grow(&mut tree, &table());
        let (mut cpu_ms, mut memory_bytes) = (0, 0);
        for row in tree.values() {
            let (cpu, memory) = usage(row.process.pid).unwrap_or_default();
            cpu_ms += cpu;
            memory_bytes += memory;
        }
        if self.leader != leader {
            *self = Self { leader, last: None, busy_at: None };
        }
        if let Some((before, used)) = self.last {
            let passed = now.saturating_duration_since(before).as_millis();
            let used = u128::from(cpu_ms.saturating_sub(used));
            if used > 0 && used * 100 >= passed * BUSY_PERCENT {
                self.busy_at = Some(now);
            }
        }
        self.last = Some((now, cpu_ms));
        let children = tree.values().filter(|row| !row.zombie).count().saturating_sub(1);
        Some(AgentSignals {
            pid: leader,
            cpu_ms,
            busy_age_ms: self.busy_at.map(|at| millis(now.saturating_duration_since(at))),
            memory_bytes,
            children: u32::try_from(children).unwrap_or(u32::MAX),
        })
    }
}

/// Processor time in milliseconds and resident bytes of one process.
fn usage(pid: i32) -> Option<(u64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also parentheses and spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks: u64 = TIMES.into_iter().filter_map(field).sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let pages = field(PAGES)?;
    Some((ticks * 1000 / per_second, pages * rustix::param::page_size() as u64))
}

/// Compares the clocks from beat to beat.
#[derive(Debug)]
pub(super) struct Clocks {
    period: Duration,
    last: (Instant, SystemTime),
    jump: Option<(Instant, i64, bool)>,
}

impl Clocks {
    pub(super) const fn new(period: Duration, now: Instant, wall: SystemTime) -> Self {
        Self { period, last: (now, wall), jump: None }
    }

    /// The time until the next look counts from here. A wall clock that was set meanwhile shows then.
    pub(super) fn rest(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.last.0);
        self.last = (now, self.last.1 + passed);
    }

    /// The last jump, if there was one. To be asked once each period.
    pub(super) fn look(&mut self, now: Instant, wall: SystemTime) -> Option<ClockJump> {
        let steady = now.saturating_duration_since(self.last.0);
        let walled = match wall.duration_since(self.last.1) {
            Ok(later) => signed(later),
            Err(earlier) => -signed(earlier.duration()),
        };
        let (late, set) = (steady.saturating_sub(self.period), walled - signed(steady));
        let least = signed(JUMP_MIN);
        if late >= JUMP_MIN.max(self.period) {
            self.jump = Some((now, signed(late), true));
        } else if set.abs() >= least {
            self.jump = Some((now, set, false));
        }
        self.last = (now, wall);
        self.jump.map(|(at, by_ms, paused)| ClockJump {
            by_ms,
            age_ms: millis(now.saturating_duration_since(at)),
            paused,
        })
    }
}

fn signed(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(10);

    #[test]
    fn a_process_that_works_is_measured_with_its_children_and_one_that_is_gone_is_not() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sh -c 'while :; do :; done'; :"])
            .spawn()
            .unwrap();
        let mut meter = TreeMeter::default();
        let started = Instant::now();
        let seen = loop {
            let seen = meter.measure(child.id(), Instant::now()).unwrap();
            if (seen.busy_age_ms.is_some() && seen.children == 1)
                || started.elapsed() > Duration::from_secs(60)
            {
                break seen;
            }
            std::thread::park_timeout(Duration::from_millis(30));
        };
        let leader = i32::try_from(child.id()).unwrap();
        for below in table().into_iter().filter(|row| row.parent == leader) {
            crate::agent::table::signal(below.process, rustix::process::Signal::KILL);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(seen.busy_age_ms.is_some() && seen.children == 1, "{seen:?}");
        assert!(seen.cpu_ms > 0 && seen.memory_bytes > 0, "{seen:?}");
        assert_eq!(meter.measure(child.id(), Instant::now()), None);
    }

    #[test]
    fn the_disk_is_measured() {
        assert!(disk_free(Path::new("/")).is_some_and(|free| free > 0));
        assert_eq!(disk_free(Path::new("/no/such/place")), None);
    }

    #[test]
    fn a_pause_and_a_clock_that_was_set_are_told_apart() {
        let (start, wall) = (Instant::now(), SystemTime::UNIX_EPOCH + PERIOD * 1_000_000);
        let hour = Duration::from_secs(3600);
        let mut clocks = Clocks::new(PERIOD, start, wall);
        assert_eq!(clocks.look(start + PERIOD, wall + PERIOD), None);
        let back = clocks.look(start + PERIOD * 2, wall + PERIOD * 2 - hour).unwrap();
        assert_eq!((back.by_ms, back.paused), (-3_600_000, false));
        let later = start + PERIOD * 3 + hour;
        let paused = clocks.look(later, wall + PERIOD * 3).unwrap();
        assert_eq!((paused.by_ms, paused.paused, paused.age_ms), (3_600_000, true, 0));
        let then = clocks.look(later + PERIOD, wall + PERIOD * 4).unwrap();
        assert_eq!((then.by_ms, then.age_ms), (3_600_000, 10_000));
    }

    #[test]
    fn a_machine_that_slept_while_the_steady_clock_stood_has_a_jump_that_made_no_age_grow() {
        let (start, wall) = (Instant::now(), SystemTime::UNIX_EPOCH + PERIOD);
        let mut clocks = Clocks::new(PERIOD, start, wall);
        let hour = Duration::from_secs(3600);
        let slept = clocks.look(start + PERIOD, wall + PERIOD + hour).unwrap();
        assert_eq!((slept.by_ms, slept.paused), (3_600_000, false));
    }
}
