//! The guardians' door: trajectories, interventions, ceilings, outcomes, and the built-in guardian.

use serde_json::{Value, json};
use specwright_shared::phase::Phase;
use specwright_shared::wire::spec::Launched;
use uuid::Uuid;

use super::access::{token, user};
use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running, until};

fn excerpt(text: &str) -> Value {
    json!({ "text": text, "bytes": text.len(), "cut": false })
}

/// A call that is answered.
async fn call(worker: &mut Worker<'_>, input: &str, error: bool, answer: &str) {
    let id = Uuid::now_v7();
    let phase = Some(Phase::Explore);
    let call = json!({ "tool": "Bash", "tool_use_id": id, "input": excerpt(input) });
    let answer = json!({ "tool_use_id": id, "is_error": error, "result": excerpt(answer) });
    let call = worker.event("agent.tool_use", phase, call);
    let answer = worker.event("agent.tool_result", phase, answer);
    worker.report(&[call, answer]).await;
}

/// The message of the newest intervention comes this far, as the worker says.
async fn receipt(worker: &mut Worker<'_>, view: &Value, status: &str) {
    let data = json!({ "message_id": view["message"]["id"], "status": status });
    let step = worker.event("agent.message_injected", Some(Phase::Explore), data);
    worker.report(&[step]).await;
}

struct Scene<'a> {
    api: &'a Running,
    path: String,
    launched: Launched,
}

impl<'a> Scene<'a> {
    async fn new(api: &'a Running) -> Self {
        let launched = api.launch(json!({})).await;
        let path = format!("/api/v1/sandboxes/{}/interventions", launched.sandbox_id);
        Self { api, path, launched }
    }

    async fn post(
        &self,
        token: &str,
        key: Option<&str>,
        body: &Value,
    ) -> (u16, Option<u64>, Value) {
        let url = format!("{}{}", self.api.base, self.path);
        let mut request = self.api.http.post(url).bearer_auth(token).json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let wait = answer.headers().get("retry-after");
        let wait = wait.map(|wait| wait.to_str().unwrap().parse().unwrap());
        (status, wait, answer.json().await.unwrap())
    }

    async fn intervene(&self, key: &str, body: &Value) -> (u16, Option<u64>, Value) {
        self.post(OWNER_TOKEN, Some(key), body).await
    }

