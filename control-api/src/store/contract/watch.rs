//! Duties, presence, verdicts, holds, caps; and the table of a sandbox's states, as the store keeps it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use specwright_shared::id::SandboxId;
use specwright_shared::liveness::policy::Action;
use specwright_shared::liveness::{Verdict, VerdictKind};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{SandboxState, SpecStatus};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::sandbox::Heartbeat;
use specwright_shared::wire::watch::Hold;
use uuid::Uuid;

use super::{add_sandbox, new_spec, now};
use crate::store::duty::{self, Claimant, Done, Which};
use crate::store::engine::Engine;
use crate::store::liveness::fleet;
use crate::store::{Session, Store, liveness, presence, sandbox, spec, start};

pub(super) async fn what_is_kept_of_watching(store: &Store) {
    a_duty_is_one_replicas_at_a_time(store).await;
    being_there_has_no_gap_or_begins_anew(store).await;
    verdicts_are_kept_with_their_steps(store).await;
    calm_verdicts_are_noted_together_and_nobody_is_waited_for(store).await;
    a_place_is_made_by_one(store).await;
    what_is_used_counts_from_the_last_reset(store).await;
    a_sandbox_changes_as_its_table_says_and_only_so(store).await;
    what_a_lost_place_left_is_delivered_by_one_under_a_new_token(store).await;
}

