//! Several people on one server: each with a token, a project, and a key that nobody sees again.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use specwright_control_api::client::{Client, SpecFilter};
use specwright_tests::messages_api::{MessagesApi, Playbook};
use specwright_tests::repository::{Contents, Repository};
use specwright_tests::sample;
use specwright_tests::system::{MODEL_KEY, Running, System};
use specwright_tests::wait::{PATIENCE, wait_for};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::shape::{is_a_complete_summary, text};

const SEAL_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

async fn serve(system: &System) -> (Running, String) {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--local-repositories", "--json"];
    let mut server = system.start(system.root(), arguments);
    let url = server.url().await;
    (server, url)
}

#[tokio::test]
async fn a_user_runs_on_a_key_that_the_server_keeps_and_others_see_nothing_of_it() {
    let api = MessagesApi::start(Playbook::new().script()).await.unwrap();
    let mut system = System::with_claude(&api);
    // The server's own environment has no key for the model.
    system.unset("ANTHROPIC_API_KEY").set("SPECWRIGHT_SEAL_KEY", SEAL_KEY);
    system.unset("SPECWRIGHT_CREDENTIAL_CHECK");
    let repository = Repository::with_files(sample::FILES);
    let (server, url) = serve(&system).await;
    system.unset("SPECWRIGHT_SEAL_KEY").set("SPECWRIGHT_URL", &url);

    let mut tokens = Vec::new();
    for name in ["ada", "ben"] {
        system.run(system.root(), ["user", "add", name]).await.expect_code(0);
        let create = ["token", "create", "laptop", "--user", name];
        let made = system.run(system.root(), create).await.expect_code(0);
        let token = made.stdout.trim().to_owned();
        assert!(token.starts_with("swt_"), "{token}");
        tokens.push(token);
    }
    let [ada, ben] = &tokens[..] else { panic!("two tokens") };

    system.set("SPECWRIGHT_TOKEN", ada);
    let set = ["credential", "set", "model_api_key"];
    let refused = system.run_with_stdin(system.root(), set, "not a key").await;
    assert_eq!(refused.code(), 2, "{refused:#?}");
    let revoked =
        system.run_with_stdin(system.root(), set, "sk-ant-api03-revoked-0123456789").await;
    assert_eq!(revoked.code(), 2, "{revoked:#?}");
    assert!(revoked.stderr.contains("`value` is not known to 127.0.0.1"), "{revoked:#?}");
    let kept = system.run_with_stdin(system.root(), set, &format!("{MODEL_KEY}\n")).await;
    let kept = kept.expect_code(0).stdout;
    assert!(kept.contains("…-key") && !kept.contains(MODEL_KEY), "{kept}");
    assert!(!kept.contains("not confirmed"), "the model's API was asked: {kept}");
    let run =
        system.run(repository.path(), ["launch", "--json", sample::IDEA]).await.expect_code(0);
    is_a_complete_summary(&run.summary(), "claude");
    assert!(!api.asks().is_empty());
    assert!(api.asks().iter().all(|ask| ask.headers["x-api-key"] == MODEL_KEY));
    let spec = text(&run.summary()["spec_id"]);

    system.set("SPECWRIGHT_TOKEN", ben);
    let show = ["show", spec.as_str()];
    let unseen = system.run(system.root(), show).await;
    assert_eq!(unseen.code(), 2, "{unseen:#?}");
    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0);
    assert_eq!(listed.stdout.trim(), "[]");
    let users = system.run(system.root(), ["user", "list"]).await;
    assert_eq!(users.code(), 3, "not for a user's token: {users:#?}");

    system.set("SPECWRIGHT_TOKEN", ada);
    let projects = Client::new(&url, ada.as_str()).unwrap().projects().await.unwrap();
    let project = projects[0].id.to_string();
    let set = ["member", "set", project.as_str(), "ben", "viewer"];
    system.run(system.root(), set).await.expect_code(0);
    system.set("SPECWRIGHT_TOKEN", ben);
    system.run(system.root(), show).await.expect_code(0);
    let stop = system.run(system.root(), ["stop", spec.as_str()]).await;
    assert_eq!(stop.code(), 3, "a viewer does not steer: {stop:#?}");

    // Back to the owner, whose token is in the file.
    system.unset("SPECWRIGHT_TOKEN");
    let audit = system.run(system.root(), ["audit"]).await.expect_code(0).stdout;
    for line in ["PUT /api/v1/credentials/{name}", "POST /api/v1/specs/launch"] {
        assert!(audit.contains(line), "{audit}");
    }
    let rotated = system.run(system.root(), ["credential", "rotate"]).await.expect_code(0);
    assert!(rotated.stdout.contains("sealed with it already: 1"), "{rotated:#?}");
    server.signal(rustix::process::Signal::TERM);
    server.finish().await.expect_code(0);
    // Nobody writes or removes anything there any more.
    system.nothing_left().await;
    let data = Contents::of(&system.data());
    assert_eq!(data.holding(MODEL_KEY), Vec::<&std::path::Path>::new());
    for token in &tokens {
        assert_eq!(data.holding(token), Vec::<&std::path::Path>::new());
    }
}

