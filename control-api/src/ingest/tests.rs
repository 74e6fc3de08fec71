//! Ingest over the real wire: every rule of the module's head.

mod killed;
mod replicas;

use serde_json::{Value, json};
use specwright_shared::documents::Document;
use specwright_shared::phase::Phase;

use crate::testing::worker::{Worker, event};
use crate::testing::{OWNER_TOKEN, Running, documents};

async fn positions(api: &Running, spec: impl std::fmt::Display) -> Vec<(u64, String)> {
    let (_, page) = api.get(&format!("/api/v1/specs/{spec}/events?limit=200")).await;
    let item = |item: &Value| {
        (item["position"].as_u64().unwrap(), item["type"].as_str().unwrap().to_owned())
    };
    page["items"].as_array().unwrap().iter().map(item).collect()
}

/// Reports every phase up to one as completed.
async fn complete_until(worker: &mut Worker<'_>, last: Phase) {
    for phase in Phase::ALL.into_iter().filter(|phase| *phase <= last) {
        let started = worker.event("spec.phase_started", Some(phase), json!({ "max_attempts": 3 }));
        let completed = worker.completed(phase, documents::of(phase).as_ref());
        worker.report(&[started, completed]).await;
    }
}

fn execution_completed(worker: &mut Worker<'_>) -> specwright_shared::wire::event::RawEvent {
    let data = json!({ "phases_completed": [], "cost_usd": 0.0, "duration_ms": 9 });
    worker.event("spec.execution_completed", None, data)
}

fn execution_failed(worker: &mut Worker<'_>) -> specwright_shared::wire::event::RawEvent {
    let data = json!({
        "outcome": "agent_error", "failed_phase": null, "message": "broke", "cost_usd": 0.0,
        "duration_ms": 1,
    });
    worker.event("spec.execution_failed", None, data)
}

#[tokio::test]
async fn a_whole_run_becomes_a_completed_spec_with_tickets() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({ "agent": "rehearsal" })).await;
    let spec = launched.spec.id;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    assert_eq!(worker.welcome.generation, 1);
    let started = json!({
        "title": "t", "phases": ["explore"], "agent": "rehearsal", "model": null,
        "worker_version": "0", "commit": null, "max_attempts": 3, "phase_timeout_secs": 60,
        "max_budget_usd": null, "rehearsal": true,
    });
    let started = worker.event("spec.execution_started", None, started);
    let turn = json!({
        "subtype": "success", "is_error": false, "terminal_reason": null, "structured_output": true,
        "num_turns": 1, "cost_usd": 0.125, "input_tokens": 1, "output_tokens": 1,
        "cache_read_tokens": 0, "cache_write_tokens": 0, "duration_ms": 1,
    });
    let turn = worker.event("agent.completed", Some(Phase::Explore), turn);
    worker.report(&[started, turn]).await;
    complete_until(&mut worker, Phase::Complete).await;
    let document = json!({
        "name": "design.md", "media_type": "text/markdown", "path": "/x/design.md",
        "sha256": "00", "bytes": 3, "content": "a\u{0}b",
    });
    let document = worker.event("spec.artifact_created", Some(Phase::Design), document);
    let end = execution_completed(&mut worker);
    worker.report(&[document, end]).await;

    let (_, seen) = api.get(&format!("/api/v1/specs/{spec}")).await;
    assert_eq!(seen["status"], "completed");
    assert_eq!(seen["cost_usd"], 0.125);
    assert_eq!(seen["coverage"], json!({ "requirements": 2, "covered": 2 }));
    assert_eq!(seen["sandbox_id"], Value::Null);
    let (_, sandbox) = api.get(&format!("/api/v1/sandboxes/{}", launched.sandbox_id)).await;
    assert_eq!((&sandbox["state"], &sandbox["outcome"]), (&json!("ended"), &json!("succeeded")));

    let (_, tickets) = api.get(&format!("/api/v1/tickets?spec_id={spec}")).await;
    let tickets = tickets["items"].as_array().unwrap();
    assert_eq!(tickets.len(), 2);
    assert_eq!(tickets[1]["depends_on"], json!([tickets[0]["id"]]));
    assert_eq!(tickets[1]["tasks"][0]["depends_on"], json!([tickets[0]["tasks"][0]["id"]]));
    assert_eq!((&tickets[0]["owner"], &tickets[0]["rehearsal"]), (&json!("owner"), &json!(true)));
    let (_, board) = api.get("/api/v1/board").await;
    assert_eq!(board["columns"][0]["tickets"].as_array().unwrap().len(), 2);
    the_board_comes_in_pages(&api, &board).await;
    let (_, coverage) = api.get(&format!("/api/v1/specs/{spec}/coverage")).await;
    assert_eq!(coverage["totals"]["covered"], 2);
    let (_, document) = api.get(&format!("/api/v1/specs/{spec}/documents/design.md")).await;
    assert_eq!(document["content"], "a\u{FFFD}b");
    let (_, phase) = api.get(&format!("/api/v1/specs/{spec}/phases/design")).await;
    assert_eq!((&phase["status"], &phase["attempts"]), (&json!("accepted"), &json!(1)));
    assert_eq!(phase["output"]["feature_name"], "rate-limit");

    let events = positions(&api, spec).await;
    assert!(events.iter().zip(1..).all(|((position, _), expected)| *position == expected));
    assert_eq!(events.iter().filter(|(_, kind)| kind == "spec.tickets_created").count(), 1);
    // Terminal is final.
    let late = worker.event("spec.progress", None, json!({ "message": "late" }));
    let (status, answer) = worker.send(&[late]).await;
    assert_eq!((status, &answer["ended"]), (200, &json!(true)));
    assert_eq!(api.get(&format!("/api/v1/specs/{spec}")).await.1["status"], "completed");
    api.end().await;
}

