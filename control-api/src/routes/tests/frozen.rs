//! A database that hangs: nobody who asks hangs with it, and when it goes on, nothing was lost or done
//! twice.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::user;
use crate::store::Store;
use crate::store::postgres_server::PostgresServer;
use crate::testing::worker::{Worker, event};
use crate::testing::{OWNER_TOKEN, Running, until};

/// How long a test waits for an answer: several times what a route and its door may take together.
const PATIENCE: Duration = Duration::from_secs(120);

/// A request, and what it is answered with when all is well.
struct Ask {
    method: &'static str,
    path: String,
    token: String,
    body: Option<Value>,
}

impl Ask {
    async fn of(&self, api: &Running) -> (u16, Value) {
        let answer = api.request(self.method, &self.path, &self.token, self.body.as_ref());
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        answer.unwrap_or_else(|_| panic!("{} {} hangs", self.method, self.path))
    }
}

/// A message with an id, which makes its repeat the same message.
fn message(text: &str) -> Value {
    json!({ "id": Uuid::now_v7(), "kind": "user_message", "text": text })
}

/// How many statements wait for somebody's lock.
async fn waiting(store: &Store) -> i64 {
    let mut session = store.read().await.unwrap();
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let (waiting,): (i64,) = session.query(waiting).fetch_one().await.unwrap();
    waiting
}

#[tokio::test]
async fn a_database_that_hangs_leaves_nobody_waiting_and_loses_nothing() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    // What waits for a lock is to wait for as long as this test likes.
    let address = format!("{}?options=-c%20lock_timeout%3D0", server.address());
    let api = Running::on(address.clone()).await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    let ada = user(&api, "ada").await;
    let member = format!("/api/v1/projects/{}/members/ada", launched.spec.project_id);
    let member = (member, json!({ "role": "member" }));
    let (status, body) = api.request("PUT", &member.0, OWNER_TOKEN, Some(&member.1)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(worker.send(&[event(1, "x.before", None, json!({}))]).await.0, 200);

    let (spec, sandbox) = (launched.spec.id, format!("/api/v1/sandboxes/{}", launched.sandbox_id));
    let ask = |method, path: &str, token: &str, body| Ask {
        method,
        path: path.to_owned(),
        token: token.to_owned(),
        body,
    };
    let generation = worker.welcome.generation;
    let batch = json!({
        "generation": generation,
        "events": [event(2, "x.under_way", None, json!({})), event(3, "x.under_way", None, json!({}))],
    });
    let beat = json!({ "generation": generation, "agent_alive": true, "spool_depth": 0 });
    let asked = |text: &str| {
        [
            ask("GET", "/readyz", "", None),
            ask("GET", &format!("/api/v1/specs/{spec}"), &ada, None),
            ask("POST", &format!("{sandbox}/messages"), OWNER_TOKEN, Some(message(text))),
            ask("POST", &format!("{sandbox}/events"), &worker.token, Some(batch.clone())),
            ask("POST", &format!("{sandbox}/heartbeat"), &worker.token, Some(beat.clone())),
        ]
    };
    let (under_way, behind) = (asked("under way"), asked("behind"));

    // Each of the first ones is in the middle of a statement when the server stops: at the door, in its
    // handler, or in a transaction that others share.
    let store = Store::open(&address).await.unwrap();
    let mut locks = store.write().await.unwrap();
    for lock in [
        "LOCK TABLE _sqlx_migrations, tokens IN ACCESS EXCLUSIVE MODE",
        "SELECT id FROM sandboxes FOR UPDATE",
    ] {
        locks.query(lock).execute().await.unwrap();
    }
    let first = join_all(under_way.iter().map(|ask| ask.of(&api)));
    let then = async {
        let all = i64::try_from(under_way.len()).unwrap();
        until("all are in the database", async || (waiting(&store).await >= all).then_some(()))
            .await;
        let frozen = server.freeze();
        let alive = ask("GET", "/healthz", "", None);
        let (answers, (alive, _)) =
            tokio::join!(join_all(behind.iter().map(|ask| ask.of(&api))), alive.of(&api));
        assert_eq!(alive, 200);
        (answers, frozen)
    };
    let (first, (second, frozen)) = tokio::join!(first, then);
    for (ask, (status, problem)) in under_way.iter().zip(first) {
        assert_eq!((status, &problem["type"]), (503, &json!("timed-out")), "{}", ask.path);
    }
    for (ask, (status, problem)) in behind.iter().zip(second) {
        // Who found no connection that answers was told so sooner.
        let kind = problem["type"].as_str().unwrap_or_default();
        assert!(matches!(kind, "timed-out" | "unavailable"), "{}: {problem}", ask.path);
        assert_eq!(status, 503, "{}", ask.path);
    }
    drop(frozen);
    drop(locks);
    store.close().await;

    for ask in under_way.iter().chain(&behind) {
        until(&format!("{} is answered again", ask.path), async || {
            let (status, answer) = ask.of(&api).await;
            assert!(status < 300 || status == 503, "{}: {status} {answer}", ask.path);
            (status < 300).then_some(())
        })
        .await;
    }
    worker.send(&[event(4, "x.after", None, json!({}))]).await;
    let (_, page) = api.get(&format!("{sandbox}/events")).await;
    let seqs: Vec<_> = page["items"].as_array().unwrap().iter().map(|one| &one["seq"]).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    let (_, said) = api.get(&format!("{sandbox}/messages")).await;
    let mut texts: Vec<_> =
        said["items"].as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap()).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["behind", "under way"]);
    // Each was done once, whether by its own deed or by a repeat; of one that was cut off between its two
    // lines in the log only the first is there.
    until("two messages were made", async || {
        let (_, audit) = api.get("/api/v1/audit").await;
        let deeds = audit["items"].as_array().unwrap().iter();
        let deeds = deeds.filter(|deed| deed["route"].as_str().unwrap().ends_with("/messages"));
        let made = deeds.filter(|deed| deed["status"] == 201).count();
        assert!(made <= 2, "{audit}");
        (made == 2).then_some(())
    })
    .await;
    api.end().await;
}
