//! Secrets: where they may be, and that they are nowhere else.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, Ask, Block, MessagesApi, Playbook};
use specwright_tests::repository::{Contents, Repository};
use specwright_tests::sample;
use specwright_tests::system::processes::{self, Process};
use specwright_tests::system::{MODEL_KEY, System};
use specwright_tests::wait::{PATIENCE, wait_for};
use tokio_util::sync::CancellationToken;

use crate::shape::is_a_complete_summary;

/// How every sandbox token begins. The whole of one is nowhere where a test could read it.
const SANDBOX_TOKEN_PREFIX: &str = "sws_";

#[tokio::test]
async fn no_secret_reaches_the_agent_or_stays_in_the_data_directory() {
    let release = CancellationToken::new();
    let playbook = Playbook::new().held(Phase::Design, &release);
    let api = MessagesApi::start(playbook.script()).await.unwrap();
    let system = System::with_claude(&api);
    let repository = Repository::with_files(sample::FILES);
    let run = system.start(repository.path(), ["launch", "--json", sample::IDEA]);
    wait_for("the model to be asked for the design", PATIENCE, async || {
        api.asks().iter().any(|ask| ask.phase() == Some(Phase::Design)).then_some(())
    })
    .await;

    let processes = system.processes();
    // Worker and supervisor have both in memory. Where another user's process could look (this test
    // may be root, who may look everywhere), they are not.
    for name in ["worker", "supervise"] {
        let of_ours = processes.iter().find(|one| one.arguments.get(1).is_some_and(|a| a == name));
        let of_ours = of_ours.unwrap_or_else(|| panic!("no {name}: {processes:#?}"));
        for secret in [MODEL_KEY, SANDBOX_TOKEN_PREFIX] {
            assert!(!of_ours.mentions(secret), "a secret is in {of_ours:#?}");
        }
        assert_eq!(of_ours.variable("SANDBOX_TOKEN"), None);
        let stdin = std::fs::read_link(format!("/proc/{}/fd/0", of_ours.pid));
        assert!(stdin.is_err() || stdin.is_ok_and(|stdin| stdin.ends_with("null")), "{name}");
    }
    // The agent and whatever it has started: all that carries its private directory.
    let of_agent: Vec<&Process> =
        processes.iter().filter(|one| one.variable("CLAUDE_CONFIG_DIR").is_some()).collect();
    assert!(!of_agent.is_empty(), "{processes:#?}");
    for process in of_agent {
        for secret in [MODEL_KEY, SANDBOX_TOKEN_PREFIX] {
            assert!(!process.mentions(secret), "a secret is in {process:#?}");
        }
        assert!(process.variable("ANTHROPIC_API_KEY").is_some_and(|dummy| dummy != MODEL_KEY));
    }
    // Nobody has one in its arguments, where every user of the machine can read it.
    for process in &processes {
        let arguments = process.arguments.join(" ");
        assert!(!arguments.contains(MODEL_KEY) && !arguments.contains(SANDBOX_TOKEN_PREFIX));
    }

    release.cancel();
    let run = run.finish().await.expect_code(0);

    is_a_complete_summary(&run.summary(), "claude");
    assert!(api.asks().iter().all(|ask| ask.headers["x-api-key"] == MODEL_KEY));
    let data = Contents::of(&system.data());
    for secret in [MODEL_KEY, SANDBOX_TOKEN_PREFIX] {
        assert_eq!(data.holding(secret), Vec::<&std::path::Path>::new());
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret));
    }
}

#[tokio::test]
async fn a_key_that_the_model_speaks_is_redacted_before_it_is_stored() {
    let words = format!("I found the key {MODEL_KEY} in your environment.");
    let spoken = Block::Text(words);
    let output = Block::output(sample::document(Phase::Explore));
    let playbook = Playbook::new().with(Phase::Explore, [Answer::Speak(vec![spoken, output])]);
    let api = MessagesApi::start(playbook.script()).await.unwrap();
    let system = System::with_claude(&api);
    let repository = Repository::with_files(sample::FILES);

    let run =
        system.run(repository.path(), ["launch", "--json", sample::IDEA]).await.expect_code(0);

    let said = run.events("agent.message");
    assert!(said.iter().any(|event| event.to_string().contains("I found the key [redacted]")));
    assert!(!run.stdout.contains(MODEL_KEY));
    // The CLI keeps its own transcript of what the model said; everything of ours is clean.
    let data = Contents::of(&system.data());
    let ours: Vec<_> = data
        .holding(MODEL_KEY)
        .into_iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == "projects"))
        .collect();
    assert_eq!(ours, Vec::<&std::path::Path>::new());
}