/// A board whose first column holds two tickets.
async fn the_board_comes_in_pages(api: &Running, whole: &Value) {
    let (_, first) = api.get("/api/v1/board?limit=1").await;
    let [first, waiting] = [&first["columns"][0], &whole["columns"][0]["tickets"]];
    assert_eq!(first["tickets"], json!([waiting[0]]));
    let next = first["next"].as_str().unwrap();
    let path = format!("/api/v1/board?limit=1&phase=PHASE_INITIAL&after={next}");
    let (_, second) = api.get(&path).await;
    let column = json!({ "phase": "PHASE_INITIAL", "tickets": [waiting[1]] });
    assert_eq!(second, json!({ "columns": [column] }), "the last page of this column alone");
    for (query, word) in [("after=x", "`phase`"), ("phase=PHASE_INITIAL&after=x", "`after`")] {
        let (status, problem) = api.get(&format!("/api/v1/board?{query}")).await;
        assert_eq!((status, &problem["type"]), (422, &json!("invalid-request")));
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_an_hour_changes_no_order_and_loses_nothing() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let before = worker.event("spec.progress", None, json!({ "message": "before" }));
    worker.report(std::slice::from_ref(&before)).await;
    let mut after = worker.event("spec.progress", None, json!({ "message": "after" }));
    let hour = 3_600_000_000;
    after.at = specwright_shared::time::Timestamp::from_micros(before.at.as_micros() - hour);
    let mut end = execution_failed(&mut worker);
    end.at = after.at;
    worker.report(&[after, end]).await;
    let spec = launched.spec.id;
    let (_, page) = api.get(&format!("/api/v1/specs/{spec}/events?limit=200")).await;
    let said: Vec<_> = page["items"].as_array().unwrap().iter().collect();
    let messages: Vec<_> = said.iter().take(2).map(|one| &one["data"]["message"]).collect();
    assert_eq!(messages, ["before", "after"]);
    let positions: Vec<_> = said.iter().map(|one| one["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=said.len() as u64).collect::<Vec<_>>());
    api.until_spec(spec, "failed").await;
    api.end().await;
}

#[tokio::test]
async fn a_replayed_batch_gets_the_same_answer_and_changes_nothing() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let one = worker.event("spec.progress", None, json!({ "message": "one" }));
    let newer = worker.event("someone.newer", None, json!({ "unknown": ["shape"] }));
    let batch = [one, newer];
    worker.report(&batch).await;
    worker.report(&batch).await;
    // Overlapping: the known part is dropped, the new part is taken.
    let three = worker.event("spec.progress", None, json!({ "message": "three" }));
    worker.report(&[batch[1].clone(), three.clone()]).await;
    let kinds: Vec<_> = positions(&api, launched.spec.id).await;
    assert_eq!(kinds.len(), 3);
    assert_eq!(kinds[1].1, "someone.newer", "unknown types are stored");

    // After the end a replay still gets its answer.
    let failed = json!({
        "outcome": "agent_error", "failed_phase": "explore", "message": "broke", "cost_usd": 0.0,
        "duration_ms": 1,
    });
    let end = worker.event("spec.execution_failed", Some(Phase::Explore), failed);
    worker.report(std::slice::from_ref(&end)).await;
    worker.report(&[three, end]).await;
    let spec = api.until_spec(launched.spec.id, "failed").await;
    assert_eq!((&spec["reason"], &spec["message"]), (&json!("agent_error"), &json!("broke")));
    api.end().await;
}

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

#[tokio::test]
async fn sync_twice_makes_tickets_once() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let spec = launched.spec.id;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    complete_until(&mut worker, Phase::Sync).await;
    let (_, before) = api.get(&format!("/api/v1/tickets?spec_id={spec}")).await;
    let again = worker.completed(Phase::Sync, documents::of(Phase::Sync).as_ref());
    worker.report(&[again]).await;
    let (_, after) = api.get(&format!("/api/v1/tickets?spec_id={spec}")).await;
    assert_eq!(before, after);
    let (_, events) = api.get(&format!("/api/v1/specs/{spec}/events?limit=200")).await;
    let made = events["items"].as_array().unwrap().last().unwrap();
    assert_eq!(made["type"], "spec.tickets_created");
    assert_eq!(
        made["data"],
        json!({ "tickets_created": 0, "tickets_updated": 2, "tasks_created": 0, "tasks_updated": 2 })
    );
    api.end().await;
}

#[tokio::test]
async fn a_run_that_was_to_stop_early_leaves_a_draft_and_goes_on_from_there() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({ "until": "requirements" })).await;
    let spec = launched.spec.id;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    complete_until(&mut worker, Phase::Requirements).await;
    let end = execution_completed(&mut worker);
    worker.report(&[end]).await;
    let seen = api.until_spec(spec, "draft").await;
    assert_eq!(seen["current_phase"], "design");

    let (status, launched) = api.post(&format!("/api/v1/specs/{spec}/execute"), &json!({})).await;
    assert_eq!(status, 202, "{launched}");
    let sandbox = launched["sandbox_id"].as_str().unwrap().parse().unwrap();
    let worker = Worker::hello(&api, sandbox).await;
    let specwright_shared::wire::sandbox::Job::Spec(job) = &worker.welcome.job else {
        panic!("{:?}", worker.welcome.job)
    };
    assert_eq!((job.start, job.until), (Phase::Design, Phase::Complete));
    assert!(job.accepted.has(Phase::Requirements) && !job.accepted.has(Phase::Design));
    api.end().await;
}

