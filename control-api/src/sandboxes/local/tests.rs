//! The local provider with a real program, `/bin/sh`, as the worker.

use serde_json::json;

use crate::testing::worker::Worker;
use crate::testing::{Running, until, until_file};

#[tokio::test]
async fn a_worker_that_exits_without_a_report_is_lost_with_its_exit_and_its_log() {
    let api = Running::with_worker("echo broken for a reason >&2; exit 7").await;
    let launched = api.launch(json!({})).await;
    let spec = api.until_spec(launched.spec.id, "failed").await;
    let message = spec["message"].as_str().unwrap();
    for part in ["exit code 7 without a report", "worker.log", "broken for a reason"] {
        assert!(message.contains(part), "{message}");
    }
    let (_, sandbox) = api.get(&format!("/api/v1/sandboxes/{}", launched.sandbox_id)).await;
    assert_eq!((&sandbox["state"], &sandbox["outcome"]), (&json!("ended"), &json!("lost")));
    // It can be executed again at once.
    let execute = format!("/api/v1/specs/{}/execute", launched.spec.id);
    assert_eq!(api.post(&execute, &json!({})).await.0, 202);
    api.end().await;
}

#[tokio::test]
async fn a_worker_gets_its_settings_and_nothing_that_lies_about() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({ "agent": "rehearsal", "model": "m" })).await;
    let directory = api.sandbox_dir(launched.sandbox_id);
    let environment = until_file(&directory.join("state/env")).await;
    let value = |name: &str| {
        environment
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")))
            .map(str::to_owned)
    };
    assert_eq!(value("SPEC_ID"), Some(launched.spec.id.to_string()));
    assert_eq!(value("SANDBOX_ID"), Some(launched.sandbox_id.to_string()));
    assert_eq!(value("CONTROL_API_URL"), Some(api.base.clone()));
    assert_eq!(value("AGENT").as_deref(), Some("rehearsal"));
    assert_eq!(value("MODEL").as_deref(), Some("m"));
    assert_eq!(value("SECRET"), None, "only the allow-list gets in");
    assert_eq!(value("CARGO_MANIFEST_DIR"), None);
    assert_eq!(value("WORKSPACE_DIR"), Some(directory.join("workspace").display().to_string()));
    assert!(value("OUTPUT_DIR").unwrap().ends_with(&format!("{}/documents", launched.spec.id)));
    api.end().await;
}

#[tokio::test]
async fn what_a_killed_worker_started_goes_with_it() {
    let script = "sleep 600 & echo $! >\"$STATE_DIR/child\"; echo $$ >\"$STATE_DIR/pid\"; wait";
    let api = Running::with_worker(script).await;
    let launched = api.launch(json!({})).await;
    let state = api.sandbox_dir(launched.sandbox_id).join("state");
    let number = async |name: &str| {
        rustix::process::Pid::from_raw(until_file(&state.join(name)).await.trim().parse().unwrap())
            .unwrap()
    };
    let (child, worker) = (number("child").await, number("pid").await);
    rustix::process::kill_process(worker, rustix::process::Signal::KILL).unwrap();
    let spec = api.until_spec(launched.spec.id, "failed").await;
    assert!(spec["message"].as_str().unwrap().contains("signal 9"), "{spec}");
    until("the worker's child is gone", async || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero()));
        // A zombie is gone: whoever adopted it may not have looked yet.
        stat.map_or(true, |stat| stat.contains(") Z ")).then_some(())
    })
    .await;
    api.end().await;
}

#[tokio::test]
async fn what_a_killed_worker_left_in_sessions_of_their_own_goes_too() {
    // One is marked and stands elsewhere, one has wiped its environment.
    let script = "cd / && setsid sh -c 'echo $$ >\"$STATE_DIR/marked\"; exec sleep 600' &
        setsid sh -c 'echo $$ >\"$STATE_DIR/wiped\"; exec env -i sleep 600' &
        echo $$ >\"$STATE_DIR/pid\"; wait";
    let api = Running::with_worker(script).await;
    let launched = api.launch(json!({})).await;
    let state = api.sandbox_dir(launched.sandbox_id).join("state");
    let stat = |pid: &str| std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    let left = [until_file(&state.join("marked")).await, until_file(&state.join("wiped")).await];
    for pid in &left {
        until("it sleeps", async || stat(pid).unwrap().contains("(sleep)").then_some(())).await;
    }
    let worker = until_file(&state.join("pid")).await.trim().parse().unwrap();
    let worker = rustix::process::Pid::from_raw(worker).unwrap();
    rustix::process::kill_process(worker, rustix::process::Signal::KILL).unwrap();
    api.until_spec(launched.spec.id, "failed").await;
    for pid in &left {
        assert!(stat(pid).is_err(), "{:?}", stat(pid));
    }
    api.end().await;
}

