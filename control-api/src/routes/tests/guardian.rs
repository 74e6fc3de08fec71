//! The guardians' door: trajectories, interventions, ceilings, outcomes, and the built-in guardian.

mod built_in;
mod outcome;
mod trajectory;

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

/// Neither the gap nor a cool-down holds here: what is refused is refused by the ceiling alone.
#[tokio::test]
async fn a_kind_whose_ceiling_is_reached_is_told_when_the_window_frees_and_another_kind_is_taken() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    let mut own = json!({
        "nudge": { "max": 2, "cool_down_s": 0 }, "gap_s": 0, "window_s": 600,
    });
    scene.settings(&own).await;
    for key in ["k-1", "k-2"] {
        assert_eq!(scene.intervene(key, &nudge()).await.0, 201, "{key}");
    }
    let (status, wait, problem) = scene.intervene("k-3", &nudge()).await;
    assert_eq!((status, &problem["type"]), (429, &json!("intervention-too-soon")), "{problem}");
    let wait = wait.unwrap();
    assert!((570..=600).contains(&wait), "{wait} s until the first leaves the window");
    let said =
        format!("the ceiling of 2 of kind `nudge` is reached; the next one is taken in {wait} s");
    assert_eq!(problem["detail"], said);
    let other = json!({ "kind": "interrupt", "reason": "It loops.", "evidence": "make" });
    assert_eq!(scene.intervene("k-4", &other).await.0, 201, "another kind has its own ceiling");
    assert_eq!(scene.events("guardian.intervened").await.len(), 3);
    // Once the window has passed the same one is taken: its refusal used nothing up.
    own["window_s"] = json!(1);
    scene.settings(&own).await;
    until("the window is free", async || {
        (scene.intervene("k-3", &nudge()).await.0 == 201).then_some(())
    })
    .await;
    api.end().await;
}

#[tokio::test]
async fn of_guardians_that_come_at_once_one_gets_through() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    let body = nudge();
    let keys: Vec<String> = (0..6).map(|number| format!("key-{number}")).collect();
    let all = keys.iter().map(|key| scene.intervene(key, &body));
    let answers = futures_util::future::join_all(all).await;
    let mut statuses: Vec<u16> = answers.iter().map(|(status, ..)| *status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 429, 429, 429, 429, 429]);
    assert!(answers.iter().all(|(status, wait, _)| *status == 201 || wait.is_some()));
    assert_eq!(scene.events("guardian.intervened").await.len(), 1);
    api.end().await;
}

#[tokio::test]
async fn a_word_that_the_run_was_entrusted_with_is_in_nothing_that_is_said_to_it_or_about_it() {
    const KEY: &str = "sk-ant-api03-a-key-of-the-run-0123456789";
    let sealed = crate::auth::SealKeys::parse(&"7".repeat(64)).unwrap();
    let api = Running::with_settings(crate::testing::WAITING_WORKER, |config| {
        config.seal_keys = Some(std::sync::Arc::new(sealed));
    })
    .await;
    let put = json!({ "value": KEY });
    let path = "/api/v1/credentials/model_api_key";
    assert_eq!(api.request("PUT", path, OWNER_TOKEN, Some(&put)).await.0, 200);
    let scene = Scene::new(&api).await;
    let worker = Worker::hello(&api, scene.launched.sandbox_id).await;
    let said = |word: &str| format!("{word} {KEY} and {OWNER_TOKEN}");
    let clean = |word: &str| format!("{word} [redacted] and [redacted]");
    let body = json!({
        "kind": "nudge", "reason": said("reason"), "evidence": said("evidence"),
        "message": said("message"),
    });
    let (status, _, made) = scene.intervene("k", &body).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(
        (&made["reason"], &made["evidence"], &made["message"]["text"]),
        (&json!(clean("reason")), &json!(clean("evidence")), &json!(clean("message")))
    );
    assert_eq!(scene.intervene("k", &body).await.0, 200, "a repeat is the same");
    let sandbox = format!("/api/v1/sandboxes/{}", worker.id);
    let message = json!({ "kind": "user_message", "text": said("say") });
    let (status, message) = api.post(&format!("{sandbox}/messages"), &message).await;
    assert_eq!((status, &message["text"]), (201, &json!(clean("say"))));
    let until = specwright_shared::time::Timestamp::from(std::time::SystemTime::now())
        .plus(std::time::Duration::from_secs(60));
    let hold = json!({ "until": until, "reason": said("hold") });
    let (status, view) = api.post(&format!("{sandbox}/hold"), &hold).await;
    assert_eq!((status, &view["hold"]["reason"]), (200, &json!(clean("hold"))));
    let events = json!(scene.events("guardian.intervened").await).to_string();
    assert!(events.contains(&clean("reason")), "{events}");
    let mut found = 0;
    for name in ["specwright.db", "specwright.db-wal"] {
        let stored = std::fs::read(api.config.data_dir.join(name)).unwrap();
        let has = |text: &str| stored.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!has(KEY) && !has(OWNER_TOKEN), "{name}");
        found += usize::from(has("evidence [redacted]"));
    }
    assert!(found > 0, "it was looked for where it is stored");
    api.end().await;
}

#[tokio::test]
async fn each_kind_becomes_what_steers_a_run() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    scene.settings(&json!({ "gap_s": 0 })).await;
    let mut worker = Worker::hello(&api, scene.launched.sandbox_id).await;
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

    let cancelled = json!({
        "outcome": "cancelled", "failed_phase": "explore", "message": "as asked",
        "cost_usd": 0.0, "duration_ms": 1,
    });
    let report = worker.event("spec.execution_failed", None, cancelled);
    worker.report(&[report]).await;
    let judged = scene.judged().await;
    assert_eq!(judged["kind"], "stop");
    assert_eq!(judged["assessment"]["outcome"], "helped", "{judged}");
    let (_, page) = api.get(&scene.path).await;
    let parked =
        page["items"].as_array().unwrap().iter().find(|one| one["kind"] == "park").unwrap();
    assert_eq!(parked["assessment"]["outcome"], "no_effect", "it stopped, it did not pause");
    let (status, _, problem) = scene.intervene("5", &nudge()).await;
    assert_eq!((status, &problem["type"]), (409, &json!("sandbox-ended")));
    api.end().await;
}

#[tokio::test]
async fn whom_a_person_holds_is_told_things_and_nothing_is_taken_from_him() {
    let api = Running::with_waiting_worker().await;
    let scene = Scene::new(&api).await;
    let path = format!("/api/v1/sandboxes/{}", scene.launched.sandbox_id);
    let until = specwright_shared::time::Timestamp::from(std::time::SystemTime::now())
        .plus(std::time::Duration::from_secs(60));
    let hold = json!({ "until": until, "reason": "I look." });
    assert_eq!(api.post(&format!("{path}/hold"), &hold).await.0, 200);
    for kind in ["interrupt", "redirect", "park", "stop"] {
        let mut asked = json!({ "kind": kind, "reason": "Because.", "evidence": "x" });
        if kind == "redirect" {
            asked["message"] = json!("Read the docs.");
        }
        let (status, _, problem) = scene.intervene(kind, &asked).await;
        assert_eq!(status, 409, "{kind}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("owner holds"), "{problem}");
    }
    assert_eq!(scene.intervene("nudge", &nudge()).await.0, 201);
    let (_, page) = api.get(&scene.path).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
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
