//! An agent that runs as another user than its worker, as it does in the image: what it can do, what it
//! cannot, and that nothing which it plants in its workspace is run, read or given away by root.
//!
//! Only root can start such a worker, and its places must be open to others: where that is not so, these
//! tests say it and prove nothing.

mod place;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::json;
use specwright_shared::phase::{Phase, SpecStatus};
use specwright_tests::messages_api::{Answer, Block, MessagesApi, Playbook};
use specwright_tests::repository::Contents;
use specwright_tests::sample;
use specwright_tests::system::MODEL_KEY;
use specwright_tests::wait::{PATIENCE, wait_for};
use specwright_worker::agent::transcript;

use place::{Place, UID, uids_of};

/// What stands in root's own files. Nothing that leaves the worker holds it.
const BAIT: &str = "bait-of-root-51c07e";

/// Everything that an agent could try so that root's git, or the worker, runs a program of its choice or
/// takes a file of root's for one of the workspace or for its conversation.
const PLANTS: &str = r#"
    run="touch $OWN/was-run"
    settings="[filter \"evil\"]
        clean = $run; cat
        smudge = $run; cat
    [core]
        fsmonitor = $run
        hooksPath = $OWN/hooks
    [diff \"evil\"]
        textconv = $run; cat"
    mkdir -p "$OWN/hooks" nested/.git/objects nested/.git/refs
    printf '#!/bin/sh\n%s\n' "$run" > "$OWN/hooks/post-checkout"
    cp "$OWN/hooks/post-checkout" "$OWN/hooks/post-index-change"
    chmod +x "$OWN"/hooks/*
    echo "$settings" > "$HOME/.gitconfig"
    echo "$settings" > nested/.git/config
    echo "ref: refs/heads/main" > nested/.git/HEAD
    echo "* filter=evil diff=evil" > .gitattributes
    printf '[submodule "nested"]\n\tpath = nested\n\turl = .\n\tupdate = !%s\n' "$run" > .gitmodules
    mkfifo pipe
    ln -s "$PLACE/of-root/main.rs" link
    ln "$PLACE/of-root/other" second-name
    for word in "$@"; do case $word in --session-id=*) session=${word#*=};; esac; done
    mkdir -p "$HOME/config/projects/p"
    ln -s "$PLACE/of-root/main.rs" "$HOME/config/projects/p/$session.jsonl"
    try readme sh -c 'echo "the agent was here" >> README.md'
    try moved sh -c 'mv src src.old && ln -s "$PLACE/of-root" src'
    # The watcher is set up while the agent starts: whatever it missed is found with the next change.
    (while sleep 0.2; do echo again >> README.md; done) &
"#;

#[tokio::test]
async fn an_agent_of_another_user_has_no_right_but_its_own_and_is_ended_with_all_it_started() {
    let Some(place) = Place::new() else { return };
    // Was there before, and open to all.
    fs::create_dir(place.path("state")).unwrap();
    let agent = place.faulty_agent(
        "ok:outputs.json,setsid-grandchild",
        r#"
        echo "ids=$(id -u):$(id -g) groups=$(id -G)"
        sed -n 's/^\(CapInh\|CapPrm\|CapEff\|CapAmb\|NoNewPrivs\):[[:space:]]*/\1=/p' /proc/self/status
        echo "home=$HOME"
        try state ls "$PLACE/state"
        try environ cat /proc/$PPID/environ
        try memory head -c 1 /proc/$PPID/maps
        try signal kill -0 $PPID
        try settings sh -c 'echo >> .git/config'
        try git touch .git/planted
        try rename mv .git other
        try files sh -c 'echo > src/new && rm src/new && echo > new && rm new'
        try private touch "$HOME/tmp/mine"
        "#,
    );
    let run = place.launch(&agent, &[]).await;

    assert_eq!(run.ended().await, SpecStatus::Completed, "{}", run.told().await);
    let none = "0000000000000000";
    let private = place.path("work.agent");
    let expected = [
        format!("ids={UID}:{UID} groups={UID}"),
        format!("CapInh={none}\nCapPrm={none}\nCapEff={none}\nCapAmb={none}\nNoNewPrivs=1"),
        format!("home={}", private.display()),
        "state=no\nenviron=no\nmemory=no\nsignal=no\nsettings=no\ngit=no\nrename=no".to_owned(),
        "files=yes\nprivate=yes\n".to_owned(),
    ];
    assert_eq!(place.probed(), expected.join("\n").repeat(4), "once for each agent");
    let exits = run.events("agent.exited").await;
    assert_eq!(exits.len(), 4);
    for exit in exits {
        assert!(exit["descendants_ended"].as_u64().unwrap() >= 2, "{exit:#}");
    }
    assert_eq!(private.metadata().unwrap().mode() & 0o7777, 0o700);
    run.close().await;
}