#[tokio::test]
async fn a_worker_that_refuses_its_settings_is_a_worker_error_in_its_own_words() {
    let script = "echo 'MAX_TURNS must be a number; it was \"x\".' >&2; exit 2";
    let api = Running::with_worker(script).await;
    let launched = api.launch(json!({})).await;
    let spec = api.until_spec(launched.spec.id, "failed").await;
    assert_eq!(spec["reason"], "worker_error", "{spec}");
    let message = "the worker refused its settings: MAX_TURNS must be a number; it was \"x\".";
    assert_eq!(spec["message"], message);
    api.end().await;
}

#[tokio::test]
async fn the_first_answer_after_a_crash_knows_that_the_worker_is_gone() {
    let mut api = Running::with_waiting_worker().await;
    api.config.end_sandboxes_on_shutdown = false;
    let api = api.restart().await;
    let launched = api.launch(json!({})).await;
    until_file(&api.sandbox_dir(launched.sandbox_id).join("state/env")).await;
    let pid = worker_pid(&launched.sandbox_id.to_string());
    let api = api
        .restart_after(async || {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            until("the worker is gone", async || {
                let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
                stat.map_or(true, |stat| stat.contains(") Z ")).then_some(())
            })
            .await;
        })
        .await;
    let (_, specs) = api.get("/api/v1/specs").await;
    assert_eq!(specs["items"][0]["status"], "failed", "{specs}");
    api.end().await;
}