#[tokio::test]
async fn a_deed_in_whose_middle_the_server_was_killed_stands_in_the_log_without_an_end() {
    const TOKEN: &str = "0123456789-chosen-by-a-person";
    let mut system = System::new();
    system.set("SPECWRIGHT_OWNER_TOKEN", TOKEN);
    let (server, url) = serve(&system).await;
    let mut connection = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    // The rest of the body never comes.
    let half = format!(
        "POST /api/v1/specs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"description\""
    );
    connection.write_all(half.as_bytes()).await.unwrap();
    let begun = async |url: &str| {
        let log = Client::new(url, TOKEN).unwrap().audit(None).await.unwrap();
        log.into_iter().find(|entry| entry.route == "POST /api/v1/specs")
    };
    let line = wait_for("the deed in the log", PATIENCE, async || begun(&url).await).await;
    assert_eq!((line.user.as_str(), line.status), ("owner", None), "{line:?}");
    server.signal(rustix::process::Signal::KILL);
    server.finish().await;

    let (server, url) = serve(&system).await;
    assert_eq!(begun(&url).await, Some(line), "nobody knows what came of it");
    assert!(
        Client::new(&url, TOKEN).unwrap().specs(SpecFilter::default()).await.unwrap().is_empty()
    );
    server.signal(rustix::process::Signal::TERM);
    server.finish().await.expect_code(0);
    system.nothing_left().await;
}

#[tokio::test]
async fn a_server_that_others_reach_wants_a_word_about_tls() {
    let mut system = System::new();
    system.set("SPECWRIGHT_OWNER_TOKEN", "0123456789-chosen-by-a-person");
    let refused = system.run(system.root(), ["serve", "--listen", "0.0.0.0:0"]).await;
    assert_eq!(refused.code(), 2, "{refused:#?}");
    assert!(refused.stderr.contains("--plain-http"), "{refused:#?}");
}

#[tokio::test]
async fn a_run_whose_key_cannot_be_opened_ends_with_the_cause_in_words() {
    let mut system = System::new();
    // From a file, as the deploy guide has it, which is to be its owner's alone.
    let file = system.root().join("seal-keys");
    std::fs::write(&file, format!("{SEAL_KEY}\n")).unwrap();
    let mode = |mode| std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    system.set("SPECWRIGHT_SEAL_KEY_FILE", &file);
    let refused = system.run(system.root(), ["serve", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(refused.code(), 3, "{refused:#?}");
    assert!(refused.stderr.contains("chmod 600"), "{refused:#?}");
    assert!(!refused.stderr.contains(SEAL_KEY), "{refused:#?}");
    mode(0o600);
    let repository = Repository::with_files(sample::FILES);
    let (server, url) = serve(&system).await;
    system.set("SPECWRIGHT_URL", &url);
    let set = ["credential", "set", "model_api_key"];
    system.run_with_stdin(system.root(), set, MODEL_KEY).await.expect_code(0);
    server.signal(rustix::process::Signal::TERM);
    server.finish().await.expect_code(0);

    std::fs::write(&file, SEAL_KEY.replace('0', "1")).unwrap();
    let (server, url) = serve(&system).await;
    system.set("SPECWRIGHT_URL", &url);
    let launch = ["launch", "--json", "--agent", "rehearsal", sample::IDEA];
    let run = system.run(repository.path(), launch).await.expect_code(1);
    assert!(run.stderr.contains("a credential (model_api_key) cannot be opened"), "{run:#?}");
    assert_eq!(run.summary()["status"], "failed");
    assert!(run.events("spec.restarted").is_empty(), "another start would meet the same: {run:#?}");
    server.signal(rustix::process::Signal::TERM);
    server.finish().await.expect_code(0);
    system.nothing_left().await;
}

#[tokio::test]
async fn a_run_is_held_and_released_and_its_caps_are_reset_from_the_command_line() {
    let mut system = System::new();
    let agent = crate::faulty::install(&system, "waits").display().to_string();
    let repository = Repository::with_files(sample::FILES);
    let (server, url) = serve(&system).await;
    system.set("SPECWRIGHT_URL", &url);
    let launch = ["launch", "--json", "--agent", &agent, sample::IDEA];
    let mut run = system.start(repository.path(), launch);
    run.event("agent.started").await;
    let specs = system.run(system.root(), ["list", "--json"]).await.expect_code(0).summary();
    let spec = text(&specs[0]["id"]);

    let hold = ["hold", &spec, "--because", "someone looks into it", "--minutes", "5", "--json"];
    let held = system.run(system.root(), hold).await.expect_code(0).summary();
    assert_eq!(held["hold"]["reason"], "someone looks into it", "{held:#}");
    let too_long = ["hold", &spec, "--because", "x", "--minutes", "1441"];
    assert_eq!(system.run(system.root(), too_long).await.code(), 2);
    let release = ["release", &spec, "--json"];
    let released = system.run(system.root(), release).await.expect_code(0).summary();
    assert!(released.get("hold").is_none_or(serde_json::Value::is_null), "{released:#}");
    let reset = system.run(system.root(), ["reset-breaker", &spec]).await.expect_code(0);
    assert!(reset.stdout.contains("specwright resume"), "{reset:#?}");

    system.run(system.root(), ["stop", &spec, "--force"]).await.expect_code(0);
    run.finish().await;
    server.signal(rustix::process::Signal::TERM);
    server.finish().await.expect_code(0);
    system.nothing_left().await;
}
