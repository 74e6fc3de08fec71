//! Directories and files that only their owner may open: ideas, contents of repositories,
//! transcripts and the database are nobody else's business on a machine that others use, too.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

/// The bits that open something to others than its owner.
const OTHERS: u32 = 0o077;
/// The bit of a directory that is shared on purpose, like `/tmp`.
const SHARED: u32 = 0o1000;

/// Makes a directory, and what is missing above it, for this user alone (mode 0700). One that is
/// there and ours is closed to others; one of another user is left as that user wants it.
///
/// # Errors
/// When it cannot be made or closed, or is a place that all users share: closing that would take it
/// from them.
pub fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let about = fs::metadata(path)?;
    if about.mode() & SHARED != 0 {
        let mode = about.mode() & 0o7777;
        let sentence = format!("all users share it (mode {mode:04o}); give a directory below it");
        return Err(io::Error::new(ErrorKind::InvalidInput, sentence));
    }
    close_to_others(path, &about)
}

/// Makes a file for this user alone (mode 0600), or closes the one that is there.
pub(crate) fn private_file(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    close_to_others(path, &file.metadata()?)
}

fn close_to_others(path: &Path, about: &fs::Metadata) -> io::Result<()> {
    let ours = about.uid() == rustix::process::geteuid().as_raw();
    if ours && about.mode() & OTHERS != 0 {
        fs::set_permissions(path, Permissions::from_mode(about.mode() & 0o7777 & !OTHERS))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_is_made_and_what_is_there_is_for_its_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let made = place.path().join("a/b");
        private_directory(&made).unwrap();
        assert_eq!((mode(&made), mode(made.parent().unwrap())), (0o700, 0o700));
        let (there, file) = (place.path().join("there"), made.join("file"));
        fs::create_dir(&there).unwrap();
        fs::set_permissions(&there, Permissions::from_mode(0o755)).unwrap();
        private_directory(&there).unwrap();
        assert_eq!(mode(&there), 0o700);
        private_file(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        private_file(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn a_place_that_all_users_share_is_refused_and_left_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let shared = place.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
        let error = private_directory(&shared).unwrap_err();
        assert!(error.to_string().contains("mode 1777"), "{error}");
        assert_eq!(mode(&shared), 0o1777);
    }
}
