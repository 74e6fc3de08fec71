//! What the agent can read: its workspace, and nothing else. The real CLI is asked by its model for
//! what lies outside, by each of its tools and on every way that leads there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, Ask, Block, MessagesApi};
use specwright_tests::repository::{Contents, Repository};
use specwright_tests::sample;
use specwright_tests::system::{Finished, System};

use crate::shape::is_a_complete_summary;

/// What stands in a key file of the home directory. No call of a tool holds it.
const PRIVATE_KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY----- bait-7d1f0c4e";

/// A world with secrets outside the workspace, and a repository that holds links to them.
struct Scene {
    api: MessagesApi,
    system: System,
    repository: Repository,
    /// What the model calls, one after the other, before it gives the first document.
    calls: Arc<OnceLock<Vec<Block>>>,
}

impl Scene {
    async fn new() -> Self {
        let calls: Arc<OnceLock<Vec<Block>>> = Arc::default();
        let planned = Arc::clone(&calls);
        let script = move |ask: &Ask| {
            let Some(phase) = ask.phase() else { return Answer::text("ok") };
            let calls = planned.get().expect("the calls are known before the run");
            let next = calls.get(ask.turns_before()).filter(|_| phase == Phase::Explore);
            let document = || Block::output(sample::document(phase));
            Answer::Speak(vec![next.cloned().unwrap_or_else(document)])
        };
        let api = MessagesApi::start(script).await.expect("loopback has a port");
        let system = System::with_claude(&api);
        let scene = Self { api, system, repository: Repository::with_files(sample::FILES), calls };
        fs::create_dir(scene.ssh()).unwrap();
        fs::write(scene.ssh().join("id_ed25519"), PRIVATE_KEY).unwrap();
        scene.link("link-to-readme", Path::new("README.md"));
        scene.link("link-to-token", &scene.token_file());
        scene.link("link-to-ssh", &scene.ssh());
        // The CLI reads this file by itself where a repository's notes are loaded.
        scene.link("CLAUDE.md", &scene.ssh().join("id_ed25519"));
        scene.repository.commit("links");
        scene
    }

    fn link(&self, name: &str, target: &Path) {
        symlink(target, self.repository.path().join(name)).unwrap();
    }

    /// The file of the owner's token, which the command makes at its first start.
    fn token_file(&self) -> PathBuf {
        self.system.directory("config").join("owner-token")
    }

    fn ssh(&self) -> PathBuf {
        self.system.directory("home").join(".ssh")
    }

    /// Runs the idea with these calls of tools. What each was answered, and the run.
    async fn answers_to(&self, calls: Vec<Block>) -> (Vec<Value>, Finished) {
        let count = calls.len();
        self.calls.set(calls).expect("one run per scene");
        let arguments = ["launch", "--json", sample::IDEA];
        let run = self.system.run(self.repository.path(), arguments).await.expect_code(0);
        is_a_complete_summary(&run.summary(), "claude");
        assert_eq!(run.events("agent.started")[0]["data"]["permission_mode"], "dontAsk");
        let answers = run.events("agent.tool_result");
        let answers = answers.iter().map(|event| event["data"].clone()).take(count).collect();
        (answers, run)
    }
}

fn read(path: impl AsRef<Path>) -> Block {
    Block::tool("Read", json!({ "file_path": path.as_ref() }))
}

/// A search for every line that is not empty.
fn grep(path: impl AsRef<Path>) -> Block {
    let output = "content";
    Block::tool("Grep", json!({ "pattern": ".", "path": path.as_ref(), "output_mode": output }))
}

fn glob(path: impl AsRef<Path>) -> Block {
    Block::tool("Glob", json!({ "pattern": "**/*", "path": path.as_ref() }))
}

/// The relative path that leads up to the root from wherever one stands, and down to a place.
fn up_and_down_to(place: &Path) -> PathBuf {
    let up: PathBuf = std::iter::repeat_n("..", 40).collect();
    up.join(place.strip_prefix("/").expect("the place is absolute"))
}

#[tokio::test]
async fn what_lies_in_the_workspace_is_read() {
    let scene = Scene::new().await;
    let glob = Block::tool("Glob", json!({ "pattern": "**/*.rs" }));
    let calls = vec![read("README.md"), read("link-to-readme"), grep("src/main.rs"), glob];
    let (answers, _) = scene.answers_to(calls).await;
    let expected = ["passes parcels on", "passes parcels on", "http::serve()", "src/http.rs"];
    assert_eq!(answers.len(), expected.len(), "{answers:#?}");
    for (answer, words) in answers.iter().zip(expected) {
        assert_eq!(answer["is_error"], false, "{answer:#}");
        assert!(answer["result"].to_string().contains(words), "{answer:#}");
    }
}

#[tokio::test]
async fn what_lies_outside_the_workspace_is_refused_on_every_way() {
    let scene = Scene::new().await;
    let (token, ssh) = (scene.token_file(), scene.ssh());
    let key = ssh.join("id_ed25519");
    let from_root = Path::new("/proc/self/root").join(key.strip_prefix("/").unwrap());
    let calls = vec![
        read(&token),
        read(up_and_down_to(&token)),
        read("link-to-token"),
        read(&key),
        read("~/.ssh/id_ed25519"),
        read("link-to-ssh/id_ed25519"),
        read("CLAUDE.md"),
        read(from_root),
        grep(&token),
        grep(up_and_down_to(&ssh)),
        grep("link-to-token"),
        grep("link-to-ssh"),
        glob(&ssh),
        glob(up_and_down_to(&ssh)),
        glob("link-to-ssh"),
        read("/etc/passwd"),
    ];
    let count = calls.len();
    let (answers, run) = scene.answers_to(calls).await;

    assert_eq!(answers.len(), count, "{answers:#?}");
    for answer in &answers {
        assert_eq!(answer["is_error"], true, "{answer:#}");
        // Not for another reason, such as a file that is not there.
        assert!(answer["result"].to_string().contains("has been denied"), "{answer:#}");
    }
    let token = fs::read_to_string(token).unwrap();
    assert!(token.trim().len() > 20, "the command has made a token");
    let data = Contents::of(&scene.system.data());
    for secret in [token.trim(), PRIVATE_KEY] {
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{run:#?}");
        for ask in scene.api.asks() {
            assert!(!ask.body.to_string().contains(secret), "{:#?}", ask.texts());
        }
        // Neither in the events that are stored, nor in the agent's own transcript.
        assert_eq!(data.holding(secret), Vec::<&Path>::new());
    }
}

#[tokio::test]
async fn a_search_through_the_workspace_does_not_follow_its_links_out() {
    let scene = Scene::new().await;
    let everywhere = json!({ "pattern": "bait|PRIVATE|parcels", "output_mode": "content" });
    let names = json!({ "pattern": "link-to-ssh/*" });
    let calls = vec![Block::tool("Grep", everywhere), Block::tool("Glob", names)];
    let (answers, run) = scene.answers_to(calls).await;
    // It did search: the README is found.
    assert!(answers[0]["result"].to_string().contains("parcels"), "{answers:#?}");
    assert!(!answers[1]["result"].to_string().contains("id_ed25519"), "{answers:#?}");
    assert!(!run.stdout.contains(PRIVATE_KEY));
    let asks = scene.api.asks();
    assert!(asks.iter().all(|ask| !ask.body.to_string().contains(PRIVATE_KEY)));
}
