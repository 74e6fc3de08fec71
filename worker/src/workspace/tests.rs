//! Real repositories, and the proof that the user's own is not touched.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use super::*;
use crate::config::Config;

pub(super) struct Place {
    root: tempfile::TempDir,
    /// The name of the user's repository.
    name: &'static str,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), name: "the user's repo" }
    }

    pub(super) fn repo(&self) -> PathBuf {
        self.root.path().join(self.name)
    }

    pub(super) fn workspace(&self) -> PathBuf {
        self.root.path().join("work space")
    }

    pub(super) fn config(&self) -> Config {
        fs::create_dir_all(self.root.path().join("state")).unwrap();
        let at = |name: &str| self.root.path().join(name).display().to_string();
        let settings = BTreeMap::from([
            ("SPEC_ID", "01890a5d-ac96-774b-bcce-b302099a8057".to_owned()),
            ("SANDBOX_ID", "01890a5d-ac96-774b-bcce-b302099a8058".to_owned()),
            ("SANDBOX_TOKEN", "token-of-this-sandbox".to_owned()),
            ("CONTROL_API_URL", "http://127.0.0.1:9".to_owned()),
            ("WORKSPACE_DIR", at("work space")),
            ("STATE_DIR", at("state")),
            ("AGENT", "rehearsal".to_owned()),
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", at("home")),
        ]);
        Config::from_lookup(&|name| settings.get(name).map(OsString::from)).unwrap()
    }

    pub(super) async fn prepare(&self) -> Result<Workspace, WorkspaceError> {
        let repo = self.repo();
        Workspace::prepare(&self.config(), Some(repo.to_str().unwrap())).await
    }
}

pub(super) fn git(directory: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(super) fn repository(files: &[(&str, &str)]) -> Place {
    repository_named("the user's repo", files)
}

fn repository_named(name: &'static str, files: &[(&str, &str)]) -> Place {
    let place = Place { name, ..Place::new() };
    fs::create_dir(place.repo()).unwrap();
    git(&place.repo(), &["init", "--quiet"]);
    write(&place.repo(), files);
    if !files.is_empty() {
        git(&place.repo(), &["add", "--all"]);
        git(&place.repo(), &["commit", "--quiet", "--message", "first"]);
    }
    place
}

pub(super) fn write(directory: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Size, time, mode, links, and content of a file.
type Picture = (u64, i64, i64, u32, u64, Vec<u8>);

/// Every file below a directory.
fn picture(directory: &Path) -> BTreeMap<PathBuf, Picture> {
    let mut all = BTreeMap::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let about = path.symlink_metadata().unwrap();
            let content = if about.is_file() {
                fs::read(&path).unwrap()
            } else if about.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                open.push(path.clone());
                Vec::new()
            };
            let size = if about.is_dir() { 0 } else { about.len() };
            let picture =
                (size, about.mtime(), about.mtime_nsec(), about.mode(), about.nlink(), content);
            all.insert(path, picture);
        }
    }
    all
}