#[tokio::test]
async fn what_another_user_plants_in_its_workspace_is_neither_run_nor_followed_by_root() {
    let Some(place) = Place::new() else { return };
    let roots = place.path("of-root");
    fs::create_dir(&roots).unwrap();
    for (name, text) in [("main.rs", BAIT), ("http.rs", BAIT), ("other", "also root's")] {
        fs::write(roots.join(name), text).unwrap();
    }
    let agent = place.faulty_agent("waits", PLANTS);
    let run = place.launch(&agent, &[]).await;
    wait_for("the changes to be told", PATIENCE, async || {
        let told = run.events("agent.file_edited").await;
        let is_told = |path: &&str| told.iter().any(|one| one["path"] == **path);
        ["README.md", "src", "src.old/main.rs"].iter().all(is_told).then_some(())
    })
    .await;
    run.cancel().await;

    assert_eq!(run.ended().await, SpecStatus::Failed, "{}", run.told().await);
    assert_eq!(place.probed(), "readme=yes\nmoved=yes\n");
    let [saved] = &run.events("worker.work_saved").await[..] else { panic!("no word of the work") };
    assert_eq!(saved["kept"], "bundled", "{saved:#}");
    let of = |field: &str| saved[field].as_str().unwrap();
    let repository = run.repository();
    repository.git(&["fetch", "--quiet", of("bundle"), of("reference")]);
    let behind = repository.git(&["show", "FETCH_HEAD:src"]);
    assert_eq!(behind.trim(), roots.to_str().unwrap(), "a link is kept as a link");

    assert!(!place.path("own/was-run").exists(), "a program of the agent's settings was run");
    let told = run.told().await;
    assert!(!told.contains(BAIT), "{told}");
    assert_eq!(run.transcript().await, 404, "what a link led to was sent as the conversation");
    for kept in [place.path("state"), place.data()] {
        assert_eq!(Contents::of(&kept).holding(BAIT), Vec::<&Path>::new());
    }
    let there: BTreeSet<_> = fs::read_dir(&roots).unwrap().map(|one| one.unwrap().path()).collect();
    assert_eq!(there, ["http.rs", "main.rs", "other"].map(|name| roots.join(name)).into());
    for path in there.into_iter().chain([roots.clone()]) {
        assert_eq!(path.metadata().unwrap().uid(), 0, "{} was given away", path.display());
    }
    let clone = place.path("work");
    assert!(!clone.join("src").is_symlink() && clone.join("src/main.rs").is_file());
    assert!(!fs::read_to_string(clone.join("README.md")).unwrap().contains("the agent was here"));
    run.close().await;
}

#[tokio::test]
async fn what_was_put_back_is_another_users_again_in_the_next_attempt() {
    let Some(place) = Place::new() else { return };
    let change = "try readme sh -c 'echo more >> README.md'; try moved mv src src.old";
    let agent = place.faulty_agent("ok:outputs.json", change);
    let run = place.launch(&agent, &[("MAX_ATTEMPTS", "2")]).await;

    assert_eq!(run.ended().await, SpecStatus::Failed, "{}", run.told().await);
    assert_eq!(place.probed(), "readme=yes\nmoved=yes\n".repeat(2));
    let [retry] = &run.events("spec.phase_retry").await[..] else { panic!("{}", run.told().await) };
    assert_eq!(retry["reason"], "work_tree_changed", "{retry:#}");
    run.close().await;
}

#[tokio::test]
async fn the_real_cli_plans_and_is_resumed_as_another_user() {
    let look = Block::tool("Read", json!({ "file_path": "README.md" }));
    let output = Answer::output(sample::document(Phase::Explore));
    let playbook = Playbook::new()
        .with(Phase::Explore, [Answer::Speak(vec![look]), output])
        .with(Phase::Design, [Answer::Hang]);
    let api = MessagesApi::start(playbook.script()).await.unwrap();
    let Some(place) = Place::new() else { return };
    place.claude();
    let variables = [("ANTHROPIC_API_KEY", MODEL_KEY), ("ANTHROPIC_BASE_URL", &api.base_url())];
    let run = place.launch("claude", &variables).await;
    let asks = |phase| api.asks().iter().filter(|ask| ask.phase() == Some(phase)).count();
    wait_for("the model to be asked for the design", PATIENCE * 2, async || {
        assert_ne!(run.status().await, SpecStatus::Failed, "{}", run.told().await);
        (asks(Phase::Design) > 0).then_some(())
    })
    .await;
    let agents = place.processes("CLAUDE_CONFIG_DIR");
    assert!(agents.iter().all(|agent| !agent.mentions(MODEL_KEY)), "{agents:#?}");
    // What a moment ago was there may be gone; the CLI itself waits for its model.
    let uids: BTreeSet<_> =
        agents.iter().filter_map(|agent| uids_of(agent.pid)).flatten().collect();
    assert_eq!(uids, [UID].into(), "{agents:#?}");
    let session = wait_for("the agent's start to be told", PATIENCE, async || {
        let started = run.events("agent.started").await;
        started.get(2).map(|design| design["session_id"].as_str().unwrap().parse().unwrap())
    })
    .await;
    let private = place.path("work.agent");
    // The CLI writes it a moment after it has asked the model.
    wait_for("the transcript", PATIENCE, async || transcript(&private, session)).await;

    assert!(place.worker().kill());

    assert_eq!(run.ended().await, SpecStatus::Completed, "{}", run.told().await);
    let [resumed] = &run.events("agent.resumed").await[..] else { panic!("{}", run.told().await) };
    assert_eq!(resumed["rung"], "transcript", "{resumed:#}");
    let read = &run.events("agent.tool_result").await[0];
    assert!(read["result"].to_string().contains("passes parcels on"), "{read:#}");
    assert_eq!((asks(Phase::Explore), asks(Phase::Requirements)), (2, 1), "done once");
    run.close().await;
}
