//! Lending a clone to the user that the agent runs as.
//!
//! What holds: the files become the agent's, `.git` and the top directory stay ours. So our git, which
//! opens only what belongs to who runs it, goes on opening the clone without an exception, and what its
//! settings can start is our choice alone; the agent cannot write them, nor put another `.git` in their
//! place (the top directory is sticky). A link is lent as a link, never followed; a file that has
//! another name elsewhere is not lent. What is lent is what was looked at, whatever is renamed meanwhile.
//!
//! Deliberately absent: a directory that we did not clone. Who may do what there is its owner's word.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, chownat, fchmod, fchown, fstat};
use rustix::process::{Gid, Uid};

use crate::agent::User;
use crate::unfollowed;

/// Directories that are nested deeper are not lent: each level holds a file open while it is walked.
const DEPTH_MAX: usize = 256;
/// Ours and the agent's group's, and of nobody else. Sticky: only who owns an entry, or the directory, may
/// rename or remove it.
const TOP: Mode = Mode::SVTX.union(Mode::RWXU).union(Mode::RWXG);

/// Lends all of a clone but its `.git`.
pub(super) fn lend(clone: &Path, user: &User) -> io::Result<()> {
    let to = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let top = unfollowed::directory(CWD, clone)?;
    fchown(&top, Some(rustix::process::geteuid()), Some(to.1))?;
    fchmod(&top, TOP)?;
    lend_within(top, to, |name| name == c".git", DEPTH_MAX)
}

fn lend_within(
    directory: OwnedFd,
    to: (Uid, Gid),
    is_ours: fn(&CStr) -> bool,
    depth: usize,
) -> io::Result<()> {
    if depth == 0 {
        return Err(io::Error::other(format!(
            "it has directories that are nested deeper than {DEPTH_MAX}"
        )));
    }
    let mut entries = Dir::new(directory)?;
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." || is_ours(name) {
            continue;
        }
        let named = unfollowed::named(entries.fd()?, name)?;
        if let Some(inner) = lend_one(named, to)? {
            lend_within(inner, to, |_| false, depth - 1)?;
        }
    }
    Ok(())
}

/// Lends one thing; gives it opened, if it is a directory.
fn lend_one(named: OwnedFd, (uid, gid): (Uid, Gid)) -> io::Result<Option<OwnedFd>> {
    let about = fstat(&named)?;
    let kind = FileType::from_raw_mode(about.st_mode);
    if kind == FileType::RegularFile && about.st_nlink > 1 {
        return Ok(None);
    }
    if (about.st_uid, about.st_gid) != (uid.as_raw(), gid.as_raw()) {
        chownat(named.as_fd(), c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
    }
    if kind != FileType::Directory {
        return Ok(None);
    }
    Ok(Some(unfollowed::directory(named, c".")?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn files_become_the_agents_and_git_and_what_lies_elsewhere_stay_ours() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("only root can give a file away: nothing is tested");
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let (clone, ours) = (root.path().join("clone"), root.path().join("ours"));
        for directory in
            [&ours, &clone.join("src/deep"), &clone.join(".git/hooks"), &clone.join("nested/.git")]
        {
            fs::create_dir_all(directory).unwrap();
        }
        for file in [&ours.join("file"), &clone.join("src/deep/file"), &clone.join(".git/config")] {
            fs::write(file, "x").unwrap();
        }
        symlink(&ours, clone.join("link")).unwrap();
        symlink("/nowhere", clone.join("src/broken")).unwrap();
        fs::hard_link(ours.join("file"), clone.join("src/second-name")).unwrap();
        let user = User { name: "agent".to_owned(), uid: 64_001, gid: 64_002 };

        lend(&clone, &user).unwrap();
        lend(&clone, &user).unwrap();

        let owner = |path: &Path| {
            let about = path.symlink_metadata().unwrap();
            (about.uid(), about.gid())
        };
        let lent =
            ["src", "src/deep", "src/deep/file", "src/broken", "link", "nested", "nested/.git"];
        for name in lent {
            assert_eq!(owner(&clone.join(name)), (64_001, 64_002), "{name}");
        }
        let kept = [".git", ".git/hooks", ".git/config", "src/second-name"];
        for path in
            kept.map(|name| clone.join(name)).into_iter().chain([ours.clone(), ours.join("file")])
        {
            assert_eq!(owner(&path), (0, 0), "{}", path.display());
        }
        assert_eq!(owner(&clone), (0, 64_002));
        assert_eq!(clone.metadata().unwrap().mode() & 0o7777, 0o1770);
    }

    #[test]
    fn directories_without_end_are_an_error_and_no_overflow() {
        let root = tempfile::tempdir().unwrap();
        let deep: std::path::PathBuf = std::iter::repeat_n("d", DEPTH_MAX + 1).collect();
        fs::create_dir_all(root.path().join(deep)).unwrap();
        // One that needs no right to give away.
        let us = (rustix::process::geteuid(), rustix::process::getegid());
        let top = unfollowed::directory(CWD, root.path()).unwrap();
        let error = lend_within(top, us, |_| false, DEPTH_MAX).unwrap_err();
        assert!(error.to_string().contains("nested deeper than 256"), "{error}");
    }
}