#[tokio::test]
async fn a_worker_that_is_deaf_to_a_request_is_killed_at_shutdown() {
    let api = Running::with_worker(
        "trap '' TERM; echo $$ >\"$STATE_DIR/pid\"; while :; do sleep 1; done",
    )
    .await;
    let launched = api.launch(json!({})).await;
    let pid = until_file(&api.sandbox_dir(launched.sandbox_id).join("state/pid")).await;
    api.end().await;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    assert!(stat.is_err(), "{stat:?}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_and_leaves_nothing_executing() {
    let mut config = Running::with_waiting_worker().await;
    config.config.worker.program = "/no/such/worker".into();
    let api = config.restart().await;
    let launch = json!({ "spec": { "description": "x" } });
    let (status, problem) = api.post("/api/v1/specs/launch", &launch).await;
    assert_eq!((status, &problem["type"]), (502, &json!("sandbox-start-failed")));
    assert!(problem["detail"].as_str().unwrap().contains("/no/such/worker"), "{problem}");
    let (_, specs) = api.get("/api/v1/specs").await;
    assert_eq!(specs["items"][0]["status"], "failed");
    api.end().await;
}

#[tokio::test]
async fn after_a_crash_of_everything_a_spec_can_be_executed_at_once() {
    let mut api = Running::with_waiting_worker().await;
    api.config.end_sandboxes_on_shutdown = false;
    let mut api = api.restart().await;
    let launched = api.launch(json!({})).await;
    let execute = format!("/api/v1/specs/{}/execute", launched.spec.id);
    let environment = until_file(&api.sandbox_dir(launched.sandbox_id).join("state/env")).await;
    assert!(environment.contains("SANDBOX_TOKEN="));
    // The control API goes, its worker stays, and a newer control API finds it at work.
    api.config.end_sandboxes_on_shutdown = true;
    let api = api.restart().await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    assert_eq!(worker.welcome.generation, 1);
    assert_eq!(api.post(&execute, &json!({})).await.0, 409, "its worker lives");
    // Now the worker goes, too. Nobody has observed it: it was another control API's child.
    let pid = worker_pid(&launched.sandbox_id.to_string());
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    until("the spec can be executed", async || {
        (api.post(&execute, &json!({})).await.0 == 202).then_some(())
    })
    .await;
    let (_, sandbox) = api.get(&format!("/api/v1/sandboxes/{}", launched.sandbox_id)).await;
    assert_eq!(sandbox["outcome"], "lost");
    api.end().await;
}

/// A worker that leaves facts and is killed; started again, it counts that, keeps its environment and
/// does what `then` says.
fn leaves_facts(then: &str) -> String {
    format!(
        "if [ -d \"$STATE_DIR/spool\" ]; then echo x >>\"$STATE_DIR/tries\"
             env >\"$STATE_DIR/env\"; {then}
         fi
         mkdir \"$STATE_DIR/spool\"; echo fact >\"$STATE_DIR/spool/1\"; kill -9 $$"
    )
}

#[tokio::test]
async fn what_a_killed_worker_left_is_delivered_by_one_that_gets_no_key_before_it_is_lost() {
    // It ends when the test has seen it at work.
    let then = "until [ -e \"$STATE_DIR/seen\" ]; do sleep 0.05; done; exit 17";
    let api = Running::with_worker(&leaves_facts(then)).await;
    let launched = api.launch(json!({ "agent": "claude", "model": "m" })).await;
    let state = api.sandbox_dir(launched.sandbox_id).join("state");
    let environment = until_file(&state.join("env")).await;
    let has = |line: &str| environment.lines().any(|one| one == line);
    assert!(has("AGENT=rehearsal") && has("DIE_WITH_PARENT=1"), "{environment}");
    assert!(!environment.contains("MODEL=") && !environment.contains("SECRET="), "{environment}");
    // Its hello gets it no run, and the run is not over before it is.
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    assert_eq!(worker.welcome.job, specwright_shared::wire::sandbox::Job::Deliver);
    api.until_spec(launched.spec.id, "executing").await;
    std::fs::write(state.join("seen"), "").unwrap();
    let spec = api.until_spec(launched.spec.id, "failed").await;
    assert_eq!(spec["reason"], "lost");
    assert!(spec["message"].as_str().unwrap().contains("was ended by signal 9"), "{spec}");
    assert!(!spec["message"].as_str().unwrap().contains("missing"), "{spec}");
    api.end().await;
}

#[tokio::test]
async fn a_second_death_is_met_by_another_try_and_tries_are_bounded_and_told() {
    for (then, tries, told) in [
        ("[ $(wc -l <\"$STATE_DIR/tries\") = 2 ] && exit 17; kill -9 $$", 2, false),
        ("exit 16", 3, true),
    ] {
        let api = Running::with_worker(&leaves_facts(then)).await;
        let launched = api.launch(json!({})).await;
        let spec = api.until_spec(launched.spec.id, "failed").await;
        let message = spec["message"].as_str().unwrap();
        assert_eq!(message.contains("facts of the run may be missing"), told, "{message}");
        let state = api.sandbox_dir(launched.sandbox_id).join("state");
        let counted = std::fs::read_to_string(state.join("tries")).unwrap();
        assert_eq!(counted.lines().count(), tries, "{then}");
        api.end().await;
    }
}

#[tokio::test]
async fn a_delivery_that_a_shutdown_cuts_short_is_taken_up_by_the_next_control_api() {
    let then = "[ -e \"$STATE_DIR/again\" ] && exit 17; exec sleep 600";
    let mut api = Running::with_worker(&leaves_facts(then)).await;
    api.config.end_sandboxes_on_shutdown = false;
    let api = api.restart().await;
    let launched = api.launch(json!({})).await;
    let state = api.sandbox_dir(launched.sandbox_id).join("state");
    until_file(&state.join("env")).await;
    let id = launched.sandbox_id.to_string();
    let again = state.join("again");
    let api = api
        .restart_after(async || {
            assert!(worker_pids(&id).is_empty(), "nothing is left running");
            std::fs::write(&again, "").unwrap();
        })
        .await;
    let (_, specs) = api.get("/api/v1/specs").await;
    assert_eq!(specs["items"][0]["status"], "failed", "the first answer is true: {specs}");
    assert_eq!(specs["items"][0]["reason"], "lost");
    api.end().await;
}

/// The process of a sandbox's worker.
fn worker_pid(sandbox: &str) -> rustix::process::Pid {
    worker_pids(sandbox)[0]
}

/// The processes of a sandbox, found by what is in their environment.
fn worker_pids(sandbox: &str) -> Vec<rustix::process::Pid> {
    let setting = format!("SANDBOX_ID={sandbox}");
    let table = std::fs::read_dir("/proc").unwrap();
    let pids = table.filter_map(|entry| {
        let entry = entry.unwrap();
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let has = environment.split(|byte| *byte == 0).any(|pair| pair == setting.as_bytes());
        has.then(|| entry.file_name().to_str()?.parse().ok()).flatten()
    });
    pids.filter_map(rustix::process::Pid::from_raw).collect()
}

#[tokio::test]
async fn a_start_that_fails_leaves_a_failed_spec_with_the_cause_and_nothing_else() {
    // In the order of a start: a directory, the log, the program.
    let api = Running::with_worker("exit 0").await;
    assert_eq!(api.get("/api/v1/specs").await.0, 200, "it is up, and has its data directory");
    let sandboxes = api.config.data_dir.join("sandboxes");
    std::fs::write(&sandboxes, "in the way").unwrap();
    let why = failed_start(&api).await;
    assert!(why.contains("sandboxes") && why.contains("could not be made"), "{why}");
    assert!(sandboxes.is_file());
    api.end().await;

    let api = Running::with_settings("", |config| {
        config.worker.program = "/no/such/program".into();
    })
    .await;
    let why = failed_start(&api).await;
    assert!(why.contains("/no/such/program could not be started"), "{why}");
    let sandboxes = api.config.data_dir.join("sandboxes");
    let of_one = std::fs::read_dir(&sandboxes).unwrap().next().unwrap().unwrap().path();
    let left: Vec<_> = std::fs::read_dir(of_one).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["worker.log"], "no workspace, no state");
    api.end().await;
}

