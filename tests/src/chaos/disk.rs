//! A disk of its own for a cycle's sandboxes, small enough to be filled. Needs the right to mount.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The disk's size: a run writes about a megabyte.
const SIZE: &str = "size=8m";
/// The file that takes what is left.
const FILLER: &str = "filler";

/// A mounted disk. Dropping it unmounts it.
pub(super) struct Disk {
    place: PathBuf,
}

impl Disk {
    /// Mounts one.
    ///
    /// # Errors
    /// When this machine does not let us.
    pub(super) fn mount(place: &Path) -> Result<Self> {
        fs::create_dir_all(place)?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "specwright-chaos"])
            .arg(place)
            .stderr(Stdio::null())
            .status()
            .context("mount cannot be started")?;
        ensure!(mount.success(), "a disk of our own cannot be mounted");
        Ok(Self { place: place.to_owned() })
    }

    /// Writes until nothing more fits.
    pub(super) fn fill(&self) -> Result<()> {
        let mut filler = File::create(self.place.join(FILLER))?;
        // The last bytes one by one page: a page is what the disk gives.
        for size in [256 * 1024, 4096, 1] {
            let chunk = vec![0; size];
            while filler.write_all(&chunk).is_ok() {}
        }
        Ok(())
    }

    /// Gives the room back.
    pub(super) fn free(&self) -> Result<()> {
        fs::remove_file(self.place.join(FILLER)).context("the filler is gone")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is being ended may still stand in it.
        let ended = Command::new("umount").arg("-l").arg(&self.place).status();
        if !ended.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.place.display());
        }
    }
}
