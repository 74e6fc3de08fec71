//! Repositories behind a token: cloned and pushed to by the worker alone, and the token is nowhere
//! else. The server is git's own, over HTTP.

use rustix::process::Signal;
use serde_json::Value;
use specwright_tests::git_server::{GitServer, Rights};
use specwright_tests::repository::{Contents, Repository};
use specwright_tests::sample;
use specwright_tests::system::{Finished, Running, System};

use crate::faulty::install;
use crate::shape::text;

const TOKEN: &str = "ghp_scenario_8d1f0c2b7a6e4f53_token";
/// What the faulty agent writes.
const FILE: &str = "written-by-the-agent.txt";

/// A run in a clone of `team/limiter`, whose agent has changed a file and goes on working.
struct Scene {
    server: GitServer,
    system: System,
    run: Running,
}

async fn served() -> (GitServer, System, String) {
    let server = GitServer::start(TOKEN).await.unwrap();
    server.add("team/limiter", &Repository::with_files(sample::FILES));
    let mut system = System::new();
    system.set("GITHUB_URL", server.url()).set("GITHUB_TOKEN", TOKEN);
    let url = format!("{}/team/limiter", server.url());
    (server, system, url)
}

impl Scene {
    async fn at_work() -> Self {
        let (server, system, url) = served().await;
        let agent = install(&system, "writes-file, waits").display().to_string();
        let arguments = ["launch", "--json", "--repo", &url, "--agent", &agent, sample::IDEA];
        let mut run = system.start(system.root(), arguments);
        run.event_where("agent.file_edited", |event| event["data"]["path"] == FILE).await;
        Self { server, system, run }
    }

    /// Asks it to end, and gives what became of its work.
    async fn ended(self) -> (GitServer, System, Finished, Value) {
        let Self { server, system, run } = self;
        run.signal(Signal::INT);
        let run = run.finish().await.expect_code(130);
        let ends = run.events("spec.execution_failed");
        let [end] = &ends[..] else { panic!("not one end: {run:#?}") };
        assert_eq!(end["data"]["outcome"], "cancelled", "{end:#}");
        let saved = run.events("worker.work_saved");
        let [saved] = &saved[..] else { panic!("not one word about the work: {run:#?}") };
        let saved = saved["data"].clone();
        system.nothing_left().await;
        (server, system, run, saved)
    }
}

#[tokio::test]
async fn a_private_repository_is_cloned_and_work_is_pushed_to_the_rescue_branch_and_the_token_is_nowhere()
 {
    let scene = Scene::at_work().await;
    // While the agent works: nobody's arguments or readable environment, and no file.
    for process in scene.system.processes() {
        let is_launch = process.arguments.get(1).is_some_and(|word| word == "launch");
        // What the user's own shell gave to the user's own command is the user's.
        assert!(is_launch || !process.mentions(TOKEN), "{process:#?}");
    }
    let found = Contents::of(&scene.system.data());
    assert_eq!(found.holding(TOKEN), Vec::<&std::path::Path>::new());
    let sandboxes = std::fs::read_dir(scene.system.data().join("sandboxes")).unwrap();
    let clone = sandboxes.map(|one| one.unwrap().path()).next().unwrap().join("workspace");
    let config = std::fs::read_to_string(clone.join(".git/config")).unwrap();
    assert!(!config.contains("remote") && !config.contains("credential"), "{config}");
    let before = scene.server.git("team/limiter", &["for-each-ref"]);

    let (server, system, run, saved) = scene.ended().await;

    assert_eq!(saved["kept"], "pushed", "{saved:#}");
    let reference = text(&saved["reference"]);
    assert!(reference.starts_with("refs/heads/specwright/rescue/"), "{reference}");
    let there = server.git("team/limiter", &["rev-parse", &reference]);
    assert_eq!(there.trim(), text(&saved["commit"]));
    let content = server.git("team/limiter", &["show", &format!("{reference}:{FILE}")]);
    assert_eq!(content, "the agent was here\n");
    let parent = server.git("team/limiter", &["rev-parse", &format!("{reference}~")]);
    assert_eq!(parent.trim(), text(&saved["base"]), "it stands on what was cloned");
    let after = server.git("team/limiter", &["for-each-ref"]);
    assert!(after.starts_with(&before), "other branches were touched:\n{before}\n{after}");
    assert!(!run.stdout.contains(TOKEN) && !run.stderr.contains(TOKEN));
    assert_eq!(Contents::of(&system.data()).holding(TOKEN), Vec::<&std::path::Path>::new());
}

#[tokio::test]
async fn a_wrong_token_ends_the_run_at_once_with_a_sentence_that_names_it() {
    let (_server, mut system, url) = served().await;
    system.set("GITHUB_TOKEN", "ghp_a_token_that_is_not_known");
    let agent = install(&system, "ok:outputs.json").display().to_string();
    let arguments = ["launch", "--json", "--repo", &url, "--agent", &agent, sample::IDEA];
    let run = system.run(system.root(), arguments).await.expect_code(1);
    let ends = run.events("spec.execution_failed");
    let [end] = &ends[..] else { panic!("not one end: {run:#?}") };
    assert_eq!(end["data"]["outcome"], "worker_error", "{end:#}");
    let why = text(&end["data"]["message"]);
    assert!(why.contains("GITHUB_TOKEN was refused by http://127.0.0.1"), "{why}");
    assert!(!why.contains("ghp_"), "{why}");
    assert!(run.events("agent.started").is_empty(), "{run:#?}");
}

#[tokio::test]
async fn a_repository_that_the_server_does_not_have_ends_the_run_before_an_agent_starts() {
    let (_server, system, url) = served().await;
    let url = url.replace("limiter", "not-there");
    let agent = install(&system, "ok:outputs.json").display().to_string();
    let arguments = ["launch", "--json", "--repo", &url, "--agent", &agent, sample::IDEA];
    let run = system.run(system.root(), arguments).await.expect_code(1);
    let ends = run.events("spec.execution_failed");
    let [end] = &ends[..] else { panic!("not one end: {run:#?}") };
    assert_eq!(end["data"]["outcome"], "worker_error", "{end:#}");
    let why = text(&end["data"]["message"]);
    assert!(why.contains("team/not-there") && !why.contains(TOKEN), "{why}");
    assert!(run.events("agent.started").is_empty(), "{run:#?}");
}

#[tokio::test]
async fn a_token_that_is_revoked_on_the_way_changes_no_outcome_and_the_work_stays_in_the_place() {
    for (rights, code) in [(Rights::None, "401"), (Rights::Read, "403")] {
        let scene = Scene::at_work().await;
        scene.server.allow(rights);
        let (server, _system, _run, saved) = scene.ended().await;
        assert_eq!(saved["kept"], "bundled", "{code}: {saved:#}");
        let why = text(&saved["reason"]);
        assert!(why.contains("not pushed") && why.contains("GITHUB_TOKEN was refused"), "{why}");
        let rescued = server.git("team/limiter", &["for-each-ref", "refs/heads/specwright"]);
        assert_eq!(rescued, "", "{code}");
        // Whoever has the repository can take it from the bundle.
        let (bundle, reference) = (text(&saved["bundle"]), text(&saved["reference"]));
        let fetched = server.git("team/limiter", &["fetch", "--quiet", &bundle, &reference]);
        assert_eq!(fetched, "");
        let content = server.git("team/limiter", &["show", &format!("FETCH_HEAD:{FILE}")]);
        assert_eq!(content, "the agent was here\n", "{code}");
    }
}
