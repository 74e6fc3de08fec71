//! A repository without a work tree: planned for by its URL, refused by its path with the URL named.

use specwright_tests::repository::{Contents, Repository};
use specwright_tests::sample;
use specwright_tests::system::System;

use crate::shape::{is_a_complete_summary, list, text};

/// Makes a bare clone beside a world's other directories; its path.
fn bare_clone(system: &System, repository: &Repository) -> String {
    let path = system.root().join("courier.git").display().to_string();
    repository.git(&["clone", "--quiet", "--bare", "--no-hardlinks", ".", &path]);
    path
}

#[tokio::test]
async fn a_repository_without_a_work_tree_is_planned_for_by_its_url() {
    let (system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let path = bare_clone(&system, &repository);
    let before = Contents::of(path.as_ref());
    let url = format!("file://{path}");
    let arguments = ["launch", "--agent", "rehearsal", "--json", "--repo", &url, sample::IDEA];
    let run = system.run(system.root(), arguments).await.expect_code(0);

    before.is_still_in(path.as_ref());
    let summary = run.summary();
    is_a_complete_summary(&summary, "rehearsal");
    // Its files were there to be read.
    let documents = list(&summary["documents"]).iter().map(text);
    let read = documents.map(|path| std::fs::read_to_string(path).unwrap());
    assert!(read.into_iter().any(|document| document.contains("src/main.rs")), "{summary:#}");
}

#[tokio::test]
async fn the_path_of_a_repository_without_a_work_tree_is_refused_and_its_url_is_named() {
    let (system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let path = bare_clone(&system, &repository);
    let arguments = ["launch", "--agent", "rehearsal", "--json", "--repo", &path, sample::IDEA];
    let run = system.run(system.root(), arguments).await.expect_code(2);
    assert!(run.stderr.contains(&format!("--repo file://{path}")), "{run:#?}");
}
