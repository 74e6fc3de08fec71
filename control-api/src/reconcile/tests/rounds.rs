//! Rounds of duties, one by one, by a control API that does nothing by itself.

use std::process::{Child, Command};
use std::time::Duration;

use serde_json::json;
use specwright_shared::id::{MessageId, SandboxId};
use specwright_shared::phase::{Phase, SandboxState, SpecStatus};
use specwright_shared::wire::event::RawEvent;
use specwright_shared::wire::message::{Message, NewMessage};
use specwright_shared::wire::spec::Launched;
use specwright_shared::wire::watch::Hold;
use uuid::Uuid;

use super::super::claim::Claim;
use super::super::{Duty, Nudges};
use super::ways_out::{Place, place, spec_in};
use super::{look, shown};
use crate::app::App;
use crate::sandboxes::local::{LABEL, MARK, process_is_gone};
use crate::store;
use crate::testing::worker::Worker;
use crate::testing::{Running, until, until_file};

const HOUR: Duration = Duration::from_secs(3600);

/// One whose own duties look once, and then not for an hour; its workers outlive it.
pub(super) async fn resting(script: &str) -> Running {
    let api = Running::with_settings(script, |config| {
        config.pace.every = Some(HOUR);
        config.end_sandboxes_on_shutdown = false;
    })
    .await;
    until("each of its duties has looked", async || {
        let (_, duties) = api.get("/api/v1/duties").await;
        let looked = duties.as_array()?.iter().filter(|duty| duty["last_run_at"].is_string());
        (looked.count() == Duty::ALL.len()).then_some(())
    })
    .await;
    api
}

/// The same call with the same answer, so often that the built-in guardian calls it a loop.
fn looping(worker: &mut Worker<'_>) -> Vec<RawEvent> {
    let excerpt = |text: &str| json!({ "text": text, "bytes": text.len(), "cut": false });
    let mut events = Vec::new();
    for _ in 0..6 {
        let id = Uuid::now_v7();
        let call = json!({ "tool": "Bash", "tool_use_id": id, "input": excerpt("make") });
        let answer = json!({ "tool_use_id": id, "is_error": false, "result": excerpt("done") });
        let phase = Some(Phase::Explore);
        events.push(worker.event("agent.tool_use", phase, call));
        events.push(worker.event("agent.tool_result", phase, answer));
    }
    events
}

/// A run in its first phase, whose agent goes in a circle.
pub(super) async fn in_a_circle(api: &Running) -> Launched {
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(api, launched.sandbox_id).await;
    let begun = json!({ "max_attempts": 3 });
    let mut events = vec![worker.event("spec.phase_started", Some(Phase::Explore), begun)];
    events.extend(looping(&mut worker));
    worker.report(&events).await;
    launched
}

