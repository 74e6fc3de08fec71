//! The trace of a request goes into what it begins, and comes back with what is reported of that.

use serde_json::{Value, json};
use specwright_shared::trace::{TRACEPARENT, TraceContext, TraceId};

use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running, until_file};

const LAUNCHES: &str = "00-11111111111111111111111111111111-aaaaaaaaaaaaaaaa-01";
const SAYS: &str = "00-22222222222222222222222222222222-bbbbbbbbbbbbbbbb-01";
const INTERVENES: &str = "00-33333333333333333333333333333333-cccccccccccccccc-00";

fn trace(context: &str) -> TraceId {
    context.parse::<TraceContext>().unwrap().trace
}

/// The owner changes something in a trace; the answer's own step in it, and its body.
async fn post(api: &Running, path: &str, context: &str, body: &Value) -> (TraceContext, Value) {
    let request = api.http.post(format!("{}{path}", api.base)).bearer_auth(OWNER_TOKEN);
    let request = request.header(TRACEPARENT, context).header("idempotency-key", "k");
    let answer = request.json(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    let own = answer.headers()[TRACEPARENT].to_str().unwrap().parse().unwrap();
    (own, answer.json().await.unwrap())
}

#[tokio::test]
async fn events_belong_to_the_trace_of_the_launch_or_of_what_they_answer() {
    let api = Running::with_waiting_worker().await;
    let launch = json!({ "spec": { "description": "Count the clients" }, "run": {} });
    let (launched_in, launched) = post(&api, "/api/v1/specs/launch", LAUNCHES, &launch).await;
    assert_eq!(launched_in.trace, trace(LAUNCHES));
    assert_ne!(launched_in.to_string(), LAUNCHES, "the request is a step of its own");
    let id = launched["sandbox_id"].as_str().unwrap().parse().unwrap();
    let environment = until_file(&api.sandbox_dir(id).join("state/env")).await;
    let handed_on = environment.lines().find_map(|line| line.strip_prefix("TRACEPARENT="));
    assert_eq!(handed_on, Some(launched_in.to_string().as_str()));
    let mut worker = Worker::hello(&api, id).await;
    let sandbox = format!("/api/v1/sandboxes/{id}");
    assert_eq!(api.get(&sandbox).await.1["trace_id"], json!(trace(LAUNCHES)));

    let say = json!({ "kind": "user_message", "text": "Mind the proxies" });
    let (said_in, said) = post(&api, &format!("{sandbox}/messages"), SAYS, &say).await;
    assert_eq!((said_in.trace, &said["traceparent"]), (trace(SAYS), &json!(said_in)));
    let poll = format!("{sandbox}/messages/poll");
    let (_, polled) = api.request("GET", &poll, &worker.token, None::<&()>).await;
    assert_eq!(polled["messages"][0]["traceparent"], json!(said_in));
    let nudge = json!({ "kind": "nudge", "reason": "It waits", "evidence": "Nothing comes" });
    let path = format!("{sandbox}/interventions");
    let (nudged_in, nudged) = post(&api, &path, INTERVENES, &nudge).await;
    assert!(!nudged_in.sampled, "who began that trace does not keep it");
    assert_eq!(nudged["message"]["traceparent"], json!(nudged_in));

    let own = worker.event("spec.progress", None, json!({ "message": "mine" }));
    let receipt = json!({ "message_id": said["id"], "status": "delivered" });
    let mut receipt = worker.event("agent.message_injected", None, receipt);
    receipt.trace_id = Some(trace(SAYS));
    worker.report(&[own, receipt]).await;

    let spec = launched["spec"]["id"].as_str().unwrap();
    let (_, page) = api.get(&format!("/api/v1/specs/{spec}/events")).await;
    let traces: Vec<_> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            (event["type"].as_str().unwrap(), event["trace_id"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected = [
        ("guardian.intervened", INTERVENES),
        ("spec.progress", LAUNCHES),
        ("agent.message_injected", SAYS),
    ];
    assert_eq!(traces, expected.map(|(kind, context)| (kind, trace(context).to_string())));
    api.end().await;
}

#[tokio::test]
async fn a_request_without_a_context_or_with_a_broken_one_is_in_a_new_trace() {
    let api = Running::with_waiting_worker().await;
    let url = format!("{}/healthz", api.base);
    let mut seen = Vec::new();
    for given in
        [None, Some("00-nonsense"), Some("ff-11111111111111111111111111111111-aaaaaaaaaaaaaaaa-01")]
    {
        let request = api.http.get(&url);
        let request = match given {
            Some(given) => request.header(TRACEPARENT, given),
            None => request,
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let own: TraceContext = answer.headers()[TRACEPARENT].to_str().unwrap().parse().unwrap();
        assert!(own.trace != trace(LAUNCHES) && !seen.contains(&own.trace), "{own}");
        seen.push(own.trace);
    }
    api.end().await;
}
