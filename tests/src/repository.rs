//! Git repositories made on the spot, and proof that nobody changed them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A git repository in a directory of its own, gone with the value.
pub struct Repository {
    // Kept for its `Drop`.
    _directory: TempDir,
    path: PathBuf,
}

/// Everything in a directory, `.git` included: what is to stay as it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents(BTreeMap<PathBuf, Entry>);

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    mode: u32,
    /// Also of `.git`: git touches objects that it is asked to write and has already, even through a
    /// clone's hard link, and a lock that came and went shows in its directory.
    modified: (i64, i64),
    content: Vec<u8>,
}

impl Repository {
    /// A repository without a commit.
    #[must_use]
    pub fn empty() -> Self {
        let repository = Self::bare_directory();
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// A repository with one commit of these files.
    #[must_use]
    pub fn with_files<P: AsRef<Path>, C: AsRef<[u8]>>(
        files: impl IntoIterator<Item = (P, C)>,
    ) -> Self {
        let repository = Self::empty();
        for (path, content) in files {
            repository.write(path, content);
        }
        repository.commit("everything");
        repository
    }

    /// A repository with one commit of many small files, a hundred per directory.
    #[must_use]
    pub fn with_many_files(count: usize) -> Self {
        Self::with_files((0..count).map(|index| {
            let path = format!("src/part_{:03}/file_{:02}.rs", index / 100, index % 100);
            (path, format!("pub fn number_{index}() -> usize {{\n    {index}\n}}\n"))
        }))
    }

    /// A clone of a repository on this machine, with what is committed there.
    #[must_use]
    pub fn clone_of(original: &Path) -> Self {
        let repository = Self::bare_directory();
        let from = original.display().to_string();
        repository.git(&["clone", "--quiet", "--no-hardlinks", &from, "."]);
        repository
    }

    fn bare_directory() -> Self {
        let made = tempfile::Builder::new().prefix("specwright-repository-").tempdir();
        let directory = made.unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let path = directory.path().join("repository");
        or_panic(fs::create_dir(&path), &path);
        Self { _directory: directory, path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of the work tree.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path.join(path);
        if let Some(parent) = path.parent() {
            or_panic(fs::create_dir_all(parent), parent);
        }
        or_panic(fs::write(&path, content), &path);
    }

    /// Commits the work tree as it is.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// Runs git in the work tree; its output.
    ///
    /// # Panics
    /// When git fails; the message holds what it said.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            // A repository that tidies itself up in the background would look like one that someone
            // changed.
            .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "core.fsync=none"])
            .args(arguments)
            .current_dir(&self.path)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .envs([("GIT_AUTHOR_NAME", "A Person"), ("GIT_AUTHOR_EMAIL", "person@example.org")])
            .envs([("GIT_COMMITTER_NAME", "A Person")])
            .envs([("GIT_COMMITTER_EMAIL", "person@example.org")])
            .output()
            .unwrap_or_else(|error| panic!("git cannot be started: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?} failed: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Everything in it, byte for byte, with modes and times of change.
    #[must_use]
    pub fn contents(&self) -> Contents {
        Contents::of(&self.path)
    }
}

impl Contents {
    /// Reads a directory and all below it. What is gone before it is read was not there: somebody may
    /// be at work in it.
    ///
    /// # Panics
    /// When something in it cannot be read.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let mut entries = BTreeMap::new();
        let mut open = vec![root.to_path_buf()];
        while let Some(directory) = open.pop() {
            let Some(found) = unless_gone(fs::read_dir(&directory), &directory) else { continue };
            for entry in found {
                let path = or_panic(entry, &directory).path();
                let Some(about) = unless_gone(fs::symlink_metadata(&path), &path) else { continue };
                let content = if about.is_symlink() {
                    let target = unless_gone(fs::read_link(&path), &path);
                    target.map(|target| target.into_os_string().into_encoded_bytes())
                } else if about.is_dir() {
                    open.push(path.clone());
                    Some(Vec::new())
                } else {
                    unless_gone(fs::read(&path), &path)
                };
                let Some(content) = content else { continue };
                let mode = about.permissions().mode();
                let name = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
                let modified = (about.mtime(), about.mtime_nsec());
                entries.insert(name, Entry { mode, modified, content });
            }
        }
        Self(entries)
    }

    /// Proves that what is there now is the same.
    ///
    /// # Panics
    /// When it is not; the message names the first few differences.
    #[track_caller]
    pub fn is_still_in(&self, root: &Path) {
        let differences = self.differences(&Self::of(root));
        let first = &differences[..differences.len().min(20)];
        assert!(first.is_empty(), "{} differences, among them {first:#?}", differences.len());
    }

    /// The paths that are not the same in both, e.g. `src/main.rs (changed)`.
    #[must_use]
    pub fn differences(&self, later: &Self) -> Vec<String> {
        let mut names: Vec<_> = self.0.keys().chain(later.0.keys()).collect();
        names.sort();
        names.dedup();
        names
            .into_iter()
            .filter_map(|name| {
                let what = match (self.0.get(name), later.0.get(name)) {
                    (Some(before), Some(after)) if before == after => return None,
                    (Some(before), Some(after)) if before.content == after.content => "touched",
                    (Some(_), Some(_)) => "changed",
                    (None, _) => "new",
                    (_, None) => "gone",
                };
                Some(format!("{} ({what})", name.display()))
            })
            .collect()
    }

    /// The files in which a text stands.
    #[must_use]
    pub fn holding(&self, text: &str) -> Vec<&Path> {
        let needle = text.as_bytes();
        let holds = |entry: &Entry| entry.content.windows(needle.len()).any(|part| part == needle);
        self.0.iter().filter(|(_, entry)| holds(entry)).map(|(path, _)| path.as_path()).collect()
    }
}

#[track_caller]
fn unless_gone<T>(result: io::Result<T>, path: &Path) -> Option<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        other => Some(or_panic(other, path)),
    }
}

#[track_caller]
fn or_panic<T>(result: io::Result<T>, path: &Path) -> T {
    result.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_that_nobody_touches_stays_the_same() {
        let repository = Repository::with_files([("a.txt", "a"), ("b/c.txt", "c")]);
        assert_eq!(repository.git(&["status", "--porcelain"]), "");
        let before = repository.contents();
        before.is_still_in(repository.path());
    }

    #[test]
    fn every_kind_of_change_is_found_and_named() {
        let repository = Repository::with_files([("a.txt", "a"), ("b.txt", "b"), ("c.txt", "c")]);
        let before = repository.contents();
        repository.write("a.txt", "other");
        fs::remove_file(repository.path().join("b.txt")).unwrap();
        repository.write("d.txt", "d");
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(repository.path().join("c.txt"), executable).unwrap();
        assert_eq!(
            before.differences(&repository.contents()),
            ["a.txt (changed)", "b.txt (gone)", "c.txt (touched)", "d.txt (new)"]
        );
    }

    #[test]
    fn a_text_is_found_in_whatever_file_it_stands() {
        let repository = Repository::with_files([("a/b.bin", b"\xff\0a secret\n".as_slice())]);
        assert_eq!(repository.contents().holding("a secret"), [Path::new("a/b.bin")]);
        assert!(repository.contents().holding("another secret").is_empty());
    }
}