/// Kills the worker of a sandbox, and waits until that can be seen.
pub(super) async fn kill(app: &App, sandbox: SandboxId) {
    let mut session = app.store.read().await.unwrap();
    let found = store::sandbox::find(&mut session, sandbox).await.unwrap().unwrap();
    drop(session);
    let place = found.place.unwrap();
    let pid = i32::try_from(place["pid"].as_i64().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    until("its worker is seen to be gone", async || process_is_gone(&place).then_some(())).await;
}

pub(super) async fn is_ended(app: &App, sandbox: SandboxId) -> bool {
    let mut session = app.store.read().await.unwrap();
    let found = store::sandbox::find(&mut session, sandbox).await.unwrap().unwrap();
    found.ended_at.is_some()
}

/// A message whose time passed an hour ago.
async fn overdue_message(app: &App, sandbox: SandboxId) {
    let new: NewMessage =
        serde_json::from_value(json!({ "kind": "user_message", "text": "Too late." })).unwrap();
    let now = app.now();
    let new = NewMessage { expires_at: Some(now.minus(HOUR)), ..new };
    let mut write = app.store.write().await.unwrap();
    let position = store::sandbox::next_message(&mut write, sandbox).await.unwrap().unwrap();
    let message = Message::queued(MessageId(Uuid::now_v7()), position, &new, None, now);
    store::message::insert(&mut write, sandbox, &message).await.unwrap();
    write.commit().await.unwrap();
}

/// A process with a deployment's label and the mark of a sandbox; killed when the test ends.
struct Orphan(Child);

impl Orphan {
    async fn start(app: &App, sandbox: Uuid) -> Self {
        let mut write = app.store.write().await.unwrap();
        let deployment = store::presence::deployment(&mut write, app.now()).await.unwrap();
        drop(write);
        let mut command = Command::new("sleep");
        command.arg("600").env(LABEL, deployment.to_string()).env(MARK, sandbox.to_string());
        let orphan = Self(command.spawn().unwrap());
        until("the place is listed", async || {
            app.provider.list().iter().any(|place| place.sandbox.0 == sandbox).then_some(())
        })
        .await;
        orphan
    }

    fn is_there(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn a_duty_that_is_done_twice_has_done_nothing_more() {
    let api = resting(super::WAITS).await;
    let (circling, stays) = (in_a_circle(&api).await, api.launch(json!({})).await);
    let hand = api
        .by_hand(|config| {
            config.guardian.on = true;
            config.events_kept = Some(Duration::ZERO);
            config.liveness.finished_s = 0;
        })
        .await;
    let app = &hand.app;
    overdue_message(app, stays.sandbox_id).await;
    spec_in(&app.store, SpecStatus::Executing, None, None).await;
    let orphan = Orphan::start(app, Uuid::now_v7()).await;
    for duty in [
        Duty::Liveness,
        Duty::Guardian,
        Duty::OverdueMessages,
        Duty::Unstarted,
        Duty::Orphans,
        Duty::GoneSandboxes,
        // The end of the run is the end of the observation.
        Duty::InterventionOutcomes,
        Duty::OldEvents,
    ] {
        if duty == Duty::GoneSandboxes {
            kill(app, circling.sandbox_id).await;
        }
        let first = duty.round(app).await.unwrap();
        let second = duty.round(app).await.unwrap();
        assert!(first > 0, "{duty:?} found nothing to do");
        assert_eq!(second, 0, "{duty:?} acted again");
    }
    assert!(!orphan.is_there() && is_ended(app, circling.sandbox_id).await);
    app.provider.end_listed(app, stays.sandbox_id).await;
    hand.end().await;
}

#[tokio::test]
async fn a_nudged_duty_looks_although_its_timer_is_an_hour_away() {
    let api = resting(super::WAITS).await;
    let launched = api.launch(json!({})).await;
    let worker = Worker::hello(&api, launched.sandbox_id).await;
    worker.beat_stuck().await;
    look(&api, worker.id).await;
    until("it is judged", async || {
        let view = shown(&api, worker.id).await;
        (view["verdicts"][0]["verdict"]["kind"] == "stuck").then_some(())
    })
    .await;
    api.restart_with(|config| config.end_sandboxes_on_shutdown = true).await.end().await;
}

#[tokio::test]
async fn a_nudge_wakes_the_duty_that_is_meant_and_is_kept_for_one_at_work() {
    for duty in Duty::ALL {
        let nudges = Nudges::default();
        nudges.nudge(duty);
        for other in Duty::ALL.into_iter().filter(|other| *other != duty) {
            let woken = futures_util::FutureExt::now_or_never(nudges.nudged(other));
            assert_eq!(woken, None, "{other:?} by a nudge of {duty:?}");
        }
        let woken = futures_util::FutureExt::now_or_never(nudges.nudged(duty));
        assert_eq!(woken, Some(()), "{duty:?}");
    }
}

#[tokio::test]
async fn a_round_that_is_cut_off_leaves_no_delivery_in_its_middle() {
    // Killed with a fact in its spool; who delivers that takes longer than a round may.
    let script = "if [ -d \"$STATE_DIR/spool\" ]; then echo x >>\"$STATE_DIR/tries\"
             until [ -e \"$STATE_DIR/seen\" ]; do sleep 0.05; done; exit 17
         fi
         mkdir \"$STATE_DIR/spool\"; echo fact >\"$STATE_DIR/spool/1\"
         env >\"$STATE_DIR/env\"; exec sleep 600";
    let api = resting(script).await;
    let launched = api.launch(json!({})).await;
    let state = api.sandbox_dir(launched.sandbox_id).join("state");
    until_file(&state.join("env")).await;
    let cut = Duration::from_millis(300);
    let hand = api.by_hand(|config| config.pace.round_max = cut).await;
    let app = &hand.app;
    kill(app, launched.sandbox_id).await;
    let mut claim = Claim::new(app, Duty::GoneSandboxes);
    assert!(claim.turn(app).await, "nobody else has the duty");
    let mut session = app.store.read().await.unwrap();
    let duties = store::duty::list(&mut session).await.unwrap();
    drop(session);
    let noted = duties.into_iter().find(|duty| duty.name == "gone_sandboxes").unwrap();
    assert_eq!(noted.failed.as_deref(), Some("the round took more than 0.3 s"));
    assert!(Duration::from_millis(noted.took_ms) >= cut, "{noted:?}");
    // Where it was cut off before anything was delivered, a later one begins with that; else it leaves it
    // to whoever is at it.
    until("facts are delivered", async || {
        assert!(claim.turn(app).await);
        state.join("tries").exists().then_some(())
    })
    .await;
    assert!(claim.turn(app).await);
    assert!(!is_ended(app, launched.sandbox_id).await);
    std::fs::write(state.join("seen"), "").unwrap();
    until("the run is over", async || is_ended(app, launched.sandbox_id).await.then_some(())).await;
    let mut session = app.store.read().await.unwrap();
    let found = store::sandbox::find(&mut session, launched.sandbox_id).await.unwrap().unwrap();
    drop(session);
    let message = found.message.unwrap();
    assert!(message.contains("is gone, without a report"), "{message}");
    assert!(!message.contains("missing"), "{message}");
    assert_eq!(found.salvages, 1);
    assert_eq!(std::fs::read_to_string(state.join("tries")).unwrap().lines().count(), 1);
    hand.end().await;
}

#[tokio::test]
async fn a_place_is_left_alone_until_its_grace_is_over() {
    let api = resting(super::WAITS).await;
    let launched = api.launch(json!({})).await;
    let mut worker = Worker::hello(&api, launched.sandbox_id).await;
    worker.fail().await;
    assert_eq!(api.config.liveness.finished_s, 120, "two minutes");
    let hand = api.by_hand(|config| config.liveness.finished_s = 3600).await;
    let orphan = Orphan::start(&hand.app, Uuid::now_v7()).await;
    let lingers = async |app: &App| {
        app.provider.list().iter().any(|place| place.sandbox == launched.sandbox_id)
    };
    assert_eq!(Duty::Orphans.round(&hand.app).await.unwrap(), 0);
    assert!(orphan.is_there() && lingers(&hand.app).await);
    let hand = hand.again(|config| config.liveness.finished_s = 0).await;
    assert_eq!(Duty::Orphans.round(&hand.app).await.unwrap(), 2);
    assert!(!orphan.is_there() && !lingers(&hand.app).await);
    hand.end().await;
}

/// A run on a machine that cannot be seen from here, heard for the last time so long ago.
async fn elsewhere(app: &App, heard: Duration) -> SandboxId {
    let place = place(Place::Elsewhere, std::process::id());
    let status = SpecStatus::Executing;
    let spec = spec_in(&app.store, status, Some(SandboxState::Active), place).await;
    let mut write = app.store.write().await.unwrap();
    let spec = store::spec::find(&mut write, spec).await.unwrap().unwrap();
    let id = spec.sandbox_id.unwrap();
    let heartbeat = json!({ "generation": 1, "agent_alive": true, "spool_depth": 0 });
    let heartbeat = serde_json::from_value(heartbeat).unwrap();
    let at = app.now().minus(heard);
    let lease = at.plus(app.lease);
    let kept = store::sandbox::set_heartbeat(&mut write, id, &heartbeat, at, lease).await.unwrap();
    assert!(kept.is_some());
    write.commit().await.unwrap();
    id
}

#[tokio::test]
async fn a_place_on_another_machine_is_given_up_by_the_projects_limits_and_not_while_it_is_held() {
    const MINUTE: Duration = Duration::from_secs(60);
    let hand = resting(super::WAITS).await.by_hand(|_| ()).await;
    let app = &hand.app;
    assert_eq!((app.lease.as_secs(), app.liveness.lost_s), (90, 600));
    let (silent, lost) = (elsewhere(app, MINUTE * 5).await, elsewhere(app, MINUTE * 20).await);
    let held = elsewhere(app, MINUTE * 20).await;
    let hold = async |hold: Option<&Hold>| {
        let mut write = app.store.write().await.unwrap();
        assert!(store::liveness::hold(&mut write, held, hold).await.unwrap());
        write.commit().await.unwrap();
    };
    let until = app.now().plus(HOUR);
    hold(Some(&Hold { until, reason: "I look.".into(), by: "ada".into() })).await;
    let listens_since = |since: Duration| {
        let now = app.now();
        app.presence.set(now.minus(since), now);
    };
    // Nobody was there to hear them: the lease, and the silence, count from then.
    listens_since(MINUTE);
    assert_eq!(Duty::GoneSandboxes.round(app).await.unwrap(), 0);
    listens_since(MINUTE * 5);
    assert_eq!(Duty::GoneSandboxes.round(app).await.unwrap(), 0);
    listens_since(HOUR);
    assert_eq!(Duty::GoneSandboxes.round(app).await.unwrap(), 1);
    assert!(is_ended(app, lost).await && !is_ended(app, silent).await);
    assert!(!is_ended(app, held).await);
    hold(None).await;
    listens_since(HOUR);
    assert_eq!(Duty::GoneSandboxes.round(app).await.unwrap(), 1);
    assert!(is_ended(app, held).await && !is_ended(app, silent).await);
    hand.end().await;
}

#[tokio::test]
async fn the_built_in_guardian_does_nothing_when_it_is_off_or_refused() {
    let api = resting(super::WAITS).await;
    let launched = in_a_circle(&api).await;
    let hand = api.by_hand(|config| config.guardian.on = false).await;
    let made = async |app: &App| {
        let mut session = app.store.read().await.unwrap();
        store::intervention::list(&mut session, launched.sandbox_id).await.unwrap().len()
    };
    assert_eq!(Duty::Guardian.round(&hand.app).await.unwrap(), 0, "it is off");
    let hand = hand
        .again(|config| {
            config.guardian.on = true;
            config.guardian.nudge.max = 0;
        })
        .await;
    assert_eq!(Duty::Guardian.round(&hand.app).await.unwrap(), 0, "the ceiling is everyone's");
    assert_eq!(made(&hand.app).await, 0);
    let hand = hand.again(|config| config.guardian.nudge.max = 1).await;
    assert_eq!(Duty::Guardian.round(&hand.app).await.unwrap(), 1, "there was something to say");
    assert_eq!(made(&hand.app).await, 1);
    hand.app.provider.end_listed(&hand.app, launched.sandbox_id).await;
    hand.end().await;
}