#[tokio::test]
async fn a_start_that_is_overtaken_or_cannot_be_noted_leaves_no_process_and_no_state() {
    for closed in [false, true] {
        let api = Running::with_settings(crate::testing::WAITING_WORKER, |config| {
            config.end_sandboxes_on_shutdown = false;
        })
        .await;
        let launched = api.launch(json!({})).await;
        let cancel = format!("/api/v1/specs/{}/cancel", launched.spec.id);
        assert_eq!(api.post(&cancel, &json!({ "force": true })).await.0, 200);
        let own = api.sandbox_dir(launched.sandbox_id);
        let hand = api.by_hand(|_| ()).await;
        if closed {
            hand.app.store.close().await;
        }
        let start = crate::sandboxes::Start {
            sandbox: launched.sandbox_id,
            spec: launched.spec.id,
            token: crate::auth::SandboxToken::generate().unwrap(),
            options: specwright_shared::wire::spec::RunOptions::default(),
            traceparent: None,
        };
        // A worker was started by then.
        let error = hand.app.provider.start(&hand.app, start).await.unwrap_err();
        match error {
            super::StartError::EndedMeanwhile => assert!(!closed),
            super::StartError::Store(_) => assert!(closed),
            other => panic!("{other:?}"),
        }
        assert!(worker_pids(&launched.sandbox_id.to_string()).is_empty());
        assert!(!own.join("state").exists() && !own.join("workspace").exists());
        hand.end().await;
    }
}

/// Launches what cannot start; the cause, as the spec tells it.
async fn failed_start(api: &Running) -> String {
    let launch = json!({ "spec": { "description": "Idea" }, "run": { "restarts": 5 } });
    let (status, problem) = api.post("/api/v1/specs/launch", &launch).await;
    assert_eq!((status, &problem["type"]), (502, &json!("sandbox-start-failed")), "{problem}");
    let (_, specs) = api.get("/api/v1/specs").await;
    let spec = &specs["items"][0];
    assert_eq!((&spec["status"], &spec["reason"]), (&json!("failed"), &json!("worker_error")));
    let (_, sandboxes) = api.get("/api/v1/sandboxes").await;
    let sandboxes = sandboxes["items"].as_array().unwrap();
    assert_eq!(sandboxes.len(), 1, "what cannot start is not tried again by itself");
    assert_eq!(sandboxes[0]["state"], "ended");
    spec["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn only_places_of_the_deployment_are_listed() {
    use super::leftovers::{LABEL, MARK, list};
    let (ours, sandbox) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    let mut child = std::process::Command::new("sleep")
        .arg("600")
        .env(LABEL, ours.to_string())
        .env(MARK, sandbox.to_string())
        .spawn()
        .unwrap();
    let listed = until("the place is listed", async || list(ours).first().copied()).await;
    assert_eq!(listed.sandbox.0, sandbox);
    assert!(listed.age < std::time::Duration::from_secs(60), "{listed:?}");
    assert_eq!(list(uuid::Uuid::now_v7()), [], "another deployment's");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(list(ours), []);
}
