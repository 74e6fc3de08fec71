use std::collections::BTreeSet;
use std::pin::pin;

use futures_util::FutureExt as _;
use serde_json::json;
use specwright_shared::id::{MessageId, SandboxId, SpecId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::message::Message;
use specwright_shared::wire::spec::RunOptions;
use uuid::Uuid;

use super::Sweep;
use crate::auth::Person;
use crate::store::event::{self, ANYWHERE};
use crate::store::postgres_server::PostgresServer;
use crate::store::sandbox::NewSandbox;
use crate::store::{Store, message, sandbox, spec};
use crate::testing::until;
use crate::testing::worker::event as numbered;

fn now() -> Timestamp {
    Timestamp::from_micros(1_795_000_000_123_456)
}

async fn new_spec(store: &Store) -> SpecId {
    let mut write = store.write().await.unwrap();
    let new = serde_json::from_value(json!({ "description": "Idea" })).unwrap();
    let spec = crate::spec_intake::take(&mut write, &Person::owner(), new, now()).await.unwrap();
    write.commit().await.unwrap();
    spec.id
}

async fn add(store: &Store, id: SpecId) {
    let mut write = store.write().await.unwrap();
    let mut row = spec::lock(&mut write, id).await.unwrap().unwrap();
    row.events += 1;
    let event = numbered(0, "spec.progress", None, json!({ "message": "x" }));
    let recorded = event::Recorded::new(row.events, None, &event);
    event::insert(&mut write, id, vec![recorded], now()).await.unwrap();
    spec::save(&mut write, &row).await.unwrap();
    write.commit().await.unwrap();
}

/// Stores a message; the first one comes with its sandbox.
async fn say(store: &Store, spec: SpecId, id: SandboxId, position: u64) {
    let mut write = store.write().await.unwrap();
    if position == 1 {
        let new = NewSandbox {
            id,
            spec_id: spec,
            provider: "local",
            token_hash: crate::auth::hash("token"),
            lease_expires_at: now(),
            agent: "rehearsal".to_owned(),
            options: RunOptions::default(),
            created_at: now(),
            traceparent: None,
        };
        sandbox::insert(&mut write, &new).await.unwrap();
    }
    let new = serde_json::from_value(json!({ "kind": "user_message", "text": "look" })).unwrap();
    let said = Message::queued(MessageId(Uuid::now_v7()), position, &new, None, now());
    message::insert(&mut write, id, &said).await.unwrap();
    write.commit().await.unwrap();
}

#[tokio::test]
async fn who_waits_is_woken_for_what_a_replica_committed_and_never_told() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let ours = Store::open(&server.address()).await.unwrap();
    // Nobody tells what is committed here: it is as good as killed behind each commit.
    let killed = Store::open(&server.address()).await.unwrap();
    let (id, other) = (new_spec(&ours).await, new_spec(&ours).await);
    let mut sweep = Sweep::default();
    sweep.look(&ours).await.unwrap();

    let [of_spec, of_all, of_other] = [id.0, ANYWHERE, other.0].map(|about| ours.wakes.seat(about));
    let (mut of_spec, mut of_all) = (pin!(of_spec.woken()), pin!(of_all.woken()));
    let mut of_other = pin!(of_other.woken());
    of_spec.as_mut().enable();
    of_all.as_mut().enable();
    of_other.as_mut().enable();
    sweep.look(&ours).await.unwrap();
    assert!(of_spec.as_mut().now_or_never().is_none(), "nothing was written");
    add(&killed, id).await;
    assert!(of_spec.as_mut().now_or_never().is_none(), "nobody told");
    let mut woken = false;
    // The server's own housekeeping may hold a look back for a moment.
    until("the look finds it", async || {
        sweep.look(&ours).await.unwrap();
        woken = woken || of_spec.as_mut().now_or_never().is_some();
        woken.then_some(())
    })
    .await;
    assert!(of_all.as_mut().now_or_never().is_some());
    assert!(of_other.as_mut().now_or_never().is_none(), "nothing was written about it");

    // That somebody told of the same spec a moment ago says nothing of what comes then.
    ours.wakes.committed(BTreeSet::from([id.0]));
    let seat = ours.wakes.seat(id.0);
    let mut again = pin!(seat.woken());
    again.as_mut().enable();
    add(&killed, id).await;
    until("the look finds that, too", async || {
        sweep.look(&ours).await.unwrap();
        again.as_mut().now_or_never()
    })
    .await;
    // A message that nobody told its worker of, though another one waits for it already.
    let sandbox = SandboxId(Uuid::now_v7());
    for position in 1..=2 {
        let seat = ours.wakes.seat(sandbox.0);
        let mut pushed = pin!(seat.woken());
        pushed.as_mut().enable();
        say(&killed, id, sandbox, position).await;
        sweep.look(&ours).await.unwrap();
        assert!(pushed.as_mut().now_or_never().is_some(), "message {position}");
    }
    ours.close().await;
    killed.close().await;
}
