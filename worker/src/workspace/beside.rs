//! A repository of ours beside a clone: it sees the clone's files and objects, and has settings, an
//! index and branches of its own.
//!
//! What holds: nothing is written into the clone, and none of the clone's settings (which an agent may
//! have written) can make git start a program.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use super::WorkspaceError;
use super::git::Git;

/// Makes it anew in `directory`, with a copy of the clone's index, so that what is unchanged need not
/// be read again.
pub(super) async fn make(clone: &Git, directory: &Path) -> Result<Git, WorkspaceError> {
    let work_tree = clone.directory().to_path_buf();
    let its = work_tree.join(".git");
    let disk = |error: &std::io::Error| WorkspaceError::disk(directory, error);
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(disk(&error)),
        _ => {}
    }
    let mut arguments: Vec<OsString> =
        ["-c", "init.defaultBranch=none", "init", "--quiet", "--bare", "--template="]
            .map(Into::into)
            .into();
    // A clone with other object names has twice as long ones.
    let config = std::fs::read_to_string(its.join("config")).unwrap_or_default();
    if config.to_ascii_lowercase().contains("objectformat = sha256") {
        arguments.push("--object-format=sha256".into());
    }
    arguments.push(directory.as_os_str().to_owned());
    clone.run(arguments).await?;
    let mut objects = its.join("objects").into_os_string().into_vec();
    objects.push(b'\n');
    let info = directory.join("objects/info");
    std::fs::create_dir_all(&info)
        .and_then(|()| std::fs::write(info.join("alternates"), objects))
        .and_then(|()| std::fs::copy(its.join("index"), directory.join("index")).map(drop))
        .map_err(|error| disk(&error))?;
    // Where the clone's history ends.
    if its.join("shallow").exists() {
        std::fs::copy(its.join("shallow"), directory.join("shallow"))
            .map_err(|error| disk(&error))?;
    }
    let git_dir = ("GIT_DIR", directory.as_os_str());
    Ok(clone.clone().with(&[git_dir, ("GIT_WORK_TREE", work_tree.as_os_str())]))
}

/// Whether a path leads through a link: the file is no longer in the work tree, whatever the link leads
/// to. Git refuses to be told of such a path; it goes when the link is added in its directory's place.
pub(super) fn is_beyond_a_link(work_tree: &Path, path: &Path) -> bool {
    let inside = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
    inside.map(|parent| work_tree.join(parent)).any(|parent| parent.is_symlink())
}
