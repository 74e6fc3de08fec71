//! Real repositories: what is done to the files, and what is then said of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

const SECRET: &str = "sk-very-secret-value-0123456789";

struct Place {
    root: tempfile::TempDir,
    shadow: Shadow,
}

fn git(directory: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Place {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let clone = root.path().join("clone of mine");
        fs::create_dir_all(clone.join("src")).unwrap();
        fs::create_dir(root.path().join("state")).unwrap();
        fs::write(clone.join("src/main.rs"), "fn main() {}\n").unwrap();
        let long: String = (0..60).map(|n| format!("line {n}\n")).collect();
        fs::write(clone.join("long.txt"), long).unwrap();
        fs::write(clone.join(".gitignore"), "target\n").unwrap();
        git(&clone, &["init", "--quiet"]);
        git(&clone, &["add", "--all"]);
        git(&clone, &["commit", "--quiet", "--message", "first"]);
        let inside = Git::new(&clone, &crate::workspace::tests::Place::new().config());
        let redactor = Redactor::new([SECRET.to_owned()]);
        let mut shadow = Shadow::of(&inside, &root.path().join("state"), redactor);
        shadow.open().await.unwrap();
        Self { root, shadow }
    }

    fn clone(&self) -> PathBuf {
        self.root.path().join("clone of mine")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.clone().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    async fn look(&mut self) -> Vec<FileEdited> {
        self.shadow.look(&BTreeSet::new()).await.unwrap().files
    }
}

fn what(file: &FileEdited) -> (&str, FileChange, Option<u64>, Option<u64>) {
    (file.path.as_str(), file.change, file.lines_added, file.lines_removed)
}

#[tokio::test]
async fn nothing_changed_is_nothing_and_each_edit_is_told_once_as_what_it_added() {
    let mut place = Place::new().await;
    assert_eq!(place.look().await, []);
    place.write("src/main.rs", "fn main() {\n    one();\n}\n");
    let files = place.look().await;
    assert_eq!(
        files.iter().map(what).collect::<Vec<_>>(),
        [("src/main.rs", FileChange::Modified, Some(3), Some(1))]
    );
    let diff = files[0].diff.as_ref().unwrap();
    assert!(diff.text.contains("-fn main() {}\n") && diff.text.contains("+    one();\n"));
    assert!(diff.text.starts_with("diff --git ") && !diff.cut);
    assert_eq!(place.look().await, []);
    place.write("src/main.rs", "fn main() {\n    one();\n    two();\n}\n");
    let again = place.look().await;
    assert_eq!((again[0].lines_added, again[0].lines_removed), (Some(1), Some(0)));
}

#[tokio::test]
async fn created_deleted_and_renamed_files_are_told_apart_whatever_their_names() {
    let mut place = Place::new().await;
    place.write("new dir/näme with\nnewline.txt", "diff --git a/x b/x\n");
    fs::remove_file(place.clone().join("src/main.rs")).unwrap();
    fs::rename(place.clone().join("long.txt"), place.clone().join("longer.txt")).unwrap();
    let files = place.look().await;
    let mut seen: Vec<_> = files.iter().map(what).collect();
    seen.sort_by_key(|seen| seen.0);
    assert_eq!(
        seen,
        [
            ("longer.txt", FileChange::Renamed, Some(0), Some(0)),
            ("new dir/näme with\nnewline.txt", FileChange::Created, Some(1), Some(0)),
            ("src/main.rs", FileChange::Deleted, Some(0), Some(1)),
        ]
    );
    let of = |name: &str| files.iter().find(|file| file.path == name).unwrap();
    assert_eq!(of("longer.txt").from.as_deref(), Some("long.txt"));
    // A line of content that looks like a header is content.
    let created = of("new dir/näme with\nnewline.txt").diff.as_ref().unwrap();
    assert!(created.text.contains("\n+diff --git a/x b/x\n"), "{created:?}");
    assert!(of("src/main.rs").diff.as_ref().unwrap().text.contains("-fn main() {}"));
}

#[tokio::test]
async fn binary_and_huge_files_are_named_without_content_and_once() {
    let mut place = Place::new().await;
    place.write("picture.png", [0_u8, 159, 146, 150, 0, 1]);
    place.write("huge.log", "x\n".repeat(200_000));
    let files = place.look().await;
    let of = |name: &str| files.iter().find(|file| file.path == name).unwrap();
    assert_eq!(files.len(), 2, "{files:?}");
    for (name, why) in [("picture.png", Unshown::Binary), ("huge.log", Unshown::Huge)] {
        assert_eq!((of(name).change, of(name).unshown), (FileChange::Created, Some(why)));
        assert_eq!((of(name).diff.as_ref(), of(name).lines_added), (None, None));
    }
    assert_eq!(place.look().await, []);
    fs::remove_file(place.clone().join("huge.log")).unwrap();
    let gone = place.look().await;
    assert_eq!(
        gone.iter().map(what).collect::<Vec<_>>(),
        [("huge.log", FileChange::Deleted, None, None)]
    );
}

#[tokio::test]
async fn a_tracked_file_that_becomes_huge_is_modified_and_its_end_is_told() {
    let mut place = Place::new().await;
    place.write("long.txt", "y\n".repeat(200_000));
    let files = place.look().await;
    assert_eq!((files[0].change, files[0].unshown), (FileChange::Modified, Some(Unshown::Huge)));
    fs::remove_file(place.clone().join("long.txt")).unwrap();
    let files = place.look().await;
    assert_eq!(files.iter().map(|file| file.change).collect::<Vec<_>>(), [FileChange::Deleted]);
}

#[tokio::test]
async fn a_secret_is_redacted_also_where_the_diff_is_cut() {
    let mut place = Place::new().await;
    place.write("a.env", format!("KEY={SECRET}\n"));
    let header = place.look().await[0].diff.as_ref().unwrap().text.find("KEY=").unwrap();
    // The cut falls into the middle of the secret.
    let filling = "f".repeat(DIFF_MAX_BYTES - header - "KEY=".len() - 10);
    place.write("b.env", format!("{filling}KEY={SECRET}\n"));
    let cut = place.look().await.remove(0).diff.unwrap();
    assert!(cut.cut && !cut.text.contains("sk-very"), "{}", &cut.text[cut.text.len() - 40..]);
    place.write("c.env", format!("KEY={SECRET}\n"));
    assert!(place.look().await[0].diff.as_ref().unwrap().text.contains("+KEY=[redacted]"));
}

#[tokio::test]
async fn a_flood_of_files_is_named_and_counted_without_content() {
    let mut place = Place::new().await;
    for n in 0..(EVENTS_MAX + 50) {
        place.write(&format!("many/{n}.txt"), "x\n");
    }
    let found = place.shadow.look(&BTreeSet::new()).await.unwrap();
    assert_eq!((found.files.len(), found.more), (EVENTS_MAX, 50));
    assert!(found.files.iter().all(|file| file.unshown == Some(Unshown::TooMany)));
    assert_eq!(place.look().await, []);
}

#[tokio::test]
async fn an_ignored_file_is_named_only_when_the_watcher_saw_it() {
    let mut place = Place::new().await;
    place.write("target/out.o", "x");
    assert_eq!(place.look().await, []);
    let hinted = BTreeSet::from([PathBuf::from("target/out.o"), PathBuf::from("target")]);
    let files = place.shadow.look(&hinted).await.unwrap().files;
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(
        (files[0].path.as_str(), files[0].unshown),
        ("target/out.o", Some(Unshown::Ignored))
    );
}

#[tokio::test]
async fn a_link_that_replaces_a_file_and_its_neighbours_have_their_own_diffs() {
    let mut place = Place::new().await;
    fs::remove_file(place.clone().join("long.txt")).unwrap();
    symlink("/etc/passwd", place.clone().join("long.txt")).unwrap();
    place.write("src/main.rs", "fn main() { two(); }\n");
    let files = place.look().await;
    let of = |name: &str| files.iter().find(|file| file.path == name).unwrap();
    let link = &of("long.txt").diff.as_ref().unwrap().text;
    assert!(link.contains("+/etc/passwd") && !link.contains("root:"), "{link}");
    assert!(of("src/main.rs").diff.as_ref().unwrap().text.contains("+fn main() { two(); }"));
}

#[tokio::test]
async fn the_clone_is_neither_written_nor_obeyed() {
    let mut place = Place::new().await;
    let proof = place.root.path().join("ran");
    // A filter that the agent sets in the clone would run as us.
    let filter = format!("touch '{}'; cat", proof.display());
    git(&place.clone(), &["config", "filter.evil.clean", &filter]);
    let before = fs::read(place.clone().join(".git/index")).unwrap();
    place.write(".gitattributes", "* filter=evil\n");
    place.write("src/main.rs", "fn main() { evil(); }\n");
    assert_eq!(place.look().await.len(), 2);
    assert!(!proof.exists(), "the clone's own filter was run");
    assert_eq!(fs::read(place.clone().join(".git/index")).unwrap(), before);
}

#[tokio::test]
async fn a_link_or_a_file_that_replaces_a_directory_is_told_and_nothing_behind_it_is_read() {
    let mut place = Place::new().await;
    place.write("docs/a.txt", "a\n");
    assert_eq!(place.look().await.len(), 1);
    let outside = place.root.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("main.rs"), "not of this repository\n").unwrap();
    fs::remove_dir_all(place.clone().join("src")).unwrap();
    symlink(&outside, place.clone().join("src")).unwrap();
    fs::remove_dir_all(place.clone().join("docs")).unwrap();
    place.write("docs", "now a file\n");

    let files = place.look().await;

    let mut told: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.change)).collect();
    told.sort_by_key(|(path, _)| *path);
    let expected = [
        ("docs", FileChange::Created),
        ("docs/a.txt", FileChange::Deleted),
        ("src", FileChange::Created),
        ("src/main.rs", FileChange::Deleted),
    ];
    assert_eq!(told, expected);
    assert!(!format!("{files:?}").contains("not of this repository"));
    assert!(place.look().await.is_empty());
}