#[tokio::test]
async fn retries_failures_and_receipts_reach_their_records() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let messages = format!("/api/v1/sandboxes/{}/messages", launched.sandbox_id);
    let said = json!({ "kind": "user_message", "text": "hello", "deliver": "now" });
    let (_, message) = api.post(&messages, &said).await;
    let finding = json!({
        "severity": "error", "code": "not_ears", "where": "requirements[0]", "message": "m", "fix": "f",
    });
    let explore = Some(Phase::Explore);
    let started = worker.event("spec.phase_started", explore, json!({ "max_attempts": 3 }));
    let retry = worker.event("spec.phase_retry", explore, json!({
        "attempt": 1, "max_attempts": 3, "reason": "gate_rejected", "message": "m", "score": 0.2,
        "findings": [finding],
    }));
    let seen = worker.event(
        "agent.message_injected",
        explore,
        json!({ "message_id": message["id"], "status": "seen" }),
    );
    worker.report(&[started, retry, seen]).await;
    let phase = format!("/api/v1/specs/{}/phases/explore", launched.spec.id);
    let (_, record) = api.get(&phase).await;
    assert_eq!((&record["status"], &record["attempts"]), (&json!("running"), &json!(2)));
    assert_eq!(record["findings"], json!([finding]));
    assert_eq!(api.get(&messages).await.1["items"][0]["status"], "seen");

    let failed = worker.event(
        "spec.phase_failed",
        explore,
        json!({
            "attempts": 3, "reason": "timed_out", "message": "m", "duration_ms": 9, "cost_usd": 0.5,
            "findings": [],
        }),
    );
    worker.report(&[failed]).await;
    let (_, record) = api.get(&phase).await;
    assert_eq!((&record["status"], &record["attempts"]), (&json!("failed"), &json!(3)));
    assert_eq!((&record["cost_usd"], &record["duration_ms"]), (&json!(0.5), &json!(9)));
    let nameless = worker.event("spec.phase_started", None, json!({ "max_attempts": 3 }));
    let (status, problem) = worker.send(&[nameless]).await;
    assert_eq!((status, &problem["type"]), (422, &json!("invalid-event")), "it says no phase");
    api.end().await;
}

