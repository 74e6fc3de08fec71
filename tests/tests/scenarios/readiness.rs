//! What `launch` says when something that it needs is missing: before it starts anything.

use specwright_tests::messages_api::{MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Finished, System, claude_cli};

async fn launch(system: &System) -> Finished {
    let repository = Repository::with_files(sample::FILES);
    let run = system.run(repository.path(), ["launch", sample::IDEA]).await.expect_code(3);
    assert!(run.stderr.contains("--agent rehearsal"), "the way out is named: {run:#?}");
    assert!(!system.data().join("sandboxes").exists(), "nothing was started");
    run
}

#[tokio::test]
async fn without_a_claude_cli_the_command_says_what_to_install() {
    let mut system = System::new();
    system.set("ANTHROPIC_API_KEY", "sk-ant-of-nobody-0000");
    let run = launch(&system).await;
    assert!(run.stderr.contains("claude"), "{run:#?}");
    assert!(!run.stderr.contains("sk-ant-of-nobody-0000"), "{run:#?}");
}

#[tokio::test]
async fn without_a_key_the_command_says_which_variable_to_set() {
    let system = System::new();
    system.install("claude", &claude_cli());
    let run = launch(&system).await;
    assert!(run.stderr.contains("ANTHROPIC_API_KEY"), "{run:#?}");
    assert!(run.stderr.contains("CLAUDE_CODE_OAUTH_TOKEN"), "{run:#?}");
}

#[tokio::test]
async fn doctor_says_the_same_and_is_content_when_all_is_there() {
    let bare = System::new();
    let place = bare.directory("home");
    let missing = bare.run(&place, ["doctor"]).await.expect_code(3);
    assert!(missing.stdout.contains("claude"), "{missing:#?}");

    let api = MessagesApi::start(Playbook::new().script()).await.unwrap();
    let whole = System::with_claude(&api);
    let repository = Repository::with_files(sample::FILES);
    let content = whole.run(repository.path(), ["doctor"]).await.expect_code(0);
    assert!(content.stdout.contains("2.1.330"), "{content:#?}");
    assert!(api.asks().is_empty(), "a check costs nothing");
}

#[tokio::test]
async fn doctor_asks_of_who_names_a_server_only_that_it_answers() {
    let mut system = System::new();
    let place = system.directory("home");
    let mut server = system.start(&place, ["serve", "--listen", "127.0.0.1:0", "--json"]);
    let url = server.url().await;
    let token = std::fs::read_to_string(system.directory("config").join("owner-token")).unwrap();
    system.set("SPECWRIGHT_TOKEN", token.trim());
    let asked = ["doctor", "--server", &url];
    let content = system.run(&place, asked).await.expect_code(0);
    assert!(content.stdout.contains(&format!("{url}, 0 specs")), "{content:#?}");
    assert!(content.stdout.contains("(not needed)"), "there is no claude: {content:#?}");

    system.set("SPECWRIGHT_TOKEN", "swt_that_nobody_knows");
    let refused = system.run(&place, asked).await.expect_code(3);
    assert!(refused.stdout.contains("SPECWRIGHT_TOKEN"), "{refused:#?}");
    server.signal(rustix::process::Signal::TERM);
    server.finish().await.expect_code(0);
}