    async fn trajectory(&self, query: &str) -> Value {
        let path = format!("/api/v1/sandboxes/{}/trajectory{query}", self.launched.sandbox_id);
        let (status, body) = self.api.get(&path).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    async fn events(&self, kind: &str) -> Vec<Value> {
        let path = format!("/api/v1/specs/{}/events?limit=200", self.launched.spec.id);
        let (_, page) = self.api.get(&path).await;
        let items = page["items"].as_array().unwrap().iter();
        items.filter(|event| event["type"] == kind).cloned().collect()
    }

    async fn settings(&self, own: &Value) {
        let path = format!("/api/v1/projects/{}/guardian", self.launched.spec.project_id);
        let (status, settings) = self.api.request("PUT", &path, OWNER_TOKEN, Some(own)).await;
        assert_eq!(status, 200, "{settings}");
        assert_eq!(self.api.get(&path).await.1, settings);
    }

    /// Waits until the newest intervention is judged.
    async fn judged(&self) -> Value {
        until("the intervention is judged", async || {
            let (_, page) = self.api.get(&self.path).await;
            let newest = page["items"].as_array()?.last()?.clone();
            newest.get("assessment").is_some().then_some(newest)
        })
        .await
    }
}

fn nudge() -> Value {
    json!({ "kind": "nudge", "reason": "It loops.", "evidence": "make, 9 times", "message": "Stop." })
}

#[tokio::test]
async fn a_nudge_becomes_a_message_with_receipts_an_event_and_later_an_outcome() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    scene.settings(&json!({ "observe_s": 1 })).await;
    let mut worker = Worker::hello(&api, scene.launched.sandbox_id).await;
    for _ in 0..6 {
        call(&mut worker, "make", true, "no rule").await;
    }
    let (status, _, made) = scene.intervene("k-1", &nudge()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(
        (&made["by"], &made["message"]["kind"]),
        (&json!("owner"), &json!("guardian_nudge"))
    );
    assert_eq!(made["message"]["status"], "queued");
    let poll = format!("/api/v1/sandboxes/{}/messages/poll?after=0&wait_ms=0", worker.id);
    let (_, polled) = api.request("GET", &poll, &worker.token, None::<&()>).await;
    assert_eq!(polled["messages"][0]["text"], "Stop.", "the worker gets it");
    receipt(&mut worker, &made, "seen").await;
    for file in ["a", "b", "c"] {
        call(&mut worker, &format!("cat {file}"), false, file).await;
    }
    let judged = scene.judged().await;
    let assessment = &judged["assessment"];
    assert_eq!(assessment["outcome"], "helped", "{judged}");
    assert_eq!(
        (&assessment["before"]["failed"], &assessment["after"]["calls"]),
        (&json!(6), &json!(3))
    );
    assert_eq!(judged["message"]["status"], "seen");
    assert_eq!(scene.events("guardian.intervened").await[0]["data"]["reason"], "It loops.");
    let outcome = scene.events("guardian.outcome").await;
    assert_eq!(outcome.len(), 1);
    assert_eq!(outcome[0]["data"]["assessment"], *assessment);
    api.end().await;
}

#[tokio::test]
async fn a_repeat_is_the_same_intervention_and_a_second_one_is_told_how_long_to_wait() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    let (status, _, problem) = scene.post(OWNER_TOKEN, None, &nudge()).await;
    assert_eq!(status, 422);
    assert!(problem["detail"].as_str().unwrap().contains("Idempotency-Key"), "{problem}");
    let body = nudge();
    let (one, two) = tokio::join!(scene.intervene("k", &body), scene.intervene("k", &body));
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!((statuses, &one.2), ([200, 201], &two.2));
    let other = json!({ "kind": "nudge", "reason": "Other.", "evidence": "x" });
    assert_eq!(scene.intervene("k", &other).await.0, 422, "the key belongs to another");

    let (status, wait, problem) = scene.intervene("k-2", &nudge()).await;
    assert_eq!((status, &problem["type"]), (429, &json!("intervention-too-soon")));
    assert!((590..=600).contains(&wait.unwrap()), "{wait:?}");
    let (status, wait, _) = scene
        .intervene(
            "k-3",
            &json!({
                "kind": "interrupt", "reason": "It loops.", "evidence": "make",
            }),
        )
        .await;
    assert_eq!(status, 429, "another kind leaves a gap");
    assert!((50..=60).contains(&wait.unwrap()), "{wait:?}");
    let history = format!("/api/v1/sandboxes/{}/messages", scene.launched.sandbox_id);
    assert_eq!(api.get(&history).await.1["items"].as_array().unwrap().len(), 1);
    api.end().await;
}