fn after(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

async fn claim(store: &Store, replica: Uuid, known_gone: Option<Uuid>, at: u64) -> bool {
    let mut write = store.write().await.unwrap();
    let place = json!({ "pid": 7 });
    let claimant = Claimant { replica, place: &place };
    let lease = after(at + 60);
    let ours = duty::claim(&mut write, WHICH, claimant, known_gone, after(at), lease).await;
    write.commit().await.unwrap();
    ours.unwrap()
}

const WHICH: Which<'_> = Which { name: "liveness", place: "" };

async fn a_duty_is_one_replicas_at_a_time(store: &Store) {
    let [one, two, three] = [(); 3].map(|()| Uuid::now_v7());
    let (first, second) = tokio::join!(claim(store, one, None, 0), claim(store, two, None, 0));
    assert!(first ^ second, "of two at once one gets it: {first} {second}");
    let (holder, other) = if first { (one, two) } else { (two, one) };
    assert!(claim(store, holder, None, 10).await, "it is kept");
    assert!(!claim(store, other, None, 20).await);
    assert!(!claim(store, other, Some(three), 20).await, "another one is gone, not the holder");
    // On another machine it is another duty.
    let there = Which { place: "there", ..WHICH };
    let mut write = store.write().await.unwrap();
    let place = Value::Null;
    let claimant = Claimant { replica: other, place: &place };
    assert!(duty::claim(&mut write, there, claimant, None, after(20), after(80)).await.unwrap());

    let done = Done { rounds: 3, did: 2, failures: 1, took_ms: 9, failed: Some("why".into()) };
    assert!(duty::note(&mut write, WHICH, holder, &done, after(30), after(90)).await.unwrap());
    assert!(!duty::note(&mut write, WHICH, other, &done, after(30), after(90)).await.unwrap());
    let nothing = Done { rounds: 4, ..Done::default() };
    assert!(duty::note(&mut write, WHICH, holder, &nothing, after(40), after(100)).await.unwrap());
    write.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    let found = duty::holder(&mut session, WHICH).await.unwrap().unwrap();
    assert_eq!((found.replica, found.lease_until), (holder, after(100)));
    assert_eq!(found.place, Some(json!({ "pid": 7 })));
    let all = duty::list(&mut session).await.unwrap();
    let shown = all.iter().find(|duty| duty.machine.is_none()).unwrap();
    assert_eq!((shown.did, shown.did_total, shown.rounds_total), (2, 2, 7));
    assert_eq!((shown.failures_total, &shown.failed), (1, &None));
    assert_eq!((shown.last_run_at, shown.holder), (Some(after(40)), Some(holder)));
    drop(session);

    assert!(!claim(store, other, None, 99).await, "the note kept it");
    assert!(claim(store, other, Some(holder), 99).await, "its holder is seen to be gone");
    assert!(claim(store, three, None, 99 + 60).await, "the lease has ended");
    let mut write = store.write().await.unwrap();
    duty::give_back(&mut write, WHICH, other).await.unwrap();
    assert!(duty::holder(&mut write, WHICH).await.unwrap().is_some(), "it was not theirs");
    duty::give_back(&mut write, WHICH, three).await.unwrap();
    assert_eq!(duty::holder(&mut write, WHICH).await.unwrap(), None);
    write.commit().await.unwrap();
    assert!(claim(store, one, None, 160).await, "who gives back leaves no lease behind");
}

async fn being_there_has_no_gap_or_begins_anew(store: &Store) {
    let beat = async |second: u64| {
        let mut write = store.write().await.unwrap();
        let since = presence::beat(&mut write, after(second), Duration::from_secs(20)).await;
        write.commit().await.unwrap();
        since.unwrap()
    };
    assert_eq!(beat(0).await, after(0));
    assert_eq!(beat(20).await, after(0), "whichever replica says it");
    assert_eq!(beat(15).await, after(0), "clocks differ a little");
    assert_eq!(beat(3600).await, after(3600), "nobody was there for an hour");
    assert_eq!(beat(3605).await, after(3600));
    assert_eq!(beat(60).await, after(60), "the clock was set back");
    let mut write = store.write().await.unwrap();
    let name = presence::deployment(&mut write, now()).await.unwrap();
    assert_eq!(presence::deployment(&mut write, now()).await.unwrap(), name, "it is kept");
}

fn verdict(kind: VerdictKind) -> Verdict {
    let verdict = json!({
        "kind": kind, "reason": "r", "evidence": [{ "signal": "event", "age_ms": 5, "limit_ms": 9 }],
    });
    serde_json::from_value(verdict).unwrap()
}

/// How a sandbox is seen by duties, some at a time.
async fn standing_of(session: &mut Session, id: SandboxId) -> Option<fleet::Standing> {
    let (mut all, mut behind) = (Vec::new(), None);
    loop {
        let some = fleet::standings(session, behind, 3).await.unwrap();
        let Some(last) = some.last() else { break };
        behind = Some(last.spec);
        all.extend(some);
    }
    let ids: BTreeSet<_> = all.iter().map(|standing| standing.id).collect();
    assert_eq!(ids.len(), all.len(), "each is seen once");
    all.into_iter().find(|standing| standing.id == id)
}

async fn calm_verdicts_are_noted_together_and_nobody_is_waited_for(store: &Store) {
    let mut some = Vec::new();
    for _ in 0..4 {
        some.push(add_sandbox(store, new_spec(store).await.id).await.unwrap());
    }
    let mut write = store.write().await.unwrap();
    sandbox::end(&mut write, some[0], Outcome::Lost, None, now()).await.unwrap();
    // Of the second one an alarm goes on.
    let stuck = verdict(VerdictKind::Stuck);
    let since = Some(after(1));
    liveness::judged(&mut write, some[1], &stuck, None, since, after(1)).await.unwrap();
    write.commit().await.unwrap();
    let calm: Vec<_> = some.iter().map(|id| (*id, verdict(VerdictKind::Working))).collect();
    let note = async |at| {
        let mut write = match store.write_at_once().await.unwrap() {
            Some(at_once) => at_once,
            None => store.write().await.unwrap(),
        };
        let mut noted = fleet::note(&mut write, &calm, at).await.unwrap();
        write.commit().await.unwrap();
        noted.sort();
        noted
    };
    let expected = |from: usize| {
        let mut of: Vec<_> = some[from..].to_vec();
        of.sort();
        of
    };
    if matches!(store.engine, Engine::Postgres(_)) {
        let mut write = store.write().await.unwrap();
        sandbox::lock(&mut write, some[2]).await.unwrap();
        assert_eq!(note(after(2)).await, expected(3), "who is locked is left out");
        write.commit().await.unwrap();
    } else {
        assert_eq!(note(after(2)).await, expected(2));
    }
    assert_eq!(note(after(3)).await, expected(2), "no alarm is ended, who has ended is not judged");
    let mut session = store.read().await.unwrap();
    let watched = liveness::find(&mut session, some[1]).await.unwrap().unwrap();
    assert_eq!((watched.verdict, watched.alarm_since), (Some(VerdictKind::Stuck), since));
    for id in &some[2..] {
        let newest = liveness::history(&mut session, *id, 1).await.unwrap();
        assert_eq!((newest[0].at, newest[0].verdict.kind), (after(3), VerdictKind::Working));
        let watched = liveness::find(&mut session, *id).await.unwrap().unwrap();
        assert_eq!((watched.verdict, watched.alarm_since), (Some(VerdictKind::Working), None));
    }
    assert!(liveness::history(&mut session, some[0], 9).await.unwrap().is_empty());
    drop(session);
    for second in 0..u64::try_from(liveness::KEPT).unwrap() + 5 {
        assert_eq!(note(after(10 + second)).await.len(), 2);
    }
    let mut session = store.read().await.unwrap();
    let all = liveness::history(&mut session, some[2], 9_999).await.unwrap();
    assert_eq!(all.len() as i64, liveness::KEPT, "the oldest are given up");
}

async fn verdicts_are_kept_with_their_steps(store: &Store) {
    let spec = new_spec(store).await.id;
    let id = add_sandbox(store, spec).await.unwrap();
    let mut write = store.write().await.unwrap();
    let (working, stuck) = (verdict(VerdictKind::Working), verdict(VerdictKind::Stuck));
    liveness::judged(&mut write, id, &working, None, None, after(0)).await.unwrap();
    let nudge = Some(Action::Nudge);
    liveness::judged(&mut write, id, &stuck, nudge, Some(after(1)), after(1)).await.unwrap();
    let bound = u64::try_from(liveness::KEPT).unwrap();
    for second in 0..bound + 5 {
        let at = after(10 + second);
        liveness::judged(&mut write, id, &stuck, None, Some(after(1)), at).await.unwrap();
    }
    let steps = liveness::steps(&mut write, id).await.unwrap();
    assert_eq!(steps, [(after(1), Action::Nudge)], "a step is never forgotten");
    let newest = liveness::history(&mut write, id, 2).await.unwrap();
    assert_eq!((newest.len(), &newest[0].verdict, newest[0].action), (2, &stuck, None));
    assert_eq!(newest[0].at, after(10 + bound + 4));
    let all = liveness::history(&mut write, id, 9999).await.unwrap();
    assert_eq!(all.len() as u64, bound + 1, "the oldest are given up");

    let hold = Hold { until: after(9), reason: "why".into(), by: "me".into() };
    assert!(liveness::hold(&mut write, id, Some(&hold)).await.unwrap());
    let watched = liveness::find(&mut write, id).await.unwrap().unwrap();
    assert_eq!((watched.verdict, watched.hold), (Some(VerdictKind::Stuck), Some(hold.clone())));
    assert_eq!(watched.alarm_since, Some(after(1)));
    let standing = standing_of(&mut write, id).await.unwrap();
    assert_eq!(standing.verdict, Some(VerdictKind::Stuck));
    let project = spec::find(&mut write, spec).await.unwrap().unwrap().project_id;
    assert_eq!(standing.project, project);
    assert!(liveness::hold(&mut write, id, None).await.unwrap());

    // The first word about an end stays, whoever said it.
    let timed_out = Outcome::TimedOut;
    assert!(liveness::intend_end(&mut write, id, timed_out, "stuck").await.unwrap());
    assert!(liveness::intend_end(&mut write, id, Outcome::Lost, "lost").await.unwrap());
    let watched = liveness::find(&mut write, id).await.unwrap().unwrap();
    assert_eq!((watched.hold, watched.stop_outcome), (None, Some(timed_out)));
    let row = sandbox::find(&mut write, id).await.unwrap().unwrap();
    assert_eq!(row.stop_reason.as_deref(), Some("stuck"));
    sandbox::end(&mut write, id, Outcome::Lost, None, now()).await.unwrap();
    assert!(!liveness::hold(&mut write, id, Some(&hold)).await.unwrap(), "it has ended");
    assert!(!liveness::intend_end(&mut write, id, timed_out, "x").await.unwrap());
    assert!(standing_of(&mut write, id).await.is_none());
    write.commit().await.unwrap();

    let spec = new_spec(store).await;
    let id = add_sandbox(store, spec.id).await.unwrap();
    let mut write = store.write().await.unwrap();
    sandbox::request_stop(&mut write, id, "a person").await.unwrap();
    liveness::intend_end(&mut write, id, timed_out, "stuck").await.unwrap();
    let watched = liveness::find(&mut write, id).await.unwrap().unwrap();
    assert_eq!(watched.stop_outcome, None, "a person was first");

    assert_eq!(liveness::settings(&mut write, spec.project_id).await.unwrap(), None);
    for settings in [json!({ "idle_s": 1 }), json!({ "stuck_s": 2 })] {
        liveness::set_settings(&mut write, spec.project_id, &settings).await.unwrap();
        let found = liveness::settings(&mut write, spec.project_id).await.unwrap();
        assert_eq!(found, Some(settings));
    }
    write.commit().await.unwrap();
}

async fn a_place_is_made_by_one(store: &Store) {
    let spec = new_spec(store).await.id;
    let id = add_sandbox(store, spec).await.unwrap();
    let take = async |at: u64| {
        let mut write = store.write().await.unwrap();
        let hash = crate::auth::hash(&format!("token {at}"));
        let silent = Timestamp::from_micros(after(at).as_micros() - 60_000_000);
        let until = (after(at + 60), after(at + 90));
        let took = start::take_start(&mut write, id, hash, after(at), silent, until).await;
        let due = start::unstarted(&mut write, after(at), silent).await.unwrap();
        write.commit().await.unwrap();
        (took.unwrap(), due.contains(&id))
    };
    assert_eq!(take(59).await, (false, false), "who asked for it is still at it");
    assert_eq!(take(60).await, (true, false));
    assert_eq!(take(119).await, (false, false), "somebody is at it");
    assert_eq!(take(120).await, (true, false), "and died in it");
    let mut write = store.write().await.unwrap();
    let hash = |at: u64| crate::auth::hash(&format!("token {at}"));
    assert_eq!(
        sandbox::token::by_token(&mut write, &hash(60), now()).await.unwrap(),
        None,
        "a token of no use"
    );
    assert_eq!(sandbox::token::by_token(&mut write, &hash(120), now()).await.unwrap(), Some(id));
    sandbox::set_place(&mut write, id, json!({})).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(take(999).await, (false, false), "it has a place");

    let mut write = store.write().await.unwrap();
    sandbox::end(&mut write, id, Outcome::Lost, None, now()).await.unwrap();
    write.commit().await.unwrap();
    let again = add_sandbox(store, spec).await.unwrap();
    let mut write = store.write().await.unwrap();
    start::set_restart(&mut write, again, 2, after(5)).await.unwrap();
    let due = start::unstarted(&mut write, after(5), after(0)).await.unwrap();
    assert!(due.contains(&again), "a restart is due at once");
    assert_eq!(liveness::find(&mut write, again).await.unwrap().unwrap().restart, 2);
    let mut executing = spec::lock(&mut write, spec).await.unwrap().unwrap();
    executing.status = SpecStatus::Executing;
    spec::save(&mut write, &executing).await.unwrap();
    assert!(!start::without_sandbox(&mut write).await.unwrap().contains(&spec));
    sandbox::end(&mut write, again, Outcome::Lost, None, now()).await.unwrap();
    assert!(start::without_sandbox(&mut write).await.unwrap().contains(&spec));
}

async fn what_is_used_counts_from_the_last_reset(store: &Store) {
    let spec = new_spec(store).await.id;
    add_sandbox(store, spec).await.unwrap();
    let mut write = store.write().await.unwrap();
    let mut row = spec::lock(&mut write, spec).await.unwrap().unwrap();
    row.cost_micro_usd = 5_000_000;
    spec::save(&mut write, &row).await.unwrap();
    let before = Timestamp::from_micros(now().as_micros() - 1);
    let counted = start::counted(&mut write, spec, before).await.unwrap();
    assert_eq!((counted.starts, counted.cost_micro_usd), (1, 5_000_000));
    let counted = start::counted(&mut write, spec, now()).await.unwrap();
    assert_eq!(counted.starts, 0, "the window has passed");
    start::reset_counts(&mut write, spec, now()).await.unwrap();
    row.cost_micro_usd += 7;
    spec::save(&mut write, &row).await.unwrap();
    let counted = start::counted(&mut write, spec, before).await.unwrap();
    assert_eq!((counted.starts, counted.cost_micro_usd), (0, 7));
    write.commit().await.unwrap();
}

/// Every state of a sandbox against every change that the store knows.
async fn a_sandbox_changes_as_its_table_says_and_only_so(store: &Store) {
    let states = [SandboxState::Requested, SandboxState::Active, SandboxState::Ended];
    for from in states {
        for to in [SandboxState::Active, SandboxState::Ended] {
            let id = sandbox_in(store, from).await;
            let mut write = store.write().await.unwrap();
            let changed = match to {
                SandboxState::Active => {
                    sandbox::set_generation(&mut write, id, 2, Uuid::now_v7(), now()).await
                }
                _ => sandbox::end(&mut write, id, Outcome::Lost, None, now()).await,
            };
            // Who delivers what an ended sandbox left has a generation, too; the sandbox stays ended.
            let delivers = from == SandboxState::Ended && to == SandboxState::Active;
            assert_eq!(changed.unwrap(), from.can_become(to) || delivers, "{from:?} → {to:?}");
            let found = sandbox::find(&mut write, id).await.unwrap().unwrap();
            assert_eq!(found.state, if from.can_become(to) { to } else { from });
        }
        let id = sandbox_in(store, from).await;
        let mut write = store.write().await.unwrap();
        let of = |generation| Heartbeat {
            generation,
            phase: None,
            attempt: None,
            operation: None,
            agent_alive: true,
            spool_depth: 0,
            signals: None,
        };
        let heard = async |write: &mut _, generation| {
            sandbox::set_heartbeat(write, id, &of(generation), now(), now())
                .await
                .unwrap()
                .is_some()
        };
        assert_eq!(heard(&mut write, 1).await, from == SandboxState::Active, "{from:?}");
        assert!(!heard(&mut write, 0).await, "fenced off");
        let boot = Uuid::now_v7();
        let older = sandbox::set_generation(&mut write, id, 0, boot, now()).await.unwrap();
        assert_eq!(older, from == SandboxState::Requested, "a generation never goes back");
    }
}

async fn what_a_lost_place_left_is_delivered_by_one_under_a_new_token(store: &Store) {
    let id = sandbox_in(store, SandboxState::Active).await;
    let mut write = store.write().await.unwrap();
    for (number, token) in [(1, [41; 32]), (2, [42; 32])] {
        let claim = sandbox::salvage::Claim { by: json!({ "pid": number }), until: after(60) };
        sandbox::salvage::claim(&mut write, id, &claim, &token).await.unwrap();
        let found = sandbox::find(&mut write, id).await.unwrap().unwrap();
        assert_eq!(found.salvages, number);
        let kept = found.salvage_claim.unwrap();
        assert_eq!((kept.by, kept.until), (claim.by, claim.until));
        assert_eq!(sandbox::token::by_token(&mut write, &token, now()).await.unwrap(), Some(id));
    }
    assert_eq!(
        sandbox::token::by_token(&mut write, &[41; 32], now()).await.unwrap(),
        None,
        "an older token"
    );
    sandbox::salvage::release(&mut write, id).await.unwrap();
    let found = sandbox::find(&mut write, id).await.unwrap().unwrap();
    assert!(found.salvage_claim.is_none());
    assert_eq!(found.salvages, 2, "tries are counted for good");
}

async fn sandbox_in(store: &Store, state: SandboxState) -> SandboxId {
    let spec = new_spec(store).await.id;
    let id = add_sandbox(store, spec).await.unwrap();
    let mut write = store.write().await.unwrap();
    if state != SandboxState::Requested {
        let boot = Uuid::now_v7();
        assert!(sandbox::set_generation(&mut write, id, 1, boot, now()).await.unwrap());
    }
    if state == SandboxState::Ended {
        assert!(sandbox::end(&mut write, id, Outcome::Lost, None, now()).await.unwrap());
    }
    write.commit().await.unwrap();
    id
}