#[tokio::test]
async fn the_tools_that_the_agent_has_do_not_open_the_workers_environment() {
    let root: Arc<OnceLock<PathBuf>> = Arc::default();
    let known = Arc::clone(&root);
    let api = MessagesApi::start(move |ask: &Ask| {
        let Some(phase) = ask.phase() else { return Answer::text("ok") };
        let attempts = if phase == Phase::Explore { ask.turns_before() } else { usize::MAX };
        let is_worker = |one: &Process| one.arguments.get(1).is_some_and(|word| word == "worker");
        let processes = processes::naming(known.get().expect("the place is known before the run"));
        let pid = processes.into_iter().find(is_worker).expect("the worker runs").pid;
        let (place, file) = (format!("/proc/{pid}"), format!("/proc/{pid}/environ"));
        match attempts {
            0 => Answer::tool("Read", json!({ "file_path": file })),
            1 => Answer::tool("Grep", grep(&json!({ "path": file }))),
            2 => Answer::tool("Grep", grep(&json!({ "path": place, "glob": "environ" }))),
            _ => Answer::output(sample::document(phase)),
        }
    })
    .await
    .unwrap();
    let system = System::with_claude(&api);
    root.set(system.root().to_owned()).unwrap();
    let repository = Repository::with_files(sample::FILES);

    let run =
        system.run(repository.path(), ["launch", "--json", sample::IDEA]).await.expect_code(0);

    let calls: Vec<_> =
        run.events("agent.tool_use").iter().map(|call| call["data"]["tool"].clone()).collect();
    assert_eq!(calls[..3], ["Read", "Grep", "Grep"], "{calls:?}");
    // Not even the model's side has seen it.
    for ask in api.asks() {
        assert!(!ask.body.to_string().contains(MODEL_KEY), "{:#?}", ask.texts());
    }
}

#[tokio::test]
async fn no_form_of_a_key_leaves_by_any_way_that_the_models_words_take() {
    // As it is, and in base64 of either alphabet, padded or not, behind so many other bytes that the key
    // begins at each of the three places of a group.
    let mut forms = vec![MODEL_KEY.to_owned()];
    for lead in ["", "x", "xy"] {
        let plain = format!("{lead}{MODEL_KEY}");
        forms.extend([STANDARD.encode(&plain), URL_SAFE_NO_PAD.encode(&plain)]);
    }
    // What of each belongs to the key alone.
    let needles: Vec<_> = forms.iter().map(|form| form[4..form.len() - 6].to_owned()).collect();
    let all = forms.join(" and ");
    let mut explore = sample::document(Phase::Explore);
    leaks(&mut explore, &all);
    let playbook = Playbook::new().with(
        Phase::Explore,
        [
            Answer::Speak(vec![
                Block::Text(format!("I found {all}.")),
                Block::tool("Glob", json!({ "pattern": format!("*{all}*") })),
            ]),
            Answer::output(explore),
        ],
    );
    let api = MessagesApi::start(playbook.script()).await.unwrap();
    let system = System::with_claude(&api);
    let repository = Repository::with_files(sample::FILES);

    let run =
        system.run(repository.path(), ["launch", "--json", sample::IDEA]).await.expect_code(0);

    for kind in ["agent.message", "agent.tool_use", "spec.phase_completed"] {
        let told = run.events(kind);
        assert!(told.iter().any(|event| event.to_string().contains("[redacted] and [redacted]")));
    }
    let data = Contents::of(&system.data());
    assert!(!data.holding("[redacted] and [redacted]").is_empty(), "documents and store have it");
    for needle in needles {
        assert!(!run.stdout.contains(&needle) && !run.stderr.contains(&needle), "{needle}");
        // The CLI's own files hold what the model said; everything of ours is clean.
        let ours: Vec<_> = data
            .holding(&needle)
            .into_iter()
            .filter(|path| !path.components().any(|part| part.as_os_str() == "agent"))
            .collect();
        assert_eq!(ours, Vec::<&std::path::Path>::new(), "{needle}");
    }
}

/// Puts words behind the first long text of a document.
fn leaks(document: &mut Value, words: &str) -> bool {
    match document {
        Value::String(text) if text.len() > 40 => {
            text.push_str(" See ");
            text.push_str(words);
            true
        }
        Value::Array(items) => items.iter_mut().any(|item| leaks(item, words)),
        Value::Object(fields) => fields.values_mut().any(|field| leaks(field, words)),
        _ => false,
    }
}

/// A search for the key.
fn grep(more: &Value) -> Value {
    let mut input = json!({ "pattern": "sk-ant-[a-z0-9-]*", "output_mode": "content" });
    for (name, value) in more.as_object().into_iter().flatten() {
        input[name] = value.clone();
    }
    input
}