#[tokio::test]
async fn each_kind_becomes_what_steers_a_run() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    scene.settings(&json!({ "gap_s": 0 })).await;
    let worker = Worker::hello(&api, scene.launched.sandbox_id).await;
    let of = |kind: &str| json!({ "kind": kind, "reason": "Because.", "evidence": "x" });
    for (kind, word) in [("redirect", "`redirect` needs it"), ("hover", "`kind`")] {
        let (status, _, problem) = scene.intervene(kind, &of(kind)).await;
        assert_eq!(status, 422);
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
    let told = json!({ "kind": "stop", "reason": "x", "evidence": "x", "message": "bye" });
    assert_eq!(scene.intervene("told", &told).await.0, 422);
    let redirect = json!({
        "kind": "redirect", "reason": "Wrong way.", "evidence": "x", "message": "Read the docs.",
    });
    let (_, _, made) = scene.intervene("1", &redirect).await;
    assert_eq!(
        (&made["message"]["deliver"], &made["message"]["text"]),
        (&json!("now"), &json!("Read the docs."))
    );
    let (_, _, made) = scene.intervene("2", &of("interrupt")).await;
    assert_eq!(made["message"]["kind"], "interrupt");
    assert_eq!(scene.intervene("3", &of("park")).await.0, 201);
    let poll = format!("/api/v1/sandboxes/{}/messages/poll?after=0&wait_ms=0", worker.id);
    let (_, polled) = api.request("GET", &poll, &worker.token, None::<&()>).await;
    assert_eq!((&polled["pause"], polled.get("stop")), (&json!(true), None), "{polled}");
    // A person who looks into it is not to lose it.
    let hold = format!("/api/v1/sandboxes/{}/hold", scene.launched.sandbox_id);
    let until = specwright_shared::time::Timestamp::from(std::time::SystemTime::now())
        .plus(std::time::Duration::from_secs(60));
    assert_eq!(api.post(&hold, &json!({ "until": until, "reason": "I look." })).await.0, 200);
    let (status, _, problem) = scene.intervene("4", &of("stop")).await;
    assert_eq!(status, 409);
    assert!(problem["detail"].as_str().unwrap().contains("owner holds"), "{problem}");
    let release = format!("/api/v1/sandboxes/{}/release", scene.launched.sandbox_id);
    assert_eq!(api.post(&release, &json!({})).await.0, 200);
    assert_eq!(scene.intervene("4", &of("stop")).await.0, 201);
    let (_, polled) = api.request("GET", &poll, &worker.token, None::<&()>).await;
    let reason = polled["stop"]["reason"].as_str().unwrap();
    assert_eq!(reason, "stopped by the guardian owner: Because.");

    let cancel = format!("/api/v1/specs/{}/cancel", scene.launched.spec.id);
    assert_eq!(api.post(&cancel, &json!({ "force": true })).await.0, 200);
    assert_eq!(scene.judged().await["assessment"]["outcome"], "helped", "the run has ended");
    let (status, _, problem) = scene.intervene("5", &nudge()).await;
    assert_eq!((status, &problem["type"]), (409, &json!("sandbox-ended")));
    api.end().await;
}

#[tokio::test]
async fn a_guardians_token_intervenes_and_does_nothing_else_and_a_readers_does_not() {
    let api = Running::with_waiting_worker().await;
    let ada = user(&api, "ada").await;
    let (_, guardian) = token(&api, &ada, json!({ "name": "g", "kind": "guardian" })).await;
    let (_, reader) = token(&api, &ada, json!({ "name": "r", "kind": "readonly" })).await;
    let launch = json!({ "spec": { "description": "x" } });
    let (status, launched) = api.request("POST", "/api/v1/specs/launch", &ada, Some(&launch)).await;
    assert_eq!(status, 202, "{launched}");
    let launched: Launched = serde_json::from_value(launched).unwrap();
    let path = format!("/api/v1/sandboxes/{}/interventions", launched.sandbox_id);
    let say = format!("/api/v1/sandboxes/{}/messages", launched.sandbox_id);
    let scene = Scene { api: &api, path, launched };
    assert_eq!(scene.post(&reader, Some("k"), &nudge()).await.0, 403);
    let message = json!({ "kind": "guardian_nudge", "text": "x" });
    assert_eq!(api.request("POST", &say, &guardian, Some(&message)).await.0, 403);
    let (status, _, made) = scene.post(&guardian, Some("k"), &nudge()).await;
    assert_eq!((status, &made["by"]), (201, &json!("ada")));
    // Whoever comes next is held to the same bounds.
    assert_eq!(scene.post(&ada, Some("k-2"), &nudge()).await.0, 429);
    api.end().await;
}

