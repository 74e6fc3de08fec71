//! Nothing stays `executing` for ever: every state that spec, sandbox and place can be in together,
//! and its way out. The store is as a crash may have left it before the control API starts.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use specwright_shared::id::{MessageId, SandboxId, SpecId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{SandboxState, SpecStatus};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::message::{Message, MessageStatus, NewMessage};
use specwright_shared::wire::spec::RunOptions;
use specwright_shared::wire::watch::Hold;
use sse_stream::SseByteStream;
use uuid::Uuid;

use super::kinds;
use crate::auth::Person;
use crate::sandboxes::local::place_of;
use crate::spec_intake;
use crate::store::sandbox::NewSandbox;
use crate::store::sandbox::salvage::Claim;
use crate::store::{self, Store, Write};
use crate::testing::{OWNER_TOKEN, Running, until};

/// Every value, from a function that says which one comes first and which after each: a value that is
/// new does not compile there until it is named.
fn all<T: Copy>(first: T, after: fn(T) -> Option<T>) -> Vec<T> {
    std::iter::successors(Some(first), |one| after(*one)).collect()
}

/// Where a sandbox stands, or that there is none.
fn states() -> Vec<Option<SandboxState>> {
    all(None, |state| {
        Some(Some(match state {
            None => SandboxState::Requested,
            Some(SandboxState::Requested) => SandboxState::Active,
            Some(SandboxState::Active) => SandboxState::Ended,
            Some(SandboxState::Ended) => return None,
        }))
    })
}

/// What stands where the place would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// None was made.
    None,
    /// It runs, and says nothing.
    Alive,
    /// It is gone.
    Gone,
    /// It is on a machine that cannot be seen, and says nothing.
    Elsewhere,
}

fn places() -> Vec<Place> {
    all(Place::None, |place| {
        Some(match place {
            Place::None => Place::Alive,
            Place::Alive => Place::Gone,
            Place::Gone => Place::Elsewhere,
            Place::Elsewhere => return None,
        })
    })
}

/// What else is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// Somebody asked it to stop, and nobody heard that.
    Stop,
    /// Or to pause.
    Pause,
    /// A verdict asked it to stop.
    Intent,
    /// Somebody holds it for a while.
    Hold,
    /// Somebody who is gone said that the place is being made, for longer than it may take.
    Starting,
    /// Somebody who is gone was delivering what was left in the place.
    Salvage,
    /// Somebody who is there is, and takes too long.
    SlowSalvage,
    /// It may be started again.
    Restarts,
    /// It was, as often as it may.
    Restarted,
}

fn besides() -> Vec<Beside> {
    all(Beside::Nothing, |beside| {
        Some(match beside {
            Beside::Nothing => Beside::Stop,
            Beside::Stop => Beside::Pause,
            Beside::Pause => Beside::Intent,
            Beside::Intent => Beside::Hold,
            Beside::Hold => Beside::Starting,
            Beside::Starting => Beside::Salvage,
            Beside::Salvage => Beside::SlowSalvage,
            Beside::SlowSalvage => Beside::Restarts,
            Beside::Restarts => Beside::Restarted,
            Beside::Restarted => return None,
        })
    })
}

/// How far a message has come.
fn messages() -> Vec<MessageStatus> {
    use MessageStatus as S;
    all(S::Queued, |status| {
        Some(match status {
            S::Queued => S::Delivered,
            S::Delivered => S::Written,
            S::Written => S::Seen,
            S::Seen => S::Settled,
            S::Settled => S::Cancelled,
            S::Cancelled => S::Expired,
            S::Expired => S::Refused,
            S::Refused => return None,
        })
    })
}

/// A process that does nothing, in a group of its own; killed when the test ends.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").process_group(0).spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn long_ago() -> Timestamp {
    (SystemTime::now() - Duration::from_secs(3600)).into()
}

pub(super) fn place(kind: Place, process: u32) -> Option<Value> {
    let mut place = place_of(process);
    match kind {
        Place::None => return None,
        Place::Alive => {}
        Place::Gone => place["start_time"] = json!(1),
        Place::Elsewhere => place["host"] = json!("another"),
    }
    Some(place)
}

