//! Nothing stays `executing` for ever: every state that spec, sandbox and place can be in together,
//! and its way out. The store is as a crash may have left it before the control API starts.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{SandboxState, SpecStatus};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::spec::RunOptions;
use uuid::Uuid;

use crate::auth::Person;
use crate::sandboxes::local::place_of;
use crate::spec_intake;
use crate::store::sandbox::NewSandbox;
use crate::store::{self, Store};
use crate::testing::{Running, until};

/// What stands where the place would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// None was made.
    None,
    /// It runs, and says nothing.
    Alive,
    /// It is gone.
    Gone,
    /// It is on a machine that cannot be seen, and says nothing.
    Elsewhere,
}

const PLACES: [Place; 4] = [Place::None, Place::Alive, Place::Gone, Place::Elsewhere];
const STATES: [Option<SandboxState>; 4] =
    [None, Some(SandboxState::Requested), Some(SandboxState::Active), Some(SandboxState::Ended)];

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

fn place(kind: Place, sleeper: &Sleeper) -> Option<Value> {
    let mut place = place_of(sleeper.0.id());
    match kind {
        Place::None => return None,
        Place::Alive => {}
        Place::Gone => place["start_time"] = json!(1),
        Place::Elsewhere => place["host"] = json!("another"),
    }
    Some(place)
}

async fn spec_in(
    store: &Store,
    status: SpecStatus,
    state: Option<SandboxState>,
    place: Option<Value>,
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
            options: RunOptions::default(),
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
        config.liveness.never_started_s = 6;
        config.liveness.silent_s = 1;
        config.liveness.lost_s = 1;
    })
    .await;
    assert_eq!(api.get("/api/v1/duties").await.0, 200, "it is up");
    let sleepers: Vec<Sleeper> = (0..STATES.len()).map(|_| Sleeper::start()).collect();
    let store = Store::open(&api.config.database_url).await.unwrap();
    let mut specs = Vec::new();
    for (state, sleeper) in STATES.into_iter().zip(&sleepers) {
        for kind in PLACES {
            if state.is_none() && kind != Place::None {
                continue;
            }
            let place = place(kind, sleeper);
            let spec = spec_in(&store, SpecStatus::Executing, state, place).await;
            specs.push((state, kind, spec));
        }
    }
    store.close().await;
    for (state, kind, spec) in specs {
        let what = format!("an executing spec with a sandbox {state:?} and a place {kind:?}");
        let ended = until(&format!("{what} is failed"), async || {
            let (_, sandboxes) = api.get(&format!("/api/v1/sandboxes?spec_id={spec}")).await;
            for sandbox in sandboxes["items"].as_array()? {
                let id = sandbox["id"].as_str()?;
                api.post(&format!("/api/v1/sandboxes/{id}/release"), &json!({})).await;
            }
            let (_, found) = api.get(&format!("/api/v1/specs/{spec}")).await;
            (found["status"] == "failed").then_some(found)
        })
        .await;
        let message = ended["message"].as_str().unwrap_or_default();
        let expected = match (state, kind) {
            (None | Some(SandboxState::Ended), _) => "counted as executing and had no sandbox",
            // A place is made for it, and what comes of that is the way out.
            (Some(SandboxState::Requested), Place::None) => "so it goes",
            (_, Place::Gone) => "is gone, without a report",
            (_, Place::Alive) => "the run is lost",
            // By the lease, or by its verdict, whichever looks first.
            (_, Place::None | Place::Elsewhere) => "",
        };
        assert!(!message.is_empty() && message.contains(expected), "{what}: {message}");
        assert!(ended["reason"].is_string() && ended["sandbox_id"].is_null(), "{ended}");
    }
    api.end().await;
}