#[tokio::test]
async fn a_trajectory_has_the_same_bytes_until_something_happens() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    let mut worker = Worker::hello(&api, scene.launched.sandbox_id).await;
    let started = json!({
        "title": "t", "phases": ["explore"], "agent": "claude", "model": null, "worker_version": "1",
        "commit": null, "max_attempts": 3, "phase_timeout_secs": 9, "max_budget_usd": 2.5,
        "rehearsal": false,
    });
    let started = worker.event("spec.execution_started", None, started);
    let phase = Some(Phase::Explore);
    let begun = worker.event("spec.phase_started", phase, json!({ "max_attempts": 3 }));
    worker.report(&[started, begun]).await;
    for _ in 0..3 {
        call(&mut worker, "make", true, "no rule").await;
    }
    let trajectory = scene.trajectory("").await;
    assert_eq!(trajectory["goal"], "Limit each client to 100 requests a minute");
    assert_eq!(trajectory["plan"][0]["status"], "running");
    assert_eq!(trajectory["spend"]["budget_usd"], 2.5);
    assert_eq!(trajectory["errors"][0]["times"], 3);
    let steps = trajectory["steps"].as_array().unwrap();
    assert!(
        steps.last().unwrap()["text"].as_str().unwrap().contains("error, 3 times"),
        "{steps:?}"
    );

    let url = format!("{}/api/v1/sandboxes/{}/trajectory", api.base, worker.id);
    let ask = async |etag: &str| {
        let request = api.http.get(&url).bearer_auth(OWNER_TOKEN).header("if-none-match", etag);
        let answer = request.send().await.unwrap();
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), etag)
    };
    let (status, etag) = ask("\"none\"").await;
    assert_eq!(status, 200);
    assert_eq!(ask(&etag).await, (304, etag.clone()), "nothing has happened");
    let next = trajectory["next"].as_str().unwrap();
    assert_eq!(scene.trajectory(&format!("?since={next}")).await["steps"], json!([]));
    call(&mut worker, "ls", false, "src").await;
    assert_eq!(ask(&etag).await.0, 200);
    let newer = scene.trajectory(&format!("?since={next}")).await;
    assert_eq!(newer["steps"].as_array().unwrap().len(), 1);
    assert!(newer["steps"][0]["text"].as_str().unwrap().contains("Bash ls -> ok"), "{newer}");
    assert_eq!(scene.intervene("k", &nudge()).await.0, 201);
    assert_eq!(scene.trajectory("").await["interventions"][0]["receipt"], "queued");
    let (status, _) = api.get(&format!("/api/v1/sandboxes/{}/trajectory?since=x", worker.id)).await;
    assert_eq!(status, 422);
    api.end().await;
}

#[tokio::test]
async fn the_built_in_guardian_is_off_and_when_on_it_nudges_a_loop_once_through_the_same_door() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    let mut worker = Worker::hello(&api, scene.launched.sandbox_id).await;
    for _ in 0..6 {
        call(&mut worker, "make", false, "nothing to do").await;
    }
    assert_eq!(scene.events("guardian.intervened").await, Vec::<Value>::new());
    scene.settings(&json!({ "on": true, "observe_s": 1, "gap_s": 0 })).await;
    let made = until("the built-in guardian intervenes", async || {
        scene.events("guardian.intervened").await.first().cloned()
    })
    .await;
    assert_eq!(
        (&made["data"]["kind"], &made["data"]["by"]),
        (&json!("nudge"), &json!("built-in guardian"))
    );
    let (_, page) = api.get(&scene.path).await;
    let text = page["items"][0]["message"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("6 times: Bash make"), "{text}");
    assert_eq!(scene.judged().await["assessment"]["outcome"], "no_effect", "it was never seen");
    // What it saw before is no reason for another one.
    scene.settings(&json!({ "on": true, "observe_s": 1, "gap_s": 0 })).await;
    for _ in 0..6 {
        call(&mut worker, "make", false, "nothing to do").await;
    }
    scene.settings(&json!({ "on": true, "observe_s": 1, "gap_s": 0 })).await;
    let kinds = until("it goes one step further", async || {
        let events = scene.events("guardian.intervened").await;
        let kinds: Vec<Value> = events.iter().map(|event| event["data"]["kind"].clone()).collect();
        (kinds.len() > 1).then_some(kinds)
    })
    .await;
    assert_eq!(kinds, ["nudge", "interrupt"]);
    api.end().await;
}
