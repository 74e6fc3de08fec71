//! A copy is made while the server is at work, and put back when it is not.

use rustix::process::Signal;
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::System;

use crate::shape::{is_a_complete_summary, text};

#[tokio::test]
async fn what_a_server_kept_at_the_time_of_the_copy_is_there_again() {
    let (mut system, repository) = (System::new(), Repository::with_files(sample::FILES));
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--json"];
    let mut server = system.start(system.root(), arguments);
    let started = server.started().await;
    let token = std::fs::read_to_string(text(&started["token_file"])).unwrap();
    system.set("SPECWRIGHT_URL", text(&started["url"])).set("SPECWRIGHT_TOKEN", token.trim());
    let launch = ["launch", "--agent", "rehearsal", "--json", sample::IDEA];
    let first = system.run(repository.path(), launch).await.expect_code(0).summary();
    is_a_complete_summary(&first, "rehearsal");

    // In the middle of another run.
    let mut second = system.start(repository.path(), launch);
    second.event_where("spec.phase_completed", |_| true).await;
    let copied = system.run(system.root(), ["backup", "copy.db"]).await.expect_code(0);
    assert!(copied.stdout.contains("copy.db is a whole and checked copy"), "{}", copied.stdout);
    let taken = system.run(system.root(), ["backup", "copy.db"]).await.expect_code(2);
    assert!(taken.stderr.contains("is there already"), "{}", taken.stderr);
    let second = second.finish().await.expect_code(0).summary();
    let third = system.run(repository.path(), launch).await.expect_code(0).summary();
    let refused = system.run(system.root(), ["restore", "copy.db"]).await.expect_code(3);
    assert!(refused.stderr.contains("a control API has"), "{}", refused.stderr);

    server.signal(Signal::TERM);
    server.finish().await.expect_code(0);
    system.unset("SPECWRIGHT_URL").unset("SPECWRIGHT_TOKEN");
    let restored = system.run(system.root(), ["restore", "copy.db"]).await.expect_code(0);
    assert!(restored.stdout.contains("is kept as"), "{}", restored.stdout);
    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).stdout;
    for (summary, is_there) in [(&first, true), (&second, true), (&third, false)] {
        assert_eq!(listed.contains(&text(&summary["spec_id"])), is_there, "{listed}");
    }
    let shown = system.run(system.root(), ["show", &text(&first["spec_id"])]).await.expect_code(0);
    assert!(shown.stdout.contains("completed"), "{}", shown.stdout);
    system.nothing_left().await;
}