/// Puts beside a sandbox what else is under way.
async fn put_beside(write: &mut Write, id: SandboxId, beside: Beside) {
    let now = Timestamp::from(SystemTime::now());
    let (soon, late) = (now.plus(Duration::from_secs(3)), now.plus(Duration::from_secs(24 * 3600)));
    match beside {
        Beside::Nothing | Beside::Restarts => {}
        Beside::Stop => store::sandbox::request_stop(write, id, "enough").await.unwrap(),
        Beside::Pause => store::sandbox::request_pause(write, id).await.unwrap(),
        Beside::Intent => {
            let outcome = Outcome::TimedOut;
            assert!(store::liveness::intend_end(write, id, outcome, "too long").await.unwrap());
        }
        Beside::Hold => {
            let hold = Hold { until: soon, reason: "I look.".to_owned(), by: "ada".to_owned() };
            assert!(store::liveness::hold(write, id, Some(&hold)).await.unwrap());
        }
        Beside::Starting => store::start::set_restart(write, id, 0, late).await.unwrap(),
        Beside::Salvage | Beside::SlowSalvage => {
            let (kind, until) =
                if beside == Beside::Salvage { (Place::Gone, late) } else { (Place::Alive, soon) };
            let by = place(kind, std::process::id()).unwrap();
            let claim = Claim { by, until };
            let hash = crate::auth::hash(&format!("another token of {id}"));
            store::sandbox::salvage::claim(write, id, &claim, &hash).await.unwrap();
        }
        Beside::Restarted => store::start::set_restart(write, id, 1, long_ago()).await.unwrap(),
    }
}

/// A message to it that has come so far.
async fn put_message(write: &mut Write, id: SandboxId, status: MessageStatus) {
    let new: NewMessage =
        serde_json::from_value(json!({ "kind": "user_message", "text": "Hear me." })).unwrap();
    let position = store::sandbox::next_message(write, id).await.unwrap().unwrap();
    let message_id = MessageId(Uuid::now_v7());
    let message = Message::queued(message_id, position, &new, None, long_ago());
    store::message::insert(write, id, &Message { status, ..message }).await.unwrap();
}

pub(super) async fn spec_in(
    store: &Store,
    status: SpecStatus,
    state: Option<SandboxState>,
    place: Option<Value>,
) -> SpecId {
    spec_with(store, status, state, place, Beside::Nothing).await
}

async fn spec_with(
    store: &Store,
    status: SpecStatus,
    state: Option<SandboxState>,
    place: Option<Value>,
    beside: Beside,
) -> SpecId {
    let mut write = store.write().await.unwrap();
    let new = serde_json::from_value(json!({ "description": "Idea" })).unwrap();
    let mut spec = spec_intake::take(&mut write, &Person::owner(), new, long_ago()).await.unwrap();
    spec.status = status;
    // Who asked for it and died before the place was made did so a minute ago: the lease still runs.
    let in_a_minute = Timestamp::from(SystemTime::now()).plus(Duration::from_secs(60));
    let lease = if place.is_some() { long_ago() } else { in_a_minute };
    store::spec::save(&mut write, &spec).await.unwrap();
    if let Some(state) = state {
        let id = SandboxId(Uuid::now_v7());
        let new = NewSandbox {
            id,
            spec_id: spec.id,
            provider: "local",
            token_hash: crate::auth::hash(&id.to_string()),
            lease_expires_at: lease,
            agent: "rehearsal".to_owned(),
            options: RunOptions {
                restarts: matches!(beside, Beside::Restarts | Beside::Restarted).then_some(1),
                ..RunOptions::default()
            },
            created_at: long_ago(),
            traceparent: None,
        };
        store::sandbox::insert(&mut write, &new).await.unwrap();
        if let Some(place) = place {
            assert!(store::sandbox::set_place(&mut write, id, place).await.unwrap());
        }
        let boot = Uuid::now_v7();
        if state != SandboxState::Requested {
            store::sandbox::set_generation(&mut write, id, 1, boot, long_ago()).await.unwrap();
        }
        put_beside(&mut write, id, beside).await;
        if state != SandboxState::Ended {
            for status in messages() {
                put_message(&mut write, id, status).await;
            }
        }
        if state == SandboxState::Ended {
            store::sandbox::end(&mut write, id, Outcome::Failed, None, long_ago()).await.unwrap();
        }
    }
    write.commit().await.unwrap();
    spec.id
}

