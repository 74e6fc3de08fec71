//! An agent that takes too long, goes round in circles, or changes files: what is said and done.

use serde_json::Value;
use specwright_tests::repository::Repository;
use specwright_tests::sample;
use specwright_tests::system::{Finished, System};
use specwright_tests::wait::{PATIENCE, wait_for};

use crate::faulty::install;
use crate::shape::{list, text};

async fn launch(system: &System, behaviour: &str) -> Finished {
    let agent = install(system, behaviour).display().to_string();
    let repository = Repository::with_files(sample::FILES);
    let arguments = ["launch", "--json", "--agent", &agent, sample::IDEA];
    let run = system.run(repository.path(), arguments).await;
    system.nothing_left().await;
    run
}

fn reasons(run: &Finished) -> Vec<String> {
    let interrupted = run.events("agent.interrupted");
    interrupted.iter().map(|event| text(&event["data"]["reason"]).to_owned()).collect()
}

#[tokio::test]
async fn a_silent_agent_is_interrupted_and_asked_to_go_on_and_the_same_attempt_succeeds() {
    let mut system = System::new();
    // Long beside what a healthy turn takes, so that only the one that waits is interrupted.
    system.set("AGENT_SILENCE_TIMEOUT", "4");
    let run = launch(&system, "ok:outputs.json,waits-once").await.expect_code(0);
    let reasons = reasons(&run);
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].contains("said nothing for 4 s"), "{reasons:?}");
    assert!(run.events("spec.phase_retry").is_empty(), "{run:#?}");
}

#[tokio::test]
async fn a_tool_over_its_limit_is_interrupted_long_before_the_attempts_end() {
    let mut system = System::new();
    system.set("TOOL_TIMEOUT", "1");
    let run = launch(&system, "ok:outputs.json,hangs-in-a-tool-once").await.expect_code(0);
    let reasons = reasons(&run);
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].contains("the tool Bash was at work for longer than 1 s"), "{reasons:?}");
}

#[tokio::test]
async fn what_is_silent_again_and_again_gets_a_fresh_agent_and_then_fails_with_the_cause() {
    let mut system = System::new();
    system.set("AGENT_SILENCE_TIMEOUT", "1").set("MAX_ATTEMPTS", "2");
    let run = launch(&system, "waits").await.expect_code(1);
    assert_eq!(reasons(&run).len(), 4, "two in each attempt: {run:#?}");
    let retry = &run.events("spec.phase_retry")[0];
    assert_eq!(retry["data"]["reason"], "timed_out", "{retry:#}");
    assert_eq!(run.events("agent.started").len(), 2);
    let failed = &run.events("spec.execution_failed")[0];
    assert_eq!(failed["data"]["outcome"], "timed_out", "{failed:#}");
    assert!(text(&failed["data"]["message"]).contains("said nothing"), "{failed:#}");
}

#[tokio::test]
async fn a_loop_is_told_with_its_evidence_and_ends_nothing() {
    let run = launch(&System::new(), "ok:outputs.json,loops").await.expect_code(0);
    let loops = run.events("agent.loop_detected");
    assert_eq!(loops.len(), 4, "one for each agent: {loops:#?}");
    let data = &loops[0]["data"];
    assert_eq!((&data["kind"], &data["tool"]), (&Value::from("same_call"), &Value::from("Read")));
    assert!(text(&data["result"]).contains("no such file"), "{data:#}");
}

#[tokio::test]
async fn a_file_that_the_agent_writes_is_told_with_its_diff() {
    let mut system = System::new();
    system.set("MAX_ATTEMPTS", "1").set("AGENT_SILENCE_TIMEOUT", "2");
    // It waits after it wrote, so that the watcher has the time to see it.
    let run = launch(&system, "waits,writes-file").await.expect_code(1);
    let edited = run.events("agent.file_edited");
    let written = edited
        .iter()
        .find(|event| event["data"]["path"] == "written-by-the-agent.txt")
        .unwrap_or_else(|| panic!("{run:#?}"));
    let data = &written["data"];
    assert_eq!((&data["change"], &data["lines_added"]), (&"created".into(), &1.into()));
    assert!(text(&data["diff"]["text"]).contains("+the agent was here"), "{data:#}");
    assert_eq!(data["during_tool"], false);
}

#[tokio::test]
async fn show_says_what_a_living_sandbox_is_at_and_from_which_signals_that_follows() {
    let system = System::new();
    let agent = install(&system, "ok:outputs.json,hangs-in-a-tool-once").display().to_string();
    let repository = Repository::with_files(sample::FILES);
    let mut run =
        system.start(repository.path(), ["launch", "--json", "--agent", &agent, sample::IDEA]);
    run.event("agent.tool_use").await;
    let listed = system.run(system.root(), ["list", "--json"]).await.expect_code(0).summary();
    let spec = text(&list(&listed)[0]["id"]);
    // Heartbeats come every 10 s.
    let waiting = "a heartbeat that tells of the open tool call";
    let sandbox = wait_for(waiting, PATIENCE, async || {
        let shown = system.run(system.root(), ["show", "--json", &spec]).await.expect_code(0);
        let sandbox = shown.summary()["sandbox"].clone();
        (sandbox["verdict"]["kind"] == "waiting_tool").then_some(sandbox)
    })
    .await;
    let signals = &sandbox["heartbeat"]["signals"];
    assert_eq!(signals["state"], "tool_call", "{signals:#}");
    assert_eq!(signals["open_tools"][0]["tool"], "Bash", "{signals:#}");
    assert!(signals["agent"]["memory_bytes"].as_u64().unwrap() > 0, "{signals:#}");
    assert!(signals["disk_free_bytes"].as_u64().unwrap() > 0, "{signals:#}");
    assert!(signals["clock_jump"].is_null(), "{signals:#}");
    let evidence = list(&sandbox["verdict"]["evidence"]);
    assert_eq!(evidence[0]["signal"], "tool", "{evidence:#?}");
    // The tool's own limit; the attempt's is further away.
    assert_eq!(evidence[0]["limit_ms"], 1_800_000, "{evidence:#?}");
    let shown = system.run(system.root(), ["show", &spec]).await.expect_code(0);
    assert!(shown.stdout.contains("waiting_tool: the tool Bash is at work"), "{shown:#?}");
    system.run(system.root(), ["stop", &spec]).await.expect_code(0);
    run.finish().await.expect_code(1);
}
