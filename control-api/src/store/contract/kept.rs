//! What a run leaves: documents, transcripts, tickets, messages and how far they came.

use std::time::Duration;

use serde_json::json;
use specwright_shared::id::{MessageId, SandboxId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{Phase, PhaseStatus, SandboxState, SpecStatus};
use specwright_shared::wire::event::{ArtifactCreated, MessageInjected};
use specwright_shared::wire::message::{Message, MessageStatus, SeenAs};
use specwright_shared::wire::sandbox::{Ack, Batch};
use uuid::Uuid;

use super::{LEASE, NO_SIGHT, add_sandbox, new_spec, now, taking_in};
use crate::store::event::log::Log;
use crate::store::phase::PhaseRecord;
use crate::store::project::{Belonging, Sight};
use crate::store::{
    Store, document, message, phase, project, sandbox, spec, task, ticket, transcript,
};
use crate::testing::documents;
use crate::testing::worker::event as numbered;

pub(super) async fn what_a_run_leaves(store: &Store) {
    a_messages_status_only_rises(store).await;
    a_document_keeps_its_newest_text(store).await;
    a_sandbox_keeps_its_newest_transcript(store).await;
    a_run_is_taken_in_and_its_tickets_are_made_once(store).await;
}

async fn a_messages_status_only_rises(store: &Store) {
    let spec = new_spec(store).await.id;
    let sandbox = add_sandbox(store, spec).await.unwrap();
    let mut write = store.write().await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let position = sandbox::next_message(&mut write, sandbox).await.unwrap().unwrap();
        let new = serde_json::from_value(json!({
            "kind": "interrupt", "text": "hello", "deliver": "later", "phase": "design",
            "expires_at": now().plus(Duration::from_secs(position)), "cancel_queued": true,
        }))
        .unwrap();
        let id = MessageId(Uuid::now_v7());
        let message = Message::queued(id, position, &new, Some("me".into()), now());
        message::insert(&mut write, sandbox, &message).await.unwrap();
        assert_eq!(message::find(&mut write, id).await.unwrap(), Some((sandbox, message.clone())));
        ids.push(message.id);
    }
    let there = sandbox::waiting::look(&mut write, sandbox).await.unwrap().unwrap();
    assert_eq!((there.state, there.messages), (SandboxState::Requested, 3));
    assert_eq!((there.stop_reason, there.pause_requested), (None, false));
    let later = now().plus(Duration::from_micros(1));
    let step = |message_id, status| {
        let seen_as = (status == MessageStatus::Seen).then_some(SeenAs::Folded);
        MessageInjected { message_id, status, seen_as, reason: None }
    };
    for (id, status) in [
        (ids[0], MessageStatus::Delivered),
        (ids[0], MessageStatus::Seen),
        (ids[0], MessageStatus::Written),
        (ids[1], MessageStatus::Written),
        (ids[1], MessageStatus::Queued),
    ] {
        message::advance(&mut write, sandbox, &step(id, status), later).await.unwrap();
    }
    let other = SandboxId(Uuid::now_v7());
    let seen_step = step(ids[2], MessageStatus::Seen);
    message::advance(&mut write, other, &seen_step, later).await.unwrap();
    let all = message::list(&mut write, sandbox, 0, 9).await.unwrap();
    let seen: Vec<_> = all.iter().map(|one| (one.position, one.status)).collect();
    assert_eq!(
        seen,
        [(1, MessageStatus::Seen), (2, MessageStatus::Written), (3, MessageStatus::Queued)]
    );
    assert_eq!((all[0].seen_at, all[1].written_at), (Some(later), Some(later)));
    assert_eq!((all[0].delivered_at, all[0].seen_as), (Some(later), Some(SeenAs::Folded)));

    // The third one's time runs out; what a worker wrote does not expire by the clock.
    let third = now().plus(Duration::from_secs(3));
    assert!(!message::any_overdue(&mut write, later).await.unwrap());
    assert!(message::any_overdue(&mut write, third).await.unwrap());
    assert_eq!(message::expire_overdue(&mut write, third).await.unwrap(), 1);
    let expired = message::list(&mut write, sandbox, 2, 9).await.unwrap().remove(0);
    assert_eq!((expired.status, expired.ended_at), (MessageStatus::Expired, Some(third)));
    assert!(expired.reason.unwrap().contains("time ran out"));
    // It had been given to the agent after all: the fact counts, not what was presumed.
    message::advance(&mut write, sandbox, &seen_step, later).await.unwrap();
    let (_, seen_after_all) = message::find(&mut write, ids[2]).await.unwrap().unwrap();
    assert_eq!((seen_after_all.status, seen_after_all.ended_at), (MessageStatus::Seen, None));
    assert_eq!(seen_after_all.reason, None);

    let cancelled = MessageInjected {
        message_id: ids[0],
        status: MessageStatus::Cancelled,
        seen_as: None,
        reason: Some("broken off".into()),
    };
    message::advance(&mut write, sandbox, &cancelled, later).await.unwrap();
    message::advance(&mut write, sandbox, &step(ids[0], MessageStatus::Settled), later)
        .await
        .unwrap();
    let (_, last) = message::find(&mut write, ids[0]).await.unwrap().unwrap();
    assert_eq!(
        (last.status, last.reason.as_deref()),
        (MessageStatus::Cancelled, Some("broken off"))
    );
    assert_eq!(last.seen_as, Some(SeenAs::Folded), "how it was seen is kept");

    message::expire(&mut write, sandbox, later).await.unwrap();
    let all = message::list(&mut write, sandbox, 0, 9).await.unwrap();
    let ends: Vec<_> = all.iter().map(|one| (one.status, one.ended_at)).collect();
    assert_eq!(
        ends,
        [
            (MessageStatus::Cancelled, Some(later)),
            (MessageStatus::Expired, Some(later)),
            (MessageStatus::Settled, None),
        ],
        "each has come to its end with the run"
    );
    assert_eq!(all[2].settled_at, Some(later), "its turn is over with the run");

    sandbox::request_pause(&mut write, sandbox).await.unwrap();
    assert!(sandbox::find(&mut write, sandbox).await.unwrap().unwrap().pause_requested);
    sandbox::end(&mut write, sandbox, Outcome::Lost, None, now()).await.unwrap();
    assert_eq!(sandbox::next_message(&mut write, sandbox).await.unwrap(), None);
    write.commit().await.unwrap();
}

