//! A control group for one agent, where one can be made: the kernel then knows every process of the
//! tree, also one that lost its parents and wiped its environment, and kills all of them at once.
//!
//! What holds: without a writable control group (version 2) there is none, and the walk of the process
//! table does what it can ([`super::tree`]). The group is below our own, named after our process, so
//! that nobody else's is touched; it is removed when it is empty, or else by [`sweep`], when the
//! process that made it is gone.
//!
//! Deliberately absent: limits of memory and CPU. The place has those.

use std::fs;
use std::path::{Path, PathBuf};

use super::table;

/// How the group's name begins; the process that made it follows.
const PREFIX: &str = "specwright-agent-";

/// The control group of one agent.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// A group with a process in it; `None` where the system does not let us.
    pub(crate) fn of(leader: table::Process, mark: uuid::Uuid) -> Option<Self> {
        let us = table::us();
        let place = own_place()?.join(format!("{PREFIX}{us}-{mark}"));
        fs::create_dir(&place).ok()?;
        let group = Self(place);
        // Without `cgroup.kill` (before Linux 5.14) the group would only be a list.
        let entered = group
            .0
            .join("cgroup.kill")
            .exists()
            .then(|| fs::write(group.0.join("cgroup.procs"), leader.pid.to_string()));
        if matches!(entered, Some(Ok(()))) {
            return Some(group);
        }
        group.remove();
        None
    }

    /// Kills everything in it.
    pub(crate) fn kill(&self) {
        if let Err(error) = fs::write(self.0.join("cgroup.kill"), "1") {
            tracing::debug!(%error, "the agent's control group could not be killed");
        }
    }

    /// The processes in it; zombies are not listed.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let listed = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        listed.lines().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Removes it, if it is empty.
    pub(crate) fn remove(&self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            tracing::debug!(%error, "the agent's control group is left for its supervisor");
        }
    }
}

/// Kills and removes the groups that a process which is gone has left.
pub(crate) fn sweep(dead: u32) {
    let Some(place) = own_place() else { return };
    let Ok(entries) = fs::read_dir(place) else { return };
    let begin = format!("{PREFIX}{dead}-");
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&begin) {
            let left = Cgroup(entry.path());
            left.kill();
            left.remove();
        }
    }
}

/// Our own group in the second version's hierarchy.
fn own_place() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    place(&groups, &mounts)
}

fn place(groups: &str, mounts: &str) -> Option<PathBuf> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    // man 5 proc: id, parent, device, root, mount point.
    let mount = mount.split_whitespace().nth(4)?;
    Some(Path::new(mount).join(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_place_is_below_the_mount_of_the_second_version() {
        let mounts = "31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      32 24 0:28 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n";
        let groups = "4:memory:/x\n0::/user.slice/a\n";
        let expected = PathBuf::from("/sys/fs/cgroup/unified/user.slice/a");
        assert_eq!(place(groups, mounts), Some(expected));
        assert_eq!(place("4:memory:/x\n", mounts), None);
        assert_eq!(place(groups, "31 24 0:27 / /x rw - cgroup cgroup rw\n"), None);
    }
}
