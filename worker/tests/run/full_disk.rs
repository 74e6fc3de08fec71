//! A run whose state directory is on a disk that others fill.

use std::io::Write as _;

use super::*;

/// A small file system in the place of the state directory; `None` where nothing may be mounted.
pub(crate) struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    pub(crate) fn mount(at: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(at).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(at))
    }

    pub(crate) fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("others")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    pub(crate) fn make_read_only(&self) {
        let mut mount = Command::new("mount");
        assert!(mount.args(["-o", "remount,ro"]).arg(self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).status());
    }
}

#[test]
fn a_full_disk_ends_the_run_as_worker_error_and_its_report_arrives() {
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("state");
    let Some(disk) = SmallDisk::mount(&state) else {
        eprintln!("skipped: this process may not mount a tmpfs");
        return;
    };
    let control = Control::start(Some(repository(place.path())));
    // Nothing is acknowledged, so nothing can be deleted to make room.
    control.refuse_events(true);
    let mut child = Child::start(worker(place.path(), &control.url, &[]));
    let spool = place.path().join(SEGMENT);
    let on_disk = |kind: &str| {
        std::fs::read_to_string(&spool).is_ok_and(|text| text.contains(&format!("\"{kind}\"")))
    };
    control::until("the run begins", || on_disk("spec.phase_started"));
    disk.fill();
    control::until("the end is on the disk", || on_disk("spec.execution_failed"));
    control.refuse_events(false);
    assert_eq!(child.exit_code(place.path()), Some(16), "{}", log(place.path()));
    assert_eq!(control.kinds().last().unwrap(), "spec.execution_failed");
    let end = control.describe("spec.execution_failed");
    assert!(end.contains("worker_error"), "{end}");
}
