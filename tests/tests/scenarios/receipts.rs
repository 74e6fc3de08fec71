//! Every receipt that a message can end with, and its cause, with the real worker and the real CLI.

use serde_json::{Value, json};
use specwright_shared::phase::Phase;
use specwright_tests::messages_api::{Answer, Playbook};
use specwright_tests::system::Finished;
use tokio_util::sync::CancellationToken;

use crate::shape::text;
use crate::steer::{Steered, glob, receipts};

/// What became of a message, as it is to be.
struct Row<'a> {
    name: &'static str,
    said: Finished,
    status: &'static str,
    seen_as: Value,
    /// What the reason says; of a message that was settled there is none.
    because: &'static str,
    /// What the worker said of it.
    steps: &'a [&'static str],
}

impl Row<'_> {
    fn holds(&self, run: &Finished) {
        let Self { name, said, because, steps, .. } = self;
        let message = said.summary();
        // `say` comes back when the message was seen, which may be before its turn is over.
        let settled = self.status == "settled" && message["status"] == "seen";
        assert!(settled || message["status"] == self.status, "{name}: {said:#?}");
        assert_eq!(message["seen_as"], self.seen_as, "{name}: {message:#}");
        let reason = message["reason"].as_str().unwrap_or_default();
        assert!(
            reason.contains(because) && reason.is_empty() == because.is_empty(),
            "{name}: {reason}"
        );
        // An expiry is the control API's word: the worker may hear of the message before or after it,
        // and may find the same when it next looks.
        let told = receipts(run, &message);
        let steps: Vec<String> = steps.iter().map(|&step| step.to_owned()).collect();
        let rest = told.strip_prefix(&steps[..]);
        let rest = rest.unwrap_or_else(|| panic!("{name}: {told:?}"));
        let is_late = |one: &str| self.status == "expired" && one == "delivered";
        assert!(rest.iter().all(|one| *one == self.status || is_late(one)), "{name}: {told:?}");
        let at = ["created_at", "delivered_at", "written_at", "seen_at", "ended_at"];
        let times: Vec<&str> = at.iter().filter_map(|at| message[at].as_str()).collect();
        // An expiry is noted by the control API, whatever the worker is at.
        assert!(times.is_sorted() || self.status == "expired", "{name}: {message:#}");
        let last = if because.is_empty() { "seen_at" } else { "ended_at" };
        assert!(message[last].is_string(), "{name}: {message:#}");
    }
}

#[tokio::test]
async fn what_is_seen_is_settled_and_what_cannot_be_given_is_refused_with_its_cause() {
    let release = CancellationToken::new();
    let held = Answer::Hold(release.clone(), vec![glob()]);
    let playbook = Playbook::new().with(Phase::Explore, [held]);
    let mut scene = Steered::until_phase(playbook, Phase::Requirements).await;
    let to = scene.spec.clone();
    let computed = scene.steer(&["say", &to, "Too early.", "--phase", "sync"]).finish().await;
    let beyond = scene.steer(&["say", &to, "Never.", "--phase", "tasks"]).finish().await;
    let folded = scene.steer(&["say", &to, "Mind the marmalade."]);
    let written = scene.until("written").await;
    let own = scene.steer(&["say", &to, "Mind the honey.", "--later"]);
    scene.until_another(&written).await;
    release.cancel();
    let (folded, own) = (folded.finish().await, own.finish().await);
    let run = scene.run.finish().await.expect_code(0);

    let seen: &[&str] = &["delivered", "written", "seen", "settled"];
    let refused: &[&str] = &["delivered", "refused"];
    for (name, said, status, seen_as, because, steps) in [
        ("folded", folded, "settled", json!("folded"), "", seen),
        ("own turn", own, "settled", json!("own_turn"), "", seen),
        ("computed", computed, "refused", Value::Null, "computed", refused),
        ("beyond", beyond, "refused", Value::Null, "ends with the phase", refused),
    ] {
        Row { name, said, status, seen_as, because, steps }.holds(&run);
    }
    assert!(run.events("spec.phase_retry").is_empty());
}

#[tokio::test]
async fn what_is_broken_off_or_dropped_is_cancelled_and_what_comes_too_late_expires() {
    let playbook = Playbook::new().with(Phase::Explore, std::iter::repeat_n(Answer::Hang, 5));
    let mut scene = Steered::until_phase(playbook, Phase::Complete).await;
    let to = scene.spec.clone();
    let overdue = ["say", &to, "Soon.", "--phase", "tasks", "--within", "1"];
    let overdue = scene.steer(&overdue).finish().await;
    let waits = scene.steer(&["say", &to, "In the end.", "--phase", "tasks"]);
    let overdue_id = overdue.summary()["id"].clone();
    let of_overdue = json!({ "data": { "message_id": overdue_id, "status": "delivered" } });
    scene.until_another(&of_overdue).await;

    // It opens a turn of its own, in which the model hangs again.
    let broken = scene.steer(&["say", &to, "Now.", "--now"]);
    let written = scene.until("written").await;
    let broken = broken.finish().await.expect_code(0);
    let dropped = scene.steer(&["say", &to, "After that.", "--later"]);
    scene.until_another(&written).await;
    scene.steer(&["interrupt", &to, "Go on.", "--drop-queued"]).finish().await.expect_code(0);
    let dropped = dropped.finish().await;
    drop(scene.system.run(scene.system.root(), ["stop", &to]).await.expect_code(0));
    let waits = waits.finish().await;

    let run = scene.run.finish().await.expect_code(1);
    let broken_id = broken.summary()["id"].clone();
    let told = run.events("agent.message_injected");
    let end = told.iter().rfind(|event| event["data"]["message_id"] == broken_id).unwrap();
    assert_eq!(end["data"]["status"], "cancelled", "{end:#}");
    assert!(text(&end["data"]["reason"]).contains("broken off"), "{end:#}");
    assert_eq!(receipts(&run, &broken.summary()), ["delivered", "written", "seen", "cancelled"]);
    for (name, said, status, because, steps) in [
        ("overdue", overdue, "expired", "time ran out", &[][..]),
        ("dropped", dropped, "cancelled", "dropped", &["delivered", "written", "cancelled"]),
        ("at the end", waits, "expired", "ended", &["delivered"]),
    ] {
        Row { name, said, status, seen_as: Value::Null, because, steps }.holds(&run);
    }
}
