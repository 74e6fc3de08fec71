use std::collections::HashMap;

use serde_json::json;

use crate::testing::worker::Worker;
use crate::testing::{OWNER_TOKEN, Running, until};

/// Every sample by its name and labels. Lines that do not read as samples fail the test.
async fn scrape(api: &Running) -> HashMap<String, f64> {
    let url = format!("{}/metrics", api.base);
    let answer = api.http.get(url).bearer_auth(OWNER_TOKEN).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let media = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(media.starts_with("application/openmetrics-text"), "{media}");
    let text = answer.text().await.unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        })
        .collect()
}

#[tokio::test]
async fn the_numbers_move_with_what_happens() {
    let api = Running::with_waiting_worker().await;
    let before = scrape(&api).await;
    assert_eq!(before["specwright_ingest_events_total"], 0.0);
    assert_eq!(before["specwright_streams_open"], 0.0);
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    let lines = [
        worker.event("spec.progress", None, json!({ "message": "x" })),
        worker.event("spec.progress", None, json!({ "message": "y" })),
    ];
    worker.report(&lines).await;
    let beat = format!("/api/v1/sandboxes/{}/heartbeat", launched.sandbox_id);
    let heartbeat = json!({ "generation": 1, "agent_alive": true, "spool_depth": 7 });
    assert_eq!(api.request("POST", &beat, &worker.token, Some(&heartbeat)).await.0, 200);
    let gap = json!({ "generation": 1, "events": [{
        "seq": 9, "id": uuid::Uuid::now_v7(), "type": "spec.progress",
        "at": "2026-01-01T00:00:00Z", "data": { "message": "z" },
    }] });
    let events = format!("/api/v1/sandboxes/{}/events", launched.sandbox_id);
    assert_eq!(api.request("POST", &events, &worker.token, Some(&gap)).await.0, 409);
    let stream = format!("{}/api/v1/specs/{}/events/stream", api.base, launched.spec.id);
    let open = api.http.get(stream).bearer_auth(OWNER_TOKEN).send().await.unwrap();

    let after = scrape(&api).await;
    let routed = |status: u16| {
        format!(
            "specwright_requests_total{{method=\"POST\",route=\"/api/v1/sandboxes/{{id}}/events\",\
             status=\"{status}\"}}"
        )
    };
    let sandbox = format!("{{sandbox=\"{}\",spec=\"{}\"}}", launched.sandbox_id, launched.spec.id);
    for (name, value) in [
        ("specwright_ingest_events_total".to_owned(), 2.0),
        ("specwright_ingest_batches_total".to_owned(), 1.0),
        ("specwright_ingest_batches_refused_total{problem=\"sequence-gap\"}".to_owned(), 1.0),
        ("specwright_streams_open".to_owned(), 1.0),
        (routed(200), 1.0),
        (routed(409), 1.0),
        (format!("specwright_sandbox_spool_events{sandbox}"), 7.0),
        (format!("specwright_sandbox_spent_usd{sandbox}"), 0.0),
        ("specwright_sandboxes_spool_events".to_owned(), 7.0),
        ("specwright_sandboxes_spent_usd".to_owned(), 0.0),
    ] {
        assert_eq!(after.get(&name), Some(&value), "{name} in {after:#?}");
    }
    let duty = "specwright_duty_rounds{duty=\"gone_sandboxes\"";
    assert!(after.iter().any(|(name, rounds)| name.starts_with(duty) && *rounds >= 1.0));
    assert!(after.keys().any(|name| name.starts_with("specwright_database_connections{pool=")));
    drop(open);
    until("the stream is closed", async || {
        (scrape(&api).await["specwright_streams_open"] == 0.0).then_some(())
    })
    .await;
    api.end().await;
}

#[tokio::test]
async fn every_part_has_its_numbers() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let beat = format!("/api/v1/sandboxes/{}/heartbeat", launched.sandbox_id);
    let heartbeat = json!({ "generation": 1, "agent_alive": true, "spool_depth": 3 });
    assert_eq!(api.request("POST", &beat, &worker.token, Some(&heartbeat)).await.0, 200);
    // The duties note their rounds in their own time.
    until("every part has its numbers", async || {
        let all = scrape(&api).await;
        let has = |name: &str| all.keys().any(|key| key.starts_with(&format!("specwright_{name}")));
        [
            "requests_total{method=",
            "requests_open",
            "request_duration_seconds_bucket{",
            "ingest_batches_total",
            "ingest_events_total",
            "streams_open",
            "streams_lagged_total",
            "sandboxes{verdict=",
            "duty_rounds{duty=",
            "duty_last_run_timestamp_seconds{duty=",
            "duty_last_round_seconds{duty=",
            "duty_did{duty=",
            "duty_failures{duty=",
            "sandbox_spool_events{sandbox=",
            "sandbox_spent_usd{sandbox=",
            "database_connections{pool=",
        ]
        .into_iter()
        .all(has)
        .then_some(())
    })
    .await;
    api.end().await;
}

#[tokio::test]
async fn a_stop_tells_the_streams_and_lets_requests_finish() {
    let api = Running::with_waiting_worker().await;
    let launched = api.launch(json!({})).await;
    let _worker = Worker::hello(&api, launched.sandbox_id).await;
    let url = |path: &str| format!("{}/api/v1/specs/{}/{path}", api.base, launched.spec.id);
    let get = |path: &str| api.http.get(url(path)).bearer_auth(OWNER_TOKEN).send();
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(get("events/stream").await.unwrap());
    }
    // Behind the last event, so that it waits.
    let page: serde_json::Value = get("events").await.unwrap().json().await.unwrap();
    let slow = format!("events?after={}&wait_ms=20000", page["next"].as_str().unwrap());
    let slow = tokio::spawn(get(&slow));
    until("the slow request is there", async || {
        let now = scrape(&api).await;
        // The other one is the look itself.
        let open = [now["specwright_streams_open"], now["specwright_requests_open"]];
        (open == [20.0, 2.0]).then_some(())
    })
    .await;
    api.end().await;
    assert_eq!(slow.await.unwrap().unwrap().status(), 200, "it was answered");
    for stream in streams {
        let text = stream.text().await.unwrap();
        assert!(text.contains("event: goodbye"), "{text}");
    }
}