#[tokio::test]
async fn going_back_sets_later_outputs_aside() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let spec = launched.spec.id;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    complete_until(&mut worker, Phase::Complete).await;
    let end = execution_completed(&mut worker);
    worker.report(&[end]).await;
    let execute = format!("/api/v1/specs/{spec}/execute");
    let (status, problem) = api.post(&execute, &json!({})).await;
    assert_eq!((status, &problem["type"]), (409, &json!("illegal-transition")));
    let (status, problem) =
        api.post(&execute, &json!({ "from": "design", "until": "explore" })).await;
    assert_eq!((status, &problem["type"]), (422, &json!("invalid-request")));
    let (status, launched) = api.post(&execute, &json!({ "from": "design" })).await;
    assert_eq!(status, 202, "{launched}");
    assert_eq!(launched["spec"]["current_phase"], "design");
    assert_eq!(launched["spec"].get("coverage"), None);
    let (_, phases) = api.get(&format!("/api/v1/specs/{spec}/phases")).await;
    let statuses: Vec<&Value> =
        phases["items"].as_array().unwrap().iter().map(|phase| &phase["status"]).collect();
    assert_eq!(statuses, ["accepted", "accepted", "pending", "pending", "pending", "pending"]);
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

#[tokio::test]
async fn where_there_is_a_ledger_its_calls_are_the_cost_and_the_agents_figure_is_not_added() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({ "agent": "claude" })).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let call = json!({ "call_id": uuid::Uuid::nil(), "cost_usd": 0.25, "counted_usd": 0.25 });
    let call = worker.event("agent.model_call", Some(Phase::Explore), call);
    let unknown = json!({ "call_id": uuid::Uuid::max(), "cost_usd": null, "counted_usd": 0.5 });
    let unknown = worker.event("agent.model_call", Some(Phase::Explore), unknown);
    let turn = json!({
        "subtype": "success", "is_error": false, "terminal_reason": null, "structured_output": true,
        "num_turns": 1, "cost_usd": 7.0, "ledger_usd": 0.25, "input_tokens": 1, "output_tokens": 1,
        "cache_read_tokens": 0, "cache_write_tokens": 0, "duration_ms": 1,
    });
    let turn = worker.event("agent.completed", Some(Phase::Explore), turn);
    worker.report(&[call, unknown, turn]).await;
    let (_, seen) = api.get(&format!("/api/v1/specs/{}", launched.spec.id)).await;
    assert_eq!(seen["cost_usd"], 0.25);
    api.end().await;
}

#[tokio::test]
async fn the_owners_token_is_in_nothing_that_is_stored() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let spec = launched.spec.id;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let said = json!({ "message": format!("I read {OWNER_TOKEN}") });
    let known = worker.event("spec.progress", None, said.clone());
    let newer = worker.event("someone.newer", None, said);
    worker.report(&[known, newer]).await;
    // An output is judged by the worker's digest of what it has, and kept without the token.
    let mut explore = documents::of(Phase::Explore).unwrap().to_value();
    explore["codebase_summary"] = json!(format!("The token is {OWNER_TOKEN}."));
    let explore = Document::parse(Phase::Explore, &explore).unwrap();
    let completed = worker.completed(Phase::Explore, Some(&explore));
    let mut false_digest = completed.clone();
    false_digest.data["digest"] = json!("00");
    let (status, problem) = worker.send(&[false_digest]).await;
    assert_eq!((status, &problem["type"]), (422, &json!("gate-refused")), "{problem}");
    worker.report(&[completed]).await;

    let (_, phase) = api.get(&format!("/api/v1/specs/{spec}/phases/explore")).await;
    assert_eq!(phase["status"], "accepted");
    assert_eq!(phase["output"]["codebase_summary"], "The token is [redacted].");
    let kept = Document::parse(Phase::Explore, &phase["output"]).unwrap();
    assert_eq!(phase["digest"], kept.digest());
    let (_, events) = api.get(&format!("/api/v1/specs/{spec}/events?limit=200")).await;
    let events = events.to_string();
    assert!(!events.contains(OWNER_TOKEN) && events.contains("I read [redacted]"), "{events}");
    assert!(events.contains(&kept.digest()), "{events}");
    // What comes behind it goes on from what is kept.
    let next = documents::of(Phase::Requirements);
    let next = worker.completed(Phase::Requirements, next.as_ref());
    worker.report(&[next]).await;
    let mut holds = 0;
    for name in ["specwright.db", "specwright.db-wal"] {
        let stored = std::fs::read(api.config.data_dir.join(name)).unwrap();
        let has = |text: &str| stored.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!has(OWNER_TOKEN), "{name}");
        holds += usize::from(has("I read [redacted]"));
    }
    assert!(holds > 0, "it was looked for where events are");
    api.end().await;
}

