//! Several replicas on one PostgreSQL, taking in for the same sandbox.

use serde_json::json;

use super::positions;
use crate::store::postgres_server::PostgresServer;
use crate::testing::Running;
use crate::testing::worker::Worker;

#[tokio::test]
async fn what_one_sandbox_sends_to_three_replicas_at_once_is_there_once() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let one = Running::on(server.address()).await;
    let (two, three) = (one.beside().await, one.beside().await);
    let launched = one.launch(json!({})).await;
    let mut worker = Worker::hello(&one, launched.sandbox_id).await;
    for round in 1..=15_u64 {
        let mut said = || worker.event("spec.progress", None, json!({ "message": "x" }));
        let (first, second) = ([said(), said()], [said()]);
        let worker = &worker;
        let send = async |api: &Running, events: &[_]| {
            let path = format!("/api/v1/sandboxes/{}/events", worker.id);
            let batch = json!({ "generation": worker.welcome.generation, "events": events });
            api.request("POST", &path, &worker.token, Some(&batch)).await
        };
        let acked = |answer: &(u16, serde_json::Value)| (answer.0, answer.1["acked"].as_u64());
        let (a, b, early) =
            tokio::join!(send(&one, &first), send(&two, &first), send(&three, &second));
        // The replay came before or after, and the second batch too.
        let until = round * 3;
        for answer in [&a, &b] {
            assert!(
                matches!(acked(answer), (200, Some(number)) if number == until - 1 || number == until),
                "{answer:?}"
            );
        }
        if early.0 == 409 {
            assert_eq!(
                (&early.1["type"], &early.1["seq"]),
                (&json!("sequence-gap"), &json!(until - 2))
            );
        } else {
            assert_eq!(acked(&early), (200, Some(until)));
        }
        let (a, b) = tokio::join!(send(&three, &second), send(&two, &second));
        assert_eq!((acked(&a), acked(&b)), ((200, Some(until)), (200, Some(until))));
    }
    let expected: Vec<_> = (1..=45).map(|position| (position, "spec.progress".into())).collect();
    assert_eq!(positions(&one, launched.spec.id).await, expected);
    for api in [three, two, one] {
        api.end().await;
    }
}