#[tokio::test]
async fn the_clone_is_the_work_tree_as_it_stands_and_the_users_is_untouched() {
    let place = repository(&[
        ("kept.txt", "kept"),
        ("changed.txt", "old"),
        ("gone.txt", "gone"),
        ("was-a-file", "file"),
        ("was-a-dir/inner.txt", "inner"),
        (".gitignore", "ignored/\n"),
        ("a b\nc.txt", "odd name"),
    ]);
    let repo = place.repo();
    symlink("/etc", repo.join("was-a-link")).unwrap();
    git(&repo, &["add", "--all"]);
    git(&repo, &["commit", "--quiet", "--message", "link"]);
    fs::write(repo.join("changed.txt"), "new").unwrap();
    fs::remove_file(repo.join("gone.txt")).unwrap();
    fs::remove_file(repo.join("was-a-file")).unwrap();
    write(&repo, &[("was-a-file/now.txt", "dir"), ("new dir/untracked\n.txt", "new")]);
    fs::remove_dir_all(repo.join("was-a-dir")).unwrap();
    fs::write(repo.join("was-a-dir"), "now a file").unwrap();
    fs::remove_file(repo.join("was-a-link")).unwrap();
    write(&repo, &[("was-a-link/passwd2", "stays inside"), ("ignored/big.bin", "ignored")]);
    symlink("kept.txt", repo.join("new-link")).unwrap();
    fs::write(repo.join("staged.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(repo.join("staged.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    git(&repo, &["add", "staged.sh"]);

    let before = picture(&repo);
    let workspace = place.prepare().await.unwrap();
    assert_eq!(before, picture(&repo), "the user's repository changed");
    let clone = place.workspace();
    let read = |path: &str| fs::read_to_string(clone.join(path)).unwrap();
    assert_eq!(read("kept.txt"), "kept");
    assert_eq!(read("changed.txt"), "new");
    assert!(!clone.join("gone.txt").exists());
    assert_eq!(read("was-a-file/now.txt"), "dir");
    assert_eq!(read("was-a-dir"), "now a file");
    assert_eq!(read("was-a-link/passwd2"), "stays inside");
    assert_eq!(read("new dir/untracked\n.txt"), "new");
    assert_eq!(read("a b\nc.txt"), "odd name");
    assert_eq!(fs::read_link(clone.join("new-link")).unwrap(), Path::new("kept.txt"));
    assert!(!clone.join("ignored").exists());
    assert_eq!(clone.join("staged.sh").metadata().unwrap().mode() & 0o111, 0o111);
    assert!(!Path::new("/etc/passwd2").exists());
    let remotes = Command::new("git").arg("remote").current_dir(&clone).output().unwrap();
    assert!(remotes.stdout.is_empty());

    let pristine = workspace.fingerprint().await.unwrap();
    assert_eq!(pristine.changed_until(&workspace.fingerprint().await.unwrap()), None);
}

#[tokio::test]
async fn every_kind_of_change_is_seen_and_undone() {
    let place = repository(&[("a.txt", "a"), (".gitignore", "*.log\n")]);
    write(&place.repo(), &[("uncommitted.txt", "mine")]);
    let workspace = place.prepare().await.unwrap();
    let pristine = workspace.fingerprint().await.unwrap();
    let clone = place.workspace();
    let changes: [(&str, &dyn Fn()); 5] = [
        ("a.txt", &|| fs::write(clone.join("a.txt"), "b").unwrap()),
        ("uncommitted.txt", &|| fs::remove_file(clone.join("uncommitted.txt")).unwrap()),
        ("new.txt", &|| fs::write(clone.join("new.txt"), "n").unwrap()),
        ("x.log", &|| fs::write(clone.join("x.log"), "ignored").unwrap()),
        ("HEAD", &|| git(&clone, &["commit", "--quiet", "--allow-empty", "--message", "sly"])),
    ];
    for (path, change) in changes {
        change();
        let now = workspace.fingerprint().await.unwrap();
        let changed = pristine.changed_until(&now).unwrap_or_else(|| panic!("{path} not seen"));
        assert!(changed.paths.iter().any(|named| named.starts_with(path)), "{path}: {changed:?}");
        assert!(workspace.restore().await.unwrap());
        assert_eq!(pristine.changed_until(&workspace.fingerprint().await.unwrap()), None, "{path}");
    }
}

#[tokio::test]
async fn an_empty_repository_works() {
    let place = repository(&[]);
    let before = picture(&place.repo());
    let workspace = place.prepare().await.unwrap();
    assert_eq!(workspace.commit, None);
    let pristine = workspace.fingerprint().await.unwrap();
    fs::write(place.workspace().join("x"), "x").unwrap();
    assert!(pristine.changed_until(&workspace.fingerprint().await.unwrap()).is_some());
    assert!(workspace.restore().await.unwrap());
    assert_eq!(before, picture(&place.repo()));
}

#[tokio::test]
async fn a_repository_without_commits_but_with_files_works() {
    let place = repository(&[]);
    write(&place.repo(), &[("README.md", "hello")]);
    let workspace = place.prepare().await.unwrap();
    assert_eq!(workspace.commit, None);
    assert_eq!(fs::read_to_string(place.workspace().join("README.md")).unwrap(), "hello");
}

#[tokio::test]
async fn a_repository_with_a_line_break_in_its_path_works() {
    let place = repository_named("repo\nwith a line break", &[("a.txt", "a")]);
    write(&place.repo(), &[("b.txt", "b")]);
    let before = picture(&place.repo());
    place.prepare().await.unwrap();
    assert_eq!(fs::read_to_string(place.workspace().join("a.txt")).unwrap(), "a");
    assert_eq!(fs::read_to_string(place.workspace().join("b.txt")).unwrap(), "b");
    assert_eq!(before, picture(&place.repo()));
}

#[tokio::test]
async fn two_thousand_files_are_cloned() {
    let names: Vec<String> = (0..2000).map(|n| format!("d{}/f{n}.txt", n % 50)).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    let place = repository(&files);
    write(&place.repo(), &[("d0/f0.txt", "changed")]);
    place.prepare().await.unwrap();
    assert_eq!(fs::read_to_string(place.workspace().join("d0/f0.txt")).unwrap(), "changed");
    assert!(place.workspace().join("d49/f1999.txt").exists());
}

#[tokio::test]
async fn a_clone_is_found_again_after_a_restart_and_half_a_clone_is_made_anew() {
    let place = repository(&[("a.txt", "a")]);
    let first = place.prepare().await.unwrap();
    fs::write(place.workspace().join("left-over"), "x").unwrap();
    let again = place.prepare().await.unwrap();
    assert_eq!(first.commit, again.commit);
    assert!(!place.workspace().join("left-over").exists());

    fs::write(place.root.path().join("state/workspace.json"), "{\"state\":\"begun\"}").unwrap();
    fs::remove_dir_all(place.workspace().join(".git")).unwrap();
    place.prepare().await.unwrap();
    assert_eq!(fs::read_to_string(place.workspace().join("a.txt")).unwrap(), "a");
}

/// A bare copy of a repository, and its URL.
fn bare_copy(of: &Place) -> (PathBuf, String) {
    let bare = of.root.path().join("bare.git");
    git(of.root.path(), &["clone", "--quiet", "--bare", of.name, "bare.git"]);
    let url = format!("file://{}", bare.display());
    (bare, url)
}

#[tokio::test]
async fn a_url_of_a_repository_without_a_work_tree_is_cloned_and_that_one_is_untouched() {
    let place = repository(&[("a.txt", "a")]);
    let (bare, url) = bare_copy(&place);
    let before = picture(&bare);
    let workspace = Workspace::prepare(&place.config(), Some(&url)).await.unwrap();
    assert_eq!(before, picture(&bare), "the bare repository changed");
    assert!(workspace.commit.is_some());
    assert_eq!(fs::read_to_string(place.workspace().join("a.txt")).unwrap(), "a");
}

#[tokio::test]
async fn a_file_url_means_what_is_committed_there() {
    let place = repository_named("repo", &[("a.txt", "committed")]);
    write(&place.repo(), &[("a.txt", "changed since"), ("new.txt", "new")]);
    let before = picture(&place.repo());
    let url = format!("file://{}", place.repo().display());
    Workspace::prepare(&place.config(), Some(&url)).await.unwrap();
    assert_eq!(before, picture(&place.repo()), "the user's repository changed");
    assert_eq!(fs::read_to_string(place.workspace().join("a.txt")).unwrap(), "committed");
    assert!(!place.workspace().join("new.txt").exists());
}

#[tokio::test]
async fn a_path_of_a_repository_without_a_work_tree_is_refused_and_its_url_is_named() {
    let place = repository(&[("a.txt", "a")]);
    let (bare, url) = bare_copy(&place);
    let said = Workspace::prepare(&place.config(), bare.to_str()).await.unwrap_err().to_string();
    assert!(said.contains("without a work tree") && said.contains(&url), "{said}");
}

#[tokio::test]
async fn a_head_that_names_no_branch_is_refused_and_the_branches_are_named() {
    let place = repository(&[("a.txt", "a")]);
    let (bare, url) = bare_copy(&place);
    git(&bare, &["symbolic-ref", "HEAD", "refs/heads/gone"]);
    let said = Workspace::prepare(&place.config(), Some(&url)).await.unwrap_err().to_string();
    assert!(said.contains("(main)") && said.contains("BASE_BRANCH"), "{said}");
    // Without any branch there is nothing to choose: an empty repository is planned for.
    git(&bare, &["update-ref", "-d", "refs/heads/main"]);
    let workspace = Workspace::prepare(&place.config(), Some(&url)).await.unwrap();
    assert_eq!(workspace.commit, None);
}

#[tokio::test]
async fn what_cannot_be_cloned_is_refused_with_a_sentence() {
    let place = Place::new();
    let config = place.config();
    let said = Workspace::prepare(&config, None).await.unwrap_err().to_string();
    assert!(said.contains("names no repository"), "{said}");
    let refused = async |repository: &str| {
        Workspace::prepare(&config, Some(repository)).await.unwrap_err().to_string()
    };
    assert!(refused("/nowhere/at/all").await.contains("does not exist"));
    assert!(refused("ext::sh -c id").await.contains("cannot be cloned"));
    assert!(refused("--upload-pack=x").await.contains("cannot be cloned"));
    let plain = tempfile::tempdir().unwrap();
    let said = refused(plain.path().to_str().unwrap()).await;
    assert!(said.contains("is not a git repository"), "{said}");

    let place = repository(&[("a", "a")]);
    write(&place.workspace(), &[("someone's work", "x")]);
    let said = place.prepare().await.unwrap_err().to_string();
    assert!(said.contains("not a clone of ours"), "{said}");
    assert!(place.workspace().join("someone's work").exists());
}

#[tokio::test]
async fn a_directory_that_is_not_ours_is_compared_and_never_put_back() {
    let place = Place::new();
    write(&place.workspace(), &[("a.txt", "a")]);
    let workspace = Workspace::prepare(&place.config(), None).await.unwrap();
    let pristine = workspace.fingerprint().await.unwrap();
    fs::write(place.workspace().join("a.txt"), "changed").unwrap();
    write(&place.workspace(), &[("b.txt", "b")]);
    let changed = pristine.changed_until(&workspace.fingerprint().await.unwrap()).unwrap();
    assert_eq!(changed.paths, ["a.txt", "b.txt"]);
    assert!(!workspace.restore().await.unwrap());
    assert_eq!(fs::read_to_string(place.workspace().join("a.txt")).unwrap(), "changed");
}

#[tokio::test]
async fn file_changes_are_seen() {
    use specwright_shared::wire::event::FileChange;
    use tokio_util::sync::CancellationToken;
    let place = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let (mut watch, hold) = watch::start(place.path().to_path_buf(), None, stop.clone());
    let holding = tokio::spawn(hold);
    let seen = async {
        let mut number = 0;
        loop {
            // The watcher is set up in the background: files are made until one is seen.
            number += 1;
            fs::write(place.path().join(format!("{number}.txt")), "x").unwrap();
            let wait =
                tokio::time::timeout(std::time::Duration::from_millis(50), watch.seen.recv());
            if let Ok(Some(watch::Seen::Changed(change))) = wait.await {
                return change;
            }
        }
    };
    let change = tokio::time::timeout(std::time::Duration::from_secs(60), seen)
        .await
        .expect("a file change is seen");
    assert!(change.path.ends_with(".txt") && change.change == FileChange::Created, "{change:?}");
    stop.cancel();
    holding.await.unwrap();
}

#[tokio::test]
async fn a_branch_to_start_from_that_is_not_there_is_refused_by_name() {
    let place = repository(&[("a.txt", "a\n")]);
    git(&place.repo(), &["branch", "there"]);
    let url = format!("file://{}", place.repo().display());
    let mut config = place.config();
    config.github.base_branch = Some("missing".to_owned());
    let error = Workspace::prepare(&config, Some(&url)).await.unwrap_err();
    assert!(matches!(error, WorkspaceError::NoBranch { .. }), "{error:?}");
    assert!(error.to_string().contains("no branch `missing`; set BASE_BRANCH"), "{error}");
    config.github.base_branch = Some("there".to_owned());
    Workspace::prepare(&config, Some(&url)).await.unwrap();
}
