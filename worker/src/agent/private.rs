//! The agent's own directories: its configuration, transcripts and temporary files.
//!
//! What holds: they are nobody else's business, they hold the whole conversation. They belong to the
//! user that the agent runs as, who may have put anything there before; so each is opened through the
//! one above it, without following a link, and what is changed is what was opened.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, fchmod, fchown, mkdirat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::user::User;
use crate::unfollowed;

/// The CLI's own directory in the private one.
pub(super) const CONFIG_DIR: &str = "config";
/// Where the CLI and its tools put temporary files.
pub(super) const TMP_DIR: &str = "tmp";

/// Makes them, or takes what is there; a failure names which.
pub(super) fn make(place: &Path, user: Option<&User>) -> Result<(), (PathBuf, io::Error)> {
    let failed = |path: PathBuf| move |error: Errno| (path, error.into());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(place)
        .map_err(|error| (place.to_path_buf(), error))?;
    let outer = unfollowed::directory(CWD, place)
        .and_then(|outer| own(outer, user))
        .map_err(failed(place.to_path_buf()))?;
    for name in [CONFIG_DIR, TMP_DIR] {
        match mkdirat(&outer, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => unfollowed::directory(&outer, name),
            Err(error) => Err(error),
        }
        .and_then(|inner| own(inner, user))
        .map_err(failed(place.join(name)))?;
    }
    Ok(())
}

/// One that was there may be open to others, or somebody else's.
fn own(directory: OwnedFd, user: Option<&User>) -> rustix::io::Result<OwnedFd> {
    fchmod(&directory, Mode::RWXU)?;
    if let Some(user) = user {
        fchown(&directory, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?;
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_was_open_to_others_is_closed_and_a_link_in_its_place_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (place, elsewhere) = (root.path().join("private"), root.path().join("elsewhere"));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::create_dir(&place).unwrap();
        make(&place, None).unwrap();
        make(&place, None).unwrap();
        assert_eq!(
            [&place, &place.join("config"), &place.join("tmp")].map(|path| mode(path)),
            [0o700; 3]
        );

        let before = mode(&elsewhere);
        std::fs::remove_dir(place.join("tmp")).unwrap();
        symlink(&elsewhere, place.join("tmp")).unwrap();
        let (path, _) = make(&place, None).unwrap_err();
        assert_eq!(path, place.join("tmp"));
        assert_eq!(mode(&elsewhere), before);
    }
}
