//! A server's own keys: nobody's runs have them but where the operator says so.

use rustix::process::Signal;
use specwright_tests::git_server::GitServer;
use specwright_tests::messages_api::{MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Finished, MODEL_KEY, Running, System};

use crate::faulty::install;
use crate::shape::text;

const TOKEN: &str = "ghp_of_the_operator_2c7e5a90b1d34f68_token";

/// A server in whose environment are the operator's keys.
struct Scene {
    system: System,
    api: MessagesApi,
    private: String,
    /// Kept for its `Drop`.
    _git: GitServer,
}

impl Scene {
    async fn new() -> Self {
        let api = MessagesApi::start(Playbook::new().script()).await.unwrap();
        let git = GitServer::start(TOKEN).await.unwrap();
        git.add("operator/private", &Repository::with_files(sample::FILES));
        let mut system = System::with_claude(&api);
        system.set("GITHUB_URL", git.url()).set("GITHUB_TOKEN", TOKEN);
        system.set("SSH_AUTH_SOCK", system.directory("home").join("agent.sock"));
        let private = format!("{}/operator/private", git.url());
        Self { system, api, private, _git: git }
    }

    async fn serve(&self, more: &[&str]) -> (Running, String) {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--json"];
        let arguments = arguments.iter().chain(more);
        let mut server = self.system.start(self.system.root(), arguments);
        let url = server.url().await;
        (server, url)
    }

    async fn launch(&self, url: &str, more: &[&str]) -> Finished {
        let arguments = ["launch", "--json", "--server", url, "--until", "explore"];
        let arguments = arguments.iter().chain(more).chain(&[sample::IDEA]);
        self.system.run(self.system.root(), arguments).await
    }
}

async fn end(server: Running) -> Finished {
    server.signal(Signal::TERM);
    server.finish().await.expect_code(0)
}

/// Why a run ended, which no agent was started for.
fn why(run: &Finished) -> String {
    let ends = run.events("spec.execution_failed");
    let [end] = &ends[..] else { panic!("not one end: {run:#?}") };
    assert!(run.events("agent.started").is_empty(), "{run:#?}");
    text(&end["data"]["message"])
}

#[tokio::test]
async fn a_server_keeps_its_own_keys_from_every_run_and_says_so() {
    let scene = Scene::new().await;
    let (server, url) = scene.serve(&[]).await;
    let agent = install(&scene.system, "ok:outputs.json").display().to_string();

    let run = scene.launch(&url, &["--repo", &scene.private, "--agent", &agent]).await;
    let refused = why(&run.expect_code(1));
    assert!(refused.contains("operator/private"), "{refused}");
    // The model's key is asked for behind the clone, so of a repository that is open to all.
    let open = Repository::with_files(sample::FILES);
    let open = open.path().display().to_string();
    let run = scene.launch(&url, &["--repo", &open]).await;
    let refused = why(&run.expect_code(1));
    assert!(refused.contains("needs ANTHROPIC_API_KEY"), "{refused}");
    assert!(scene.api.asks().is_empty(), "someone's model was paid for");

    let log = end(server).await.stderr;
    let names = "GITHUB_TOKEN, SSH_AUTH_SOCK, ANTHROPIC_API_KEY of this process's environment";
    let lines: Vec<_> = log.lines().filter(|line| line.contains(names)).collect();
    let [line] = &lines[..] else { panic!("not one line: {log}") };
    for word in ["specwright credential set", "--own-keys"] {
        assert!(line.contains(word), "{line}");
    }
    assert!(!log.contains(TOKEN) && !log.contains(MODEL_KEY), "{log}");
    scene.system.nothing_left().await;
}

#[tokio::test]
async fn a_server_that_is_told_to_share_its_own_keys_gives_them_to_runs() {
    let scene = Scene::new().await;
    let (server, url) = scene.serve(&["--own-keys"]).await;
    scene.launch(&url, &["--repo", &scene.private]).await.expect_code(0);
    assert!(!scene.api.asks().is_empty());
    assert!(scene.api.asks().iter().all(|ask| ask.headers["x-api-key"] == MODEL_KEY));
    let log = end(server).await.stderr;
    assert!(!log.contains("is not handed on"), "{log}");
    scene.system.nothing_left().await;
}