#[tokio::test]
async fn every_state_has_a_way_out_of_executing() {
    let api = Running::with_settings("echo so it goes >&2; exit 7", |config| {
        config.lease = Duration::from_secs(2);
        config.pace.every = Some(Duration::from_millis(500));
        config.liveness.never_started_s = 6;
        config.liveness.silent_s = 1;
        config.liveness.lost_s = 1;
    })
    .await;
    assert_eq!(api.get("/api/v1/duties").await.0, 200, "it is up");
    let store = Store::open(&api.config.database_url).await.unwrap();
    let (mut specs, mut sleepers) = (Vec::new(), Vec::new());
    for state in states() {
        for kind in places() {
            for beside in besides() {
                let is_over = matches!(state, None | Some(SandboxState::Ended));
                if (state.is_none() && kind != Place::None)
                    || (is_over && beside != Beside::Nothing)
                {
                    continue;
                }
                let sleeper = Sleeper::start();
                let place = place(kind, sleeper.0.id());
                sleepers.push(sleeper);
                let status = SpecStatus::Executing;
                let spec = spec_with(&store, status, state, place, beside).await;
                specs.push((state, kind, beside, spec));
            }
        }
    }
    for (state, kind, beside, spec) in specs {
        let what =
            format!("an executing spec with a sandbox {state:?}, a place {kind:?}, and {beside:?}");
        let ended = until(&format!("{what} is failed"), async || {
            let (_, found) = api.get(&format!("/api/v1/specs/{spec}")).await;
            (found["status"] == "failed").then_some(found)
        })
        .await;
        let message = ended["message"].as_str().unwrap_or_default();
        let lost = "the run is lost";
        let expected: &[&str] = match (state, kind) {
            (None | Some(SandboxState::Ended), _) => &["counted as executing and had no sandbox"],
            // By the verdict on its place, or on the one that it was started again in.
            _ if beside != Beside::Nothing => &[""],
            // A place is made for it, and what comes of that is the way out; or it counted as never
            // started before.
            (Some(SandboxState::Requested), Place::None) => &["so it goes", lost],
            (_, Place::Gone) => &["is gone, without a report", lost],
            (_, Place::Alive) => &[lost],
            // By the lease, or by its verdict, whichever looks first.
            (_, Place::None | Place::Elsewhere) => &[""],
        };
        assert!(!message.is_empty(), "{what}");
        assert!(expected.iter().any(|part| message.contains(part)), "{what}: {message}");
        assert!(ended["reason"].is_string() && ended["sandbox_id"].is_null(), "{ended}");
        // Who follows it hears that, whoever ended it.
        let last = kinds(&api, &spec.to_string()).await.pop();
        assert_eq!(last.as_deref(), Some("spec.execution_failed"), "{what}");
        let (_, sandboxes) = api.get(&format!("/api/v1/sandboxes?spec_id={spec}")).await;
        for sandbox in sandboxes["items"].as_array().unwrap() {
            assert_eq!(sandbox["state"], "ended", "{what}: {sandbox}");
            let path = format!("/api/v1/sandboxes/{}/messages", sandbox["id"].as_str().unwrap());
            for message in api.get(&path).await.1["items"].as_array().unwrap() {
                let status = message["status"].as_str().unwrap();
                assert!(
                    ["settled", "cancelled", "expired", "refused"].contains(&status),
                    "{what}: {message}"
                );
            }
        }
    }
    store.close().await;
    api.end().await;
}

#[tokio::test]
async fn who_follows_a_spec_without_a_sandbox_hears_that_it_failed() {
    let api = Running::with_worker("exit 0").await;
    let new = json!({ "description": "Idea" });
    let (status, spec) = api.post("/api/v1/specs", &new).await;
    assert_eq!(status, 201, "{spec}");
    let id: SpecId = serde_json::from_value(spec["id"].clone()).unwrap();
    let url = format!("{}/api/v1/specs/{id}/events/stream", api.base);
    let answer = api.http.get(url).bearer_auth(OWNER_TOKEN).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut frames = SseByteStream::new(answer.bytes_stream().boxed());
    let store = Store::open(&api.config.database_url).await.unwrap();
    let mut write = store.write().await.unwrap();
    let mut spec = store::spec::lock(&mut write, id).await.unwrap().unwrap();
    spec.status = SpecStatus::Executing;
    store::spec::save(&mut write, &spec).await.unwrap();
    write.commit().await.unwrap();
    store.close().await;
    let heard = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let frame = frames.next().await.unwrap().unwrap();
            let data: Option<Value> = frame.data.and_then(|data| serde_json::from_str(&data).ok());
            if let Some(event) = data.filter(|data| data["type"] == "spec.execution_failed") {
                return event;
            }
        }
    });
    let event = heard.await.expect("the follower hears of it");
    assert_eq!(event["data"]["message"], "it counted as executing and had no sandbox");
    api.end().await;
}
