//! Interventions, what came of them, and what a sandbox reported lately.

use std::time::Duration;

use serde_json::json;
use specwright_shared::guardian::Activity;
use specwright_shared::id::{InterventionId, MessageId, SandboxId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::Phase;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::intervention::{
    Assessment, InterventionKind, InterventionOutcome, InterventionView,
};
use specwright_shared::wire::message::Message;
use uuid::Uuid;

use super::{add_sandbox, new_spec, now, numbered};
use crate::store::event::{self, recent};
use crate::store::intervention::{self, Stored};
use crate::store::{Store, message, sandbox};

pub(super) async fn what_is_kept_of_guardians(store: &Store) {
    interventions_are_kept_with_their_messages_and_judged_once(store).await;
    what_was_reported_lately_is_read_without_what_is_large(store).await;
}

fn after(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

fn made(sandbox: SandboxId, key: &str, at: u64, message: Option<Message>) -> Stored {
    Stored {
        view: InterventionView {
            id: InterventionId(Uuid::now_v7()),
            sandbox_id: sandbox,
            kind: InterventionKind::Nudge,
            reason: "why".to_owned(),
            evidence: "which".to_owned(),
            by: "eve".to_owned(),
            phase: Phase::Design,
            at: after(at),
            message,
            judged_by: after(at + 300),
            assessment: None,
        },
        key: key.to_owned(),
        given_message: Some("given".to_owned()),
        seq: 7,
    }
}

async fn interventions_are_kept_with_their_messages_and_judged_once(store: &Store) {
    let spec = new_spec(store).await;
    let id = add_sandbox(store, spec.id).await.unwrap();
    let mut write = store.write().await.unwrap();
    let new = json!({ "kind": "guardian_nudge", "text": "look" });
    let new = serde_json::from_value(new).unwrap();
    let said = Message::queued(MessageId(Uuid::now_v7()), 1, &new, Some("eve".into()), now());
    message::insert(&mut write, id, &said).await.unwrap();
    let (first, second) = (made(id, "a", 0, Some(said)), made(id, "b", 60, None));
    for one in [&second, &first] {
        intervention::insert(&mut write, one).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut write = store.write().await.unwrap();
    let again = intervention::insert(&mut write, &made(id, "a", 99, None)).await.unwrap_err();
    assert!(again.is_unique_violation(), "{again}");
    drop(write);

    let mut session = store.read().await.unwrap();
    let all = intervention::list(&mut session, id).await.unwrap();
    assert_eq!(all, [first.clone(), second.clone()], "oldest first, whole");
    assert_eq!(intervention::by_key(&mut session, id, "b").await.unwrap(), Some(second.clone()));
    assert_eq!(intervention::by_key(&mut session, id, "c").await.unwrap(), None);
    let ours = async |session: &mut _, at| -> Vec<String> {
        let due = intervention::to_judge(session, after(at)).await.unwrap();
        let due = due.into_iter().filter(|one| one.view.sandbox_id == id);
        due.map(|one| one.key).collect()
    };
    assert_eq!(ours(&mut session, 299).await, [""; 0]);
    assert_eq!(ours(&mut session, 300).await, ["a"]);
    drop(session);

    let assessment = Assessment {
        outcome: InterventionOutcome::NoEffect,
        reason: "nothing changed".to_owned(),
        before: Activity { calls: 3, ..Activity::default() },
        after: Activity::default(),
    };
    let mut write = store.write().await.unwrap();
    assert!(intervention::judged(&mut write, first.view.id, &assessment).await.unwrap());
    let other = Assessment { outcome: InterventionOutcome::Helped, ..assessment.clone() };
    assert!(!intervention::judged(&mut write, first.view.id, &other).await.unwrap());
    assert!(sandbox::end(&mut write, id, Outcome::Lost, None, now()).await.unwrap());
    write.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    assert_eq!(ours(&mut session, 0).await, ["b"], "an ended run has nothing more to show");
    let all = intervention::list(&mut session, id).await.unwrap();
    assert_eq!(all[0].view.assessment.as_ref(), Some(&assessment));
    let project = spec.project_id;
    assert_eq!(intervention::settings(&mut session, project).await.unwrap(), None);
    drop(session);
    for own in [json!({ "on": true }), json!({ "max": 3 })] {
        let mut write = store.write().await.unwrap();
        intervention::set_settings(&mut write, project, &own).await.unwrap();
        write.commit().await.unwrap();
        let mut session = store.read().await.unwrap();
        assert_eq!(intervention::settings(&mut session, project).await.unwrap(), Some(own));
    }
}

async fn what_was_reported_lately_is_read_without_what_is_large(store: &Store) {
    let spec = new_spec(store).await;
    let id = add_sandbox(store, spec.id).await.unwrap();
    let mut write = store.write().await.unwrap();
    let kinds =
        ["spec.execution_started", "agent.thinking", "agent.tool_use", "spec.artifact_created"];
    for (seq, kind) in (1_u64..).zip(kinds) {
        let fact = numbered(seq, kind, Some(Phase::Explore), json!({ "max_budget_usd": seq }));
        let recorded = vec![event::Recorded::new(seq, Some(id), &fact)];
        event::insert(&mut write, spec.id, recorded, after(seq)).await.unwrap();
    }
    write.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    let behind = async |session: &mut _, seq, since| -> Vec<u64> {
        let found = recent::behind(session, id, seq, since).await.unwrap();
        found.into_iter().map(|event| event.seq).collect()
    };
    assert_eq!(behind(&mut session, 0, None).await, [1, 3]);
    assert_eq!(behind(&mut session, 1, None).await, [3]);
    assert_eq!(behind(&mut session, 0, Some(after(3))).await, [3]);
    let beginning = recent::beginning(&mut session, id).await.unwrap();
    assert_eq!(beginning, Some(json!({ "max_budget_usd": 1 })));
}