async fn a_document_keeps_its_newest_text(store: &Store) {
    let spec = new_spec(store).await.id;
    let mut write = store.write().await.unwrap();
    let mut artifact = ArtifactCreated {
        name: "design.md".into(),
        media_type: "text/markdown".into(),
        path: "/x".into(),
        sha256: "0".into(),
        bytes: 3,
        content: "old".into(),
    };
    document::save(&mut write, spec, Phase::Design, &artifact, now()).await.unwrap();
    artifact.content = "new".into();
    document::save(&mut write, spec, Phase::Design, &artifact, now()).await.unwrap();
    let all = document::list(&mut write, spec).await.unwrap();
    assert_eq!((all.len(), all[0].content.as_deref()), (1, None));
    let one = document::find(&mut write, spec, "design.md").await.unwrap().unwrap();
    assert_eq!(one.content.as_deref(), Some("new"));
    document::forget(&mut write, spec, Phase::Design).await.unwrap();
    assert_eq!(document::list(&mut write, spec).await.unwrap(), []);
}

async fn a_sandbox_keeps_its_newest_transcript(store: &Store) {
    let spec = new_spec(store).await.id;
    let sandbox = add_sandbox(store, spec).await.unwrap();
    let mut write = store.write().await.unwrap();
    assert_eq!(transcript::find(&mut write, sandbox).await.unwrap(), None);
    let newer = Uuid::from_u128(2);
    for (session, body) in [(Uuid::from_u128(1), vec![0, 1]), (newer, vec![0xff, 0])] {
        transcript::save(&mut write, sandbox, session, body, now()).await.unwrap();
    }
    let found = transcript::find(&mut write, sandbox).await.unwrap();
    assert_eq!(found, Some((spec, newer, vec![0xff, 0])));
}