#[tokio::test]
async fn late_facts_are_kept_once_and_in_order_and_change_nothing() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let spec = launched.spec.id;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    complete_until(&mut worker, Phase::Explore).await;
    let cancel = json!({ "force": true, "reason": "enough" });
    let (status, _) = api.post(&format!("/api/v1/specs/{spec}/cancel"), &cancel).await;
    assert_eq!(status, 200);
    let before = api.get(&format!("/api/v1/specs/{spec}")).await.1;
    let stored = positions(&api, spec).await.len();

    // It comes back: it has gone on, spent money and come to its end.
    let requirements = Some(Phase::Requirements);
    let started = worker.event("spec.phase_started", requirements, json!({ "max_attempts": 3 }));
    let document = documents::of(Phase::Requirements);
    let completed = worker.completed(Phase::Requirements, document.as_ref());
    let call = json!({ "call_id": uuid::Uuid::nil(), "cost_usd": 0.25, "counted_usd": 0.25 });
    let call = worker.event("agent.model_call", requirements, call);
    let failed = json!({
        "outcome": "agent_error", "failed_phase": "design", "message": "broke", "cost_usd": 0.0,
        "duration_ms": 1,
    });
    let end = worker.event("spec.execution_failed", requirements, failed);
    let late = [started, completed, call, end];
    for _ in 0..2 {
        let (status, answer) = worker.send(&late).await;
        let acked = worker.welcome.acked + 6;
        assert_eq!((status, answer), (200, json!({ "acked": acked, "ended": true })));
    }

    let kinds: Vec<String> =
        positions(&api, spec).await.into_iter().skip(stored).map(|(_, kind)| kind).collect();
    let sent: Vec<&str> = late.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, sent);
    let mut after = api.get(&format!("/api/v1/specs/{spec}")).await.1;
    for counts in ["updated_at", "events"] {
        after[counts] = before[counts].clone();
    }
    assert_eq!(after, before);
    let (_, phase) = api.get(&format!("/api/v1/specs/{spec}/phases/requirements")).await;
    assert_eq!(phase["status"], "pending");
    // Nor does a hello bring it back to life: there is nothing to do but to deliver.
    let newer = Worker::hello(&api, launched.sandbox_id).await;
    assert_eq!(newer.welcome.job, specwright_shared::wire::sandbox::Job::Deliver);
    let (_, sandbox) = api.get(&format!("/api/v1/sandboxes/{}", launched.sandbox_id)).await;
    assert_eq!((&sandbox["state"], &sandbox["outcome"]), (&json!("ended"), &json!("cancelled")));
    // Fenced off is fenced off, ended or not.
    let (status, problem) = worker.send(&late).await;
    assert_eq!((status, &problem["type"]), (409, &json!("fenced")));
    api.end().await;
}

#[tokio::test]
async fn batches_that_come_at_once_share_commits_and_nothing_else() {
    let api = Running::with_waiting_worker().await;
    let mut workers = Vec::new();
    for _ in 0..6 {
        let launched = api.launch(json!({})).await;
        workers.push((launched.spec.id, Worker::hello(&api, launched.sandbox_id).await));
    }
    let sent = workers.iter_mut().enumerate().map(|(number, (_, worker))| async move {
        for round in 1..=10_u64 {
            let good = worker.event("spec.progress", None, json!({ "message": "x" }));
            // Every other worker's batch comes twice at once, the rest's beside a broken one.
            let beside = if number % 2 == 0 {
                good.clone()
            } else {
                event(round, "spec.phase_started", None, json!({ "max_attempts": "many" }))
            };
            let (of_good, of_beside) = if number % 2 == 0 {
                let (good, beside) = ([good], [beside]);
                tokio::join!(worker.send(&good), worker.send(&beside))
            } else {
                let of_beside = worker.send(&[beside]).await;
                (worker.send(&[good]).await, of_beside)
            };
            assert_eq!((of_good.0, &of_good.1["acked"]), (200, &json!(round)), "{}", of_good.1);
            if number % 2 == 0 {
                assert_eq!(of_good, of_beside, "a replay gets the same answer");
            } else {
                assert_eq!((of_beside.0, &of_beside.1["seq"]), (422, &json!(round)));
            }
        }
    });
    futures_util::future::join_all(sent).await;
    for (spec, _) in &workers {
        let expected: Vec<_> =
            (1..=10).map(|position| (position, "spec.progress".into())).collect();
        assert_eq!(positions(&api, spec).await, expected);
    }
    api.end().await;
}
