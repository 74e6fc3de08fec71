//! One run that cannot be read keeps no duty from the others.

use serde_json::json;
use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::phase::SpecStatus;

use super::super::Duty;
use super::rounds::{in_a_circle, is_ended, kill, resting};
use super::ways_out::spec_in;
use crate::app::App;
use crate::config::Config;
use crate::store;
use crate::store::contract::spoil;
use crate::testing::until;
use crate::testing::worker::Worker;

async fn is_judged(app: &App, sandbox: SandboxId) -> bool {
    let mut session = app.store.read().await.unwrap();
    !store::liveness::history(&mut session, sandbox, 1).await.unwrap().is_empty()
}

async fn outcomes(app: &App, sandbox: SandboxId) -> Vec<bool> {
    let mut session = app.store.read().await.unwrap();
    let made = store::intervention::list(&mut session, sandbox).await.unwrap();
    made.iter().map(|one| one.view.assessment.is_some()).collect()
}

async fn status(app: &App, spec: SpecId) -> SpecStatus {
    let mut session = app.store.read().await.unwrap();
    store::spec::find(&mut session, spec).await.unwrap().unwrap().status
}

#[tokio::test]
async fn a_run_that_cannot_be_read_keeps_no_duty_from_the_others() {
    let api = resting(super::WAITS).await;
    // Duties come to them in this order.
    let (first, second) = (in_a_circle(&api).await, in_a_circle(&api).await);
    let third = in_a_circle(&api).await;
    for launched in [&first, &second, &third] {
        Worker::hello(&api, launched.sandbox_id).await.beat_stuck().await;
    }
    let path = format!("/api/v1/sandboxes/{}/interventions", first.sandbox_id);
    let own = json!({ "observe_s": 1 });
    let settings = format!("/api/v1/projects/{}/guardian", first.spec.project_id);
    let (status_of, _) =
        api.request("PUT", &settings, crate::testing::OWNER_TOKEN, Some(&own)).await;
    assert_eq!(status_of, 200);
    let nudge = json!({ "kind": "nudge", "reason": "It loops.", "evidence": "make" });
    let made = api
        .http
        .post(format!("{}{path}", api.base))
        .bearer_auth(crate::testing::OWNER_TOKEN)
        .header("idempotency-key", "k")
        .json(&nudge)
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    let by_hand = |config: &mut Config| {
        config.guardian.on = true;
        // Who is stuck is looked at closer; here that has no consequences.
        config.liveness.stuck.clear();
    };
    let hand = api.by_hand(by_hand).await;
    let app = &hand.app;
    let unmade = [
        spec_in(&app.store, SpecStatus::Executing, None, None).await,
        spec_in(&app.store, SpecStatus::Executing, None, None).await,
    ];
    let mut write = app.store.write().await.unwrap();
    for spoiled in [first.spec.id, second.spec.id] {
        spoil::phase(&mut write, spoiled).await;
    }
    spoil::spec(&mut write, unmade[0]).await;
    write.commit().await.unwrap();

    Duty::Liveness.round(app).await.unwrap_err();
    assert!(is_judged(app, third.sandbox_id).await && !is_judged(app, second.sandbox_id).await);
    Duty::Guardian.round(app).await.unwrap_err();
    assert_eq!(outcomes(app, third.sandbox_id).await, [false], "it was nudged");
    assert!(outcomes(app, second.sandbox_id).await.is_empty());
    Duty::Unstarted.round(app).await.unwrap_err();
    assert_eq!(status(app, unmade[1]).await, SpecStatus::Failed);
    for killed in [&first, &second, &third] {
        kill(app, killed.sandbox_id).await;
    }
    Duty::GoneSandboxes.round(app).await.unwrap_err();
    assert!(is_ended(app, third.sandbox_id).await && !is_ended(app, second.sandbox_id).await);
    until("the second of its observation is over", async || {
        let mut session = app.store.read().await.unwrap();
        let due = store::intervention::to_judge(&mut session, app.now()).await.unwrap();
        (due.len() == 2).then_some(())
    })
    .await;
    Duty::InterventionOutcomes.round(app).await.unwrap_err();
    assert_eq!(outcomes(app, third.sandbox_id).await, [true]);
    assert_eq!(outcomes(app, first.sandbox_id).await, [false]);
    hand.end().await;
}
