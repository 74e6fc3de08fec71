//! A guardian outside: the example of the documentation, with a model of its own.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, Ask, Block, MessagesApi, Playbook};
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{MODEL_KEY, System};
use specwright_tests::wait::{PATIENCE, wait_for};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::shape::{is_a_complete_summary, list, text};

const ADVICE: &str = "The marmalade module is generated: leave it out.";

/// What is asked for by the guardian's model, and not by an agent.
fn is_guardians(ask: &Ask) -> bool {
    ask.tools() == ["intervene"]
}

#[tokio::test]
async fn the_example_with_a_model_makes_one_intervention_that_the_agent_hears() {
    let release = CancellationToken::new();
    let look = Block::tool("Glob", json!({ "pattern": "**/*.rs" }));
    let agent = Playbook::new().with(Phase::Explore, [Answer::Hold(release.clone(), vec![look])]);
    let agent = agent.script();
    let script = move |ask: &Ask| {
        if !is_guardians(ask) {
            return agent(ask);
        }
        let nudge = json!({
            "kind": "nudge", "reason": "It reads generated code.", "evidence": "step 4",
            "message": ADVICE,
        });
        Answer::tool("intervene", nudge)
    };
    let api = MessagesApi::start(script).await.unwrap();
    let mut system = System::with_claude(&api);
    let repository = Repository::with_files(sample::FILES);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--own-keys", "--json"];
    let mut server = system.start(system.root(), serve);
    let url = server.url().await;
    system.set("SPECWRIGHT_URL", &url);
    let create = ["token", "create", "--json", "--kind", "guardian", "example"];
    let made = system.run(system.root(), create).await.expect_code(0).summary();
    let token = text(&made["token"]);

    let run = system.start(repository.path(), ["launch", "--json", sample::IDEA]);
    wait_for("the agent's model to be asked", PATIENCE, async || {
        api.asks().iter().any(|ask| ask.phase() == Some(Phase::Explore)).then_some(())
    })
    .await;
    let first = guard(&url, &token, &api).await;
    assert!(first.contains("nudge: It reads generated code."), "{first}");
    // The same again is refused by the door, and changes nothing.
    let second = guard(&url, &token, &api).await;
    assert!(second.contains("429") && second.contains("the next one is taken in"), "{second}");
    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).summary();
    let spec = text(&list(&listed)[0]["id"]);
    wait_for("the nudge to be on the agent's stdin", PATIENCE, async || {
        let shown = system.run(system.root(), ["trajectory", "--json", &spec]).await;
        let done = shown.expect_code(0).summary()["interventions"].clone();
        (done.as_array()?.len() == 1 && done[0]["receipt"] == "written").then_some(())
    })
    .await;
    release.cancel();

    let run = run.finish().await.expect_code(0);
    is_a_complete_summary(&run.summary(), "claude");
    let asks: Vec<Ask> = api.asks().into_iter().filter(|ask| !is_guardians(ask)).collect();
    let words = format!("Specwright's guardian says: {ADVICE}");
    assert!(asks.iter().any(|ask| ask.mentions(&words)), "the agent's model has heard it");
    assert_eq!(run.events("guardian.intervened").len(), 1, "{run:#?}");
    let guardians: Vec<Ask> = api.asks().into_iter().filter(is_guardians).collect();
    assert!(guardians[0].mentions(r#""goal": "#), "it was given the trajectory");
    assert_eq!(guardians[0].headers["x-api-key"], MODEL_KEY);
    server.signal(rustix::process::Signal::TERM);
    server.finish().await.expect_code(0);
}

/// One look of the example; what it said.
async fn guard(url: &str, token: &str, api: &MessagesApi) -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/guardian.py");
    let run = Command::new("python3")
        .arg(example)
        .arg("--once")
        .env("SPECWRIGHT_URL", url)
        .env("SPECWRIGHT_TOKEN", token)
        .env("ANTHROPIC_API_KEY", MODEL_KEY)
        .env("ANTHROPIC_BASE_URL", api.base_url())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(PATIENCE, run).await;
    let ended = ended.expect("the example looks once").expect("python3 is there");
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let said = said.concat();
    assert!(ended.status.success(), "{said}");
    said
}