async fn a_run_is_taken_in_and_its_tickets_are_made_once(store: &Store) {
    let spec = new_spec(store).await.id;
    let sandbox = add_sandbox(store, spec).await.unwrap();
    let mut write = store.write().await.unwrap();
    let mut executing = spec::lock(&mut write, spec).await.unwrap().unwrap();
    executing.status = SpecStatus::Executing;
    spec::save(&mut write, &executing).await.unwrap();
    sandbox::set_generation(&mut write, sandbox, 1, Uuid::nil(), now()).await.unwrap();
    write.commit().await.unwrap();

    let mut events = Vec::new();
    for (seq, phase) in (1..).zip(Phase::ALL) {
        let document = documents::of(phase);
        let data = json!({
            "attempt": 1, "score": 1.0, "duration_ms": 1, "cost_usd": 0.0,
            "output": document.as_ref().map(specwright_shared::documents::Document::to_value),
            "digest": document.as_ref().map(specwright_shared::documents::Document::digest),
            "findings": [],
        });
        events.push(numbered(seq, "spec.phase_completed", Some(phase), data));
    }
    events.push(numbered(7, "a.newer_one", None, json!({ "nul": "a\u{0}b", "n\u{0}": [1.5] })));
    let end = json!({ "phases_completed": [], "cost_usd": 0.0, "duration_ms": 1 });
    events.push(numbered(8, "spec.execution_completed", None, end));
    let batch = Batch { generation: 1, events };
    for _ in 0..2 {
        let (intake, knows_nothing) = taking_in(store);
        let taken = intake.take(None, &knows_nothing, sandbox, batch.clone(), now(), LEASE);
        let taken = taken.await.unwrap();
        assert_eq!((taken.ack, taken.spec), (Ack { acked: 8, ended: true }, spec));
    }

    let mut session = store.read().await.unwrap();
    let read = spec::find(&mut session, spec).await.unwrap().unwrap();
    assert_eq!((read.status, read.events), (SpecStatus::Completed, 9));
    let all = super::event::all(&mut session, Log::Spec(spec)).await;
    assert_eq!(all.len(), 9);
    let newer = all.iter().find(|one| one.event.kind == "a.newer_one").unwrap();
    assert_eq!(newer.event.data, json!({ "nul": "a\u{FFFD}b", "n\u{FFFD}": [1.5] }));
    assert_eq!(newer.event.id, batch.events[6].id);
    assert_eq!(newer.event.at, batch.events[6].at);
    let tickets = ticket::of_spec(&mut session, Sight::default(), spec).await.unwrap();
    assert_eq!(tickets.len(), 2);
    assert_eq!(tickets[1].depends_on, [tickets[0].id]);
    assert_eq!(tickets[1].tasks[0].depends_on, [tickets[0].tasks[0].id]);
    assert_eq!(ticket::of_spec(&mut session, NO_SIGHT, spec).await.unwrap(), []);
    for belongs in [
        Belonging::Ticket(tickets[1].id),
        Belonging::Task(tickets[1].tasks[0].id),
        Belonging::Sandbox(sandbox),
        Belonging::Spec(spec),
    ] {
        let found = project::of(&mut session, belongs).await.unwrap();
        assert_eq!(found, Some(read.project_id), "{belongs:?}");
    }
    let (ticket, task) = (&tickets[1], &tickets[1].tasks[0]);
    for (sight, sees) in [(Sight::default(), true), (NO_SIGHT, false)] {
        let one = ticket::find(&mut session, sight, ticket.id).await.unwrap();
        assert_eq!(one.as_ref(), Some(ticket).filter(|_| sees));
        let one = task::find(&mut session, sight, task.id).await.unwrap();
        assert_eq!(one.as_ref(), Some(task).filter(|_| sees));
    }
    let tasks = task::of_spec(&mut session, Sight::default(), spec).await.unwrap();
    assert_eq!(tasks, tickets.into_iter().flat_map(|ticket| ticket.tasks).collect::<Vec<_>>());
    assert_eq!(task::of_spec(&mut session, NO_SIGHT, spec).await.unwrap(), []);
    let phases = phase::list(&mut session, spec).await.unwrap();
    assert_eq!(phases.iter().map(|one| one.phase).collect::<Vec<_>>(), Phase::ALL);
    assert!(phases.iter().all(|one| one.status == PhaseStatus::Accepted), "{phases:?}");
    drop(session);
    let mut write = store.write().await.unwrap();
    let again = PhaseRecord { status: PhaseStatus::Failed, attempts: 3, ..phases[0].clone() };
    phase::save(&mut write, spec, &again).await.unwrap();
    let saved = phase::list(&mut write, spec).await.unwrap();
    assert_eq!((saved.len(), saved[0].status, saved[0].attempts), (6, PhaseStatus::Failed, 3));
}
