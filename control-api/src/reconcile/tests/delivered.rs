//! What a worker that hangs had written down is delivered before its run is ended for a verdict.

use serde_json::json;
use specwright_shared::phase::Phase;
use specwright_shared::wire::sandbox::Job;

use super::{kinds, look, next_sandbox};
use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running, documents, until_file};

/// The first of all workers leaves a fact and hangs; who is started in its place delivers until the
/// test has seen it. The others only wait.
const HANGS: &str = "
    if [ -d \"$STATE_DIR/spool\" ]; then
        env >\"$STATE_DIR/env.new\"; mv \"$STATE_DIR/env.new\" \"$STATE_DIR/env\"
        echo x >>\"$STATE_DIR/tries\"
        until [ -e \"$STATE_DIR/seen\" ]; do sleep 0.05; done
        exit 17
    fi
    if mkdir \"$STATE_DIR/../../first\" 2>/dev/null; then
        mkdir \"$STATE_DIR/spool\"; echo fact >\"$STATE_DIR/spool/1\"
    fi
    env >\"$STATE_DIR/env\"; exec sleep 600";

/// Whether the control API that made the place is there to see its worker's end.
async fn is_delivered(watched: bool) {
    let api = Running::with_settings(HANGS, |config| {
        config.end_sandboxes_on_shutdown = watched;
        config.liveness.restarts = 1;
    })
    .await;
    let launched = api.launch(json!({})).await;
    let (first, spec) = (launched.sandbox_id, launched.spec.id.to_string());
    let path = format!("/api/v1/projects/{}/liveness", launched.spec.project_id);
    let own = json!({ "stuck": [{ "action": "end", "after_s": 0 }] });
    assert_eq!(api.request("PUT", &path, OWNER_TOKEN, Some(&own)).await.0, 200);
    let state = api.sandbox_dir(first).join("state");
    until_file(&state.join("env")).await;
    let api = if watched {
        api
    } else {
        api.restart_with(|config| config.end_sandboxes_on_shutdown = true).await
    };
    let worker = Worker::hello(&api, first).await;
    worker.beat_stuck().await;
    look(&api, first).await;
    until_file(&state.join("tries")).await;
    let mut worker = Worker::hello(&api, first).await;
    assert_eq!(worker.welcome.job, Job::Deliver);
    let explore = worker.completed(Phase::Explore, documents::of(Phase::Explore).as_ref());
    worker.report(&[explore]).await;
    // Nor does a look meanwhile end what delivers.
    look(&api, first).await;
    std::fs::write(state.join("seen"), "").unwrap();

    let second = next_sandbox(&api, &spec, first).await;
    let (_, found) = api.get(&format!("/api/v1/specs/{spec}")).await;
    assert_eq!(
        (&found["status"], &found["current_phase"]),
        (&json!("executing"), &json!("requirements"))
    );
    let (_, phase) = api.get(&format!("/api/v1/specs/{spec}/phases/explore")).await;
    assert_eq!(phase["status"], "accepted", "it is not done again");
    let (_, ended) = api.get(&format!("/api/v1/sandboxes/{first}")).await;
    assert_eq!(ended["outcome"], "timed_out", "it counts as what it was ended for: {ended}");
    let message = ended["message"].as_str().unwrap();
    assert!(message.contains("the run is stuck") && !message.contains("missing"), "{message}");
    let job = Worker::hello(&api, second).await.welcome.job;
    assert_eq!(serde_json::to_value(&job).unwrap()["start"], "requirements");
    assert!(kinds(&api, &spec).await.contains(&"spec.restarted".to_owned()));
    api.end().await;
}

#[tokio::test]
async fn what_a_hung_worker_had_written_down_is_delivered_before_its_run_is_over() {
    is_delivered(true).await;
}

#[tokio::test]
async fn it_is_delivered_too_where_nobody_watched_the_worker() {
    is_delivered(false).await;
}
