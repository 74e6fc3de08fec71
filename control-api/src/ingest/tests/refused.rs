//! What is not taken in, and why.

use serde_json::{Value, json};
use specwright_shared::documents::Document;
use specwright_shared::phase::Phase;

use super::{complete_until, execution_completed, positions};
use crate::testing::worker::{Worker, event};
use crate::testing::{Running, documents};

#[tokio::test]
async fn gaps_older_generations_and_wrong_bodies_are_refused_whole() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let line = |seq| event(seq, "spec.progress", None, json!({ "message": "x" }));

    let (status, problem) = worker.send(&[line(3)]).await;
    assert_eq!(
        (status, &problem["type"], &problem["seq"]),
        (409, &json!("sequence-gap"), &json!(1))
    );
    let (status, problem) = worker.send(&[line(1), line(3)]).await;
    assert_eq!((status, &problem["type"]), (422, &json!("invalid-request")));
    let wrong = event(2, "spec.progress", None, json!({ "message": 7 }));
    let (status, problem) = worker.send(&[line(1), wrong]).await;
    assert_eq!(
        (status, &problem["type"], &problem["seq"]),
        (422, &json!("invalid-event"), &json!(2))
    );
    assert_eq!(positions(&api, launched.spec.id).await, [], "nothing of a refused batch is stored");
    let (status, _) = worker.send_as(9, &[line(1)]).await;
    assert_eq!(status, 422, "a generation that was never handed out");

    let newer = Worker::hello(&api, launched.sandbox_id).await;
    assert_eq!(newer.welcome.generation, 2);
    let (status, problem) = worker.send(&[line(1)]).await;
    assert_eq!((status, &problem["type"]), (409, &json!("fenced")));
    newer.send(&[line(1)]).await;
    assert_eq!(positions(&api, launched.spec.id).await.len(), 1);
    api.end().await;
}

#[tokio::test]
async fn a_false_claim_does_not_pass_the_gate() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    complete_until(&mut worker, Phase::Explore).await;
    let seq = worker.welcome.acked + 3;
    let claim = |output: Value, digest: &str, phase| {
        let data = json!({
            "attempt": 1, "score": 1.0, "duration_ms": 1, "cost_usd": 0.0, "output": output,
            "digest": digest, "findings": [],
        });
        event(seq, "spec.phase_completed", Some(phase), data)
    };
    let good = documents::of(Phase::Requirements).unwrap();
    let mut bad = good.to_value();
    bad["requirements"][0]["text"] = json!("It would be nice if requests were limited");
    let bad = Document::parse(Phase::Requirements, &bad).unwrap();
    let design = documents::of(Phase::Design).unwrap();
    for (why, event) in [
        ("no EARS", claim(bad.to_value(), &bad.digest(), Phase::Requirements)),
        ("another digest", claim(good.to_value(), "00", Phase::Requirements)),
        ("no shape", claim(json!({}), "00", Phase::Requirements)),
        ("too early", claim(design.to_value(), &design.digest(), Phase::Design)),
        ("nothing done", claim(Value::Null, "", Phase::Complete)),
    ] {
        let (status, problem) = worker.send(&[event]).await;
        assert_eq!((status, &problem["type"]), (422, &json!("gate-refused")), "{why}: {problem}");
        assert_eq!(problem["seq"], seq);
    }
    let (_, phases) = api.get(&format!("/api/v1/specs/{}/phases", launched.spec.id)).await;
    assert_eq!(phases["items"][1]["status"], "pending");
    // A run that claims to be complete is checked, too.
    let end = execution_completed(&mut worker);
    let (status, problem) = worker.send(&[end]).await;
    assert_eq!((status, &problem["type"]), (422, &json!("gate-refused")));
    api.end().await;
}

/// A batch as a worker sends it that compresses with gzip.
async fn send_packed(worker: &Worker<'_>, packed: Vec<u8>, coding: &str) -> (u16, Value) {
    let path = format!("{}/api/v1/sandboxes/{}/events", worker.api.base, worker.id);
    let request = worker.api.http.post(path).bearer_auth(&worker.token);
    let request = request.header("content-type", "application/json");
    let answer = request.header("content-encoding", coding).body(packed).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_compressed_batch_is_taken_and_what_comes_out_of_it_is_bounded() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let one = worker.event("spec.progress", None, json!({ "message": "one" }));
    let batch = |event: &Value| {
        json!({ "generation": worker.welcome.generation, "events": [event] }).to_string()
    };
    let text = batch(&serde_json::to_value(&one).unwrap());
    let (status, answer) = send_packed(&worker, gzip(text.as_bytes()), "gzip").await;
    assert_eq!((status, &answer["acked"]), (200, &json!(1)), "{answer}");
    // The replay in plain gets the same answer.
    assert_eq!(worker.send(&[one]).await, (200, json!({ "acked": 1 })));

    // A few kilobytes that would be 64 MiB.
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000, "{} bytes on the wire", bomb.len());
    let (status, problem) = send_packed(&worker, bomb, "gzip").await;
    assert_eq!((status, &problem["type"]), (413, &json!("too-large")));
    let mut torn = gzip(text.as_bytes());
    torn.truncate(torn.len() / 2);
    for (body, coding) in [(torn, "gzip"), (b"not gzip".to_vec(), "gzip"), (vec![1], "br")] {
        let (status, problem) = send_packed(&worker, body, coding).await;
        assert_eq!((status, &problem["type"]), (422, &json!("invalid-request")), "{problem}");
    }
    assert_eq!(positions(&api, launched.spec.id).await.len(), 1);
    api.end().await;
}
