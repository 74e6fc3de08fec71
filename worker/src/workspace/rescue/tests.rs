//! Real repositories: what an agent did, what is kept of it, and what nobody touched.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use super::super::Workspace;
use super::super::tests::{Place, git, repository, write};
use super::*;

/// The sandbox's token in the settings of these tests.
const SECRET: &str = "token-of-this-sandbox";
const REFERENCE: &str = "refs/heads/specwright/rescue/01890a5d-ac96-774b-bcce-b302099a8058";

fn says(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Index, HEAD and branches as they are.
fn state_of(clone: &Path) -> (Vec<u8>, String, String) {
    let index = fs::read(clone.join(".git/index")).unwrap();
    let head = fs::read_to_string(clone.join(".git/HEAD")).unwrap();
    (index, head, says(clone, &["for-each-ref"]))
}

async fn save(place: &Place, workspace: &Workspace) -> WorkSaved {
    let changed = super::super::Changed { paths: Vec::new(), count: 3 };
    let deadline = Instant::now() + Duration::from_secs(60);
    workspace.save(&place.config(), &changed, deadline).await
}

#[tokio::test]
async fn what_was_changed_is_a_commit_that_the_user_can_fetch_and_all_else_stays_as_it_is() {
    let files = [("a.txt", "a\n"), ("b.txt", "b\n"), ("mode.sh", "x\n"), (".gitignore", "out\n")];
    let place = repository(&files);
    write(&place.repo(), &[("a.txt", "typed by the user\n")]);
    let workspace = place.prepare().await.unwrap();
    let clone = place.workspace();
    write(&clone, &[("b.txt", "by the agent\n"), ("src/new file.rs", "new\n"), ("out", "ignored")]);
    write(&clone, &[("keys.txt", &format!("the key is {SECRET}\n")), ("c", SECRET)]);
    fs::remove_file(clone.join("mode.sh")).unwrap();
    symlink("b.txt", clone.join("link")).unwrap();
    // The clone's own settings and hooks could be the agent's.
    let evil = place.repo().with_file_name("evil");
    says(&clone, &["config", "filter.evil.clean", &format!("touch '{}'; cat", evil.display())]);
    fs::create_dir(clone.join(".git/info")).unwrap();
    fs::write(clone.join(".git/info/attributes"), "* filter=evil\n").unwrap();
    let before = state_of(&clone);
    let users = fs::read(place.repo().join(".git/index")).unwrap();

    let saved = save(&place, &workspace).await;

    assert_eq!(saved.kept, WorkKept::Bundled, "{saved:?}");
    assert_eq!(saved.files, 4, "{saved:?}");
    assert_eq!(saved.reference.as_deref(), Some(REFERENCE));
    assert_eq!(saved.left_out, ["c: it holds a secret", "keys.txt: it holds a secret"]);
    assert!(saved.reason.as_ref().is_some_and(|why| why.contains("no remote")), "{saved:?}");
    assert_eq!(state_of(&clone), before);
    assert!(!evil.exists(), "a program of the clone's settings was run");
    assert_eq!(fs::read(place.repo().join(".git/index")).unwrap(), users);
    assert!(says(&place.repo(), &["for-each-ref"]).lines().count() == 1);
    assert!(!place.config().state_dir.join(BESIDE).exists());

    // The clone goes with its place; the bundle alone must do, in a copy of the user's repository.
    fs::remove_dir_all(&clone).unwrap();
    let copy = place.repo().with_file_name("copy");
    let repo = place.repo().display().to_string();
    git(place.repo().parent().unwrap(), &["clone", "--quiet", &repo, copy.to_str().unwrap()]);
    let bundle = saved.bundle.unwrap();
    git(&copy, &["fetch", "--quiet", &bundle, &format!("{REFERENCE}:refs/heads/rescued")]);
    assert_eq!(says(&copy, &["rev-parse", "rescued"]), saved.commit.unwrap());
    assert_eq!(says(&copy, &["rev-parse", "HEAD"]), saved.base.unwrap());
    let changed = says(&copy, &["diff", "--name-status", "--no-renames", "rescued~", "rescued"]);
    assert_eq!(changed, "M\tb.txt\nA\tlink\nD\tmode.sh\nA\tsrc/new file.rs");
    assert_eq!(says(&copy, &["show", "rescued:a.txt"]), "typed by the user");
    assert_eq!(says(&copy, &["show", "rescued:b.txt"]), "by the agent");
    let bytes = fs::read(&bundle).unwrap();
    assert!(!bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
}

#[tokio::test]
async fn a_workspace_that_is_as_it_was_or_holds_secrets_only_makes_no_commit() {
    let place = repository(&[("a.txt", "a\n")]);
    let workspace = place.prepare().await.unwrap();
    assert_eq!(save(&place, &workspace).await, nothing());
    write(&place.workspace(), &[("keys.txt", SECRET)]);
    let saved = save(&place, &workspace).await;
    assert_eq!((saved.kept, saved.left_out.len()), (WorkKept::Nothing, 1));
    assert!(!place.config().state_dir.join(BUNDLE).exists());
}

#[tokio::test]
async fn work_in_a_repository_without_commits_is_kept_too() {
    let place = repository(&[]);
    let workspace = place.prepare().await.unwrap();
    write(&place.workspace(), &[("a.txt", "by the agent\n")]);
    let saved = save(&place, &workspace).await;
    assert_eq!((saved.kept, saved.base, saved.files), (WorkKept::Bundled, None, 1));
    git(&place.repo(), &["fetch", "--quiet", &saved.bundle.unwrap(), REFERENCE]);
    assert_eq!(says(&place.repo(), &["show", "FETCH_HEAD:a.txt"]), "by the agent");
}

#[tokio::test]
async fn saving_ends_when_its_time_is_up_and_says_so() {
    let place = repository(&[("a.txt", "a\n")]);
    let workspace = place.prepare().await.unwrap();
    write(&place.workspace(), &[("b.txt", "b\n")]);
    let changed = super::super::Changed { paths: Vec::new(), count: 1 };
    let saved = workspace.save(&place.config(), &changed, Instant::now()).await;
    assert_eq!(saved.kept, WorkKept::NotSaved);
    assert!(saved.reason.unwrap().contains("no time left"));
}

#[tokio::test]
async fn a_directory_that_is_no_clone_of_ours_is_left_as_it_is() {
    let place = Place::new();
    write(&place.workspace(), &[("a.txt", "a\n")]);
    let workspace = Workspace::prepare(&place.config(), None).await.unwrap();
    let saved = save(&place, &workspace).await;
    assert_eq!((saved.kept, saved.files), (WorkKept::Untouched, 3));
    assert_eq!(fs::read_dir(place.workspace()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_link_in_a_directorys_place_is_kept_as_a_link_and_nothing_behind_it() {
    let place = repository(&[("docs/a.txt", "a\n"), ("b.txt", "b\n")]);
    let workspace = place.prepare().await.unwrap();
    let outside = place.repo().with_file_name("outside");
    write(&outside, &[("a.txt", "not of this repository\n")]);
    fs::remove_dir_all(place.workspace().join("docs")).unwrap();
    symlink(&outside, place.workspace().join("docs")).unwrap();

    let saved = save(&place, &workspace).await;

    assert_eq!(saved.kept, WorkKept::Bundled, "{saved:?}");
    git(&place.repo(), &["fetch", "--quiet", &saved.bundle.unwrap(), REFERENCE]);
    assert_eq!(says(&place.repo(), &["show", "FETCH_HEAD:docs"]), outside.display().to_string());
    let all = says(&place.repo(), &["ls-tree", "-r", "--name-only", "FETCH_HEAD"]);
    assert_eq!(all, "b.txt\ndocs");
}
