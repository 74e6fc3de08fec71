//! Where the CLI keeps a conversation.
//!
//! What holds: the folders belong to the agent, who may be another user and put anything there. No
//! link below the private directory is followed; only a plain file under one name is a transcript.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, fstat};
use uuid::Uuid;

use super::private::CONFIG_DIR;
use crate::unfollowed;

/// The transcript of a conversation below a private directory, if there is one. The CLI names the
/// folder between after the working directory in a way of its own, so it is looked for in all.
#[must_use]
pub fn transcript(private_dir: &Path, session: Uuid) -> Option<PathBuf> {
    found(private_dir, session).map(|(path, _)| path)
}

/// The same, opened.
pub(crate) fn open_transcript(private_dir: &Path, session: Uuid) -> Option<File> {
    found(private_dir, session).map(|(_, file)| file)
}

fn found(private_dir: &Path, session: Uuid) -> Option<(PathBuf, File)> {
    let mut folder = unfollowed::directory(CWD, private_dir).ok()?;
    for name in [CONFIG_DIR, "projects"] {
        folder = unfollowed::directory(&folder, name).ok()?;
    }
    let name = format!("{session}.jsonl");
    Dir::read_from(&folder).ok()?.filter_map(Result::ok).find_map(|project| {
        let within = unfollowed::directory(&folder, project.file_name()).ok()?;
        let file = plain_file(&within, &name)?;
        let project = std::ffi::OsStr::from_bytes(project.file_name().to_bytes());
        let path = private_dir.join(CONFIG_DIR).join("projects").join(project).join(&name);
        Some((path, file))
    })
}

/// A file that is not empty. A second name of it would be a file from somewhere else.
fn plain_file(folder: impl AsFd, name: &str) -> Option<File> {
    let file = unfollowed::file(folder, name).ok()?;
    let about = fstat(&file).ok()?;
    let plain = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
    (plain && about.st_nlink == 1 && about.st_size > 0).then(|| file.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::Mode;

    use super::*;

    #[test]
    fn a_transcript_is_found_in_any_project_and_an_empty_file_is_none() {
        let place = tempfile::tempdir().unwrap();
        let session = Uuid::from_u128(7);
        assert_eq!(transcript(place.path(), session), None);
        let project = place.path().join("config/projects/-work-space");
        std::fs::create_dir_all(&project).unwrap();
        let path = project.join(format!("{session}.jsonl"));
        std::fs::write(&path, "").unwrap();
        assert_eq!(transcript(place.path(), session), None);
        std::fs::write(&path, "{}\n").unwrap();
        assert_eq!(transcript(place.path(), session), Some(path));
        assert_eq!(transcript(place.path(), Uuid::nil()), None);
    }

    #[test]
    fn a_link_to_a_file_elsewhere_is_no_transcript() {
        let place = tempfile::tempdir().unwrap();
        let session = Uuid::from_u128(7);
        let name = format!("{session}.jsonl");
        let (outside, projects) =
            (place.path().join("outside"), place.path().join("config/projects"));
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::create_dir_all(projects.join("p")).unwrap();
        std::fs::write(outside.join(&name), "not the agent's\n").unwrap();
        let planted = projects.join("p").join(&name);
        let none = || assert_eq!(transcript(place.path(), session), None);

        symlink(outside.join(&name), &planted).unwrap();
        none();
        std::fs::remove_file(&planted).unwrap();
        std::fs::hard_link(outside.join(&name), &planted).unwrap();
        none();
        std::fs::remove_file(&planted).unwrap();
        symlink(&outside, projects.join("q")).unwrap();
        none();
        rustix::fs::mknodat(CWD, &planted, FileType::Fifo, Mode::RWXU, 0).unwrap();
        none();
    }
}
