//! What the store promises, on both engines: a SQLite file, and a real PostgreSQL where this machine
//! has one. Each test says on which engine it ran.

mod access;
mod event;
mod faults;
mod given;
mod guardian;
mod intake;
mod kept;
mod named;
mod old_events;
mod packed_in_order;
mod pages;
pub(super) mod plans;
mod schema;
pub(crate) mod spoil;
mod watch;

use std::time::Duration;

use serde_json::json;
use specwright_shared::id::{ProjectId, SandboxId, SpecId, UserId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::{Phase, SandboxState, SpecStatus};
use specwright_shared::redact::Redactor;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::sandbox::Heartbeat;
use specwright_shared::wire::spec::RunOptions;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::postgres_server::PostgresServer;
use super::project::{Belonging, Sight};
use super::sandbox::NewSandbox;
use super::spec::Spec;
use super::spec::list::{Filter, page as specs};
use super::{Session, Store, Write, gauges, project, sandbox, spec};
use crate::auth::Person;
use crate::ingest::Intake;
use crate::testing::worker::event as numbered;

const LEASE: Duration = Duration::from_secs(60);

/// The sight of a user who belongs to no project.
const NO_SIGHT: Sight = Sight { user: Some(UserId(Uuid::nil())), project: None };

/// One that takes in for a control API which knows no secret.
fn taking_in(store: &Store) -> (Intake, Redactor) {
    (Intake::new(store.clone(), TaskTracker::new()), Redactor::default())
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_795_000_000_123_456)
}

#[tokio::test]
async fn the_contract_holds_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("sqlite://{}", directory.path().join("store.db").display());
    contract(&address).await;
    eprintln!("the store's contract ran on: SQLite");
}

#[tokio::test]
async fn a_file_and_what_stands_beside_it_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    // As an earlier version left it.
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = Store::open(&format!("sqlite://{}", path.display())).await.unwrap();
    projects_are_made_once(&store).await;
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let mode = directory.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_told_with_the_reason_and_without_the_password() {
    for (place, expected) in [
        ("127.0.0.1:1", "127.0.0.1:1: the connection was refused"),
        ("no-such-host.invalid", "no-such-host.invalid:5432: the host is not known"),
    ] {
        let address = format!("postgres://me:pass-word@{place}/db");
        let error = Store::open(&address).await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("pass-word"), "{error}");
    }
}

#[tokio::test]
async fn the_contract_holds_on_postgres_where_there_is_one() {
    if let Some(given) = given::Given::from_environment().await {
        contract(&given.address()).await;
        given.end().await;
        eprintln!("the store's contract ran on: the PostgreSQL that DATABASE_URL names");
        return;
    }
    let Some(server) = PostgresServer::start() else {
        return;
    };
    contract(&server.address()).await;
    faults::a_database_that_comes_late_is_waited_for(&server.address()).await;
    intake::what_is_taken_in_is_found_by_indexes(&server).await;
    faults::a_request_without_a_database_is_told_when_to_come_again(&server).await;
    eprintln!("the store's contract ran on: PostgreSQL");
}

async fn contract(address: &str) {
    schema::of_three_who_start_at_once_one_makes_the_schema(address).await;
    let store = Store::open(address).await.unwrap();
    projects_are_made_once(&store).await;
    specs_are_listed_newest_first_and_filtered(&store).await;
    what_is_not_committed_never_happened(&store).await;
    a_reader_cannot_write(&store).await;
    access::what_is_kept_of_access(&store).await;
    one_sandbox_of_a_spec_is_active(&store).await;
    kept::what_a_run_leaves(&store).await;
    event::what_is_kept_of_events(&store).await;
    intake::what_is_kept_of_many(&store).await;
    guardian::what_is_kept_of_guardians(&store).await;
    watch::what_is_kept_of_watching(&store).await;
    schema::a_text_of_the_version_before_runs_on_the_expanded_schema(&store).await;
    faults::what_is_done_about_faults(&store).await;
    old_events::what_is_kept_of_old_events(&store).await;
    packed_in_order::what_is_kept_of_the_order_of_packed_events(&store).await;
    pages::what_is_read_in_pages(&store).await;
    plans::no_statement_reads_all_of_a_table_that_grows(&store).await;
    store.close().await;
    schema::an_older_program_refuses_a_newer_schema(address).await;
    // A second opening finds the schema there.
    Store::open(address).await.unwrap().close().await;
}

async fn projects_are_made_once(store: &Store) {
    let mut write = store.write().await.unwrap();
    let id = ProjectId(Uuid::now_v7());
    let (first, made) = project::ensure(&mut write, id, "owner", "p", now()).await.unwrap();
    let other = ProjectId(Uuid::now_v7());
    let (second, again) = project::ensure(&mut write, other, "owner", "p", now()).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!((first.id, made, again), (id, true, false));
    assert_eq!(first, second);
    assert_eq!(first.created_at, now(), "microseconds are kept");
    let mut session = store.read().await.unwrap();
    let all = project::list(&mut session, Sight::default(), None, 9).await.unwrap();
    assert_eq!(all, [first]);
    assert_eq!(project::list(&mut session, NO_SIGHT, None, 9).await.unwrap(), []);
    let found = project::of(&mut session, Belonging::Project(id)).await.unwrap();
    let absent = project::of(&mut session, Belonging::Project(other)).await.unwrap();
    assert_eq!((found, absent), (Some(id), None));
}

async fn new_spec(store: &Store) -> Spec {
    let mut write = store.write().await.unwrap();
    let spec = new_spec_in(&mut write).await;
    write.commit().await.unwrap();
    spec
}

async fn new_spec_in(write: &mut Write) -> Spec {
    let new = serde_json::from_value(json!({ "description": "Idea\nmore" })).unwrap();
    crate::spec_intake::take(write, &Person::owner(), new, now()).await.unwrap()
}

async fn specs_are_listed_newest_first_and_filtered(store: &Store) {
    let (one, two) = (new_spec(store).await, new_spec(store).await);
    let mut write = store.write().await.unwrap();
    let mut changed = spec::lock(&mut write, two.id).await.unwrap().unwrap();
    changed.status = SpecStatus::Failed;
    changed.reason = Some(Outcome::Lost);
    changed.cost_micro_usd = 1_500_000;
    spec::save(&mut write, &changed).await.unwrap();
    write.commit().await.unwrap();

    let mut session = store.read().await.unwrap();
    let ids = |specs: Vec<Spec>| specs.into_iter().map(|spec| spec.id).collect::<Vec<SpecId>>();
    let all = specs(&mut session, Sight::default(), &Filter::default(), 9).await.unwrap();
    assert_eq!(ids(all), [two.id, one.id]);
    let filter = Filter { status: Some(SpecStatus::Draft), ..Filter::default() };
    assert_eq!(ids(specs(&mut session, Sight::default(), &filter, 9).await.unwrap()), [one.id]);
    let filter = Filter { after: Some(two.id.0), ..Filter::default() };
    assert_eq!(ids(specs(&mut session, Sight::default(), &filter, 9).await.unwrap()), [one.id]);
    let filter = Filter { project_id: Some(one.project_id), ..Filter::default() };
    assert_eq!(specs(&mut session, Sight::default(), &filter, 1).await.unwrap().len(), 1);
    let read = spec::find(&mut session, two.id).await.unwrap().unwrap();
    assert_eq!((read.reason, read.cost_micro_usd), (Some(Outcome::Lost), 1_500_000));
    assert_eq!((read.title.as_str(), read.description.as_str()), ("Idea", "Idea\nmore"));
}

async fn what_is_not_committed_never_happened(store: &Store) {
    let spec = new_spec(store).await;
    let mut write = store.write().await.unwrap();
    let changed = Spec { status: SpecStatus::Failed, ..spec.clone() };
    spec::save(&mut write, &changed).await.unwrap();
    drop(write);
    let mut session = store.read().await.unwrap();
    let read = spec::find(&mut session, spec.id).await.unwrap().unwrap();
    assert_eq!(read.status, SpecStatus::Draft);
}

async fn a_reader_cannot_write(store: &Store) {
    let mut session = store.read().await.unwrap();
    assert!(session.query("DELETE FROM duties").execute().await.is_err());
}

async fn add_sandbox(store: &Store, spec: SpecId) -> Result<SandboxId, super::StoreError> {
    let id = SandboxId(Uuid::now_v7());
    let mut write = store.write().await?;
    let new = NewSandbox {
        id,
        spec_id: spec,
        provider: "local",
        token_hash: crate::auth::hash(&id.to_string()),
        lease_expires_at: now().plus(LEASE),
        agent: "rehearsal".to_owned(),
        options: RunOptions { until: Some(Phase::Complete), ..RunOptions::default() },
        created_at: now(),
        traceparent: None,
    };
    sandbox::insert(&mut write, &new).await?;
    write.commit().await?;
    Ok(id)
}

async fn one_sandbox_of_a_spec_is_active(store: &Store) {
    let spec = new_spec(store).await.id;
    let first = add_sandbox(store, spec).await.unwrap();
    assert!(add_sandbox(store, spec).await.unwrap_err().is_unique_violation());

    let mut write = store.write().await.unwrap();
    assert!(sandbox::set_place(&mut write, first, json!({ "pid": 7 })).await.unwrap());
    assert!(sandbox::set_generation(&mut write, first, 1, Uuid::nil(), now()).await.unwrap());
    let heartbeat = Heartbeat {
        signals: Some(specwright_shared::liveness::Signals::default()),
        generation: 1,
        phase: Some(Phase::Design),
        attempt: Some(2),
        operation: Some("tool Grep".into()),
        agent_alive: true,
        spool_depth: 3,
    };
    let heard = sandbox::set_heartbeat(&mut write, first, &heartbeat, now(), now()).await.unwrap();
    assert_eq!(heard.unwrap().stop_reason, None);
    let living = gauges::living(&mut write).await.unwrap();
    let shown = living.iter().find(|living| living.id == first).unwrap();
    assert_eq!((shown.spool_depth, shown.cost_micro_usd), (3, 0));
    sandbox::request_stop(&mut write, first, "first").await.unwrap();
    sandbox::request_stop(&mut write, first, "second").await.unwrap();
    assert!(sandbox::end(&mut write, first, Outcome::Lost, Some("m"), now()).await.unwrap());
    assert!(!sandbox::end(&mut write, first, Outcome::Failed, None, now()).await.unwrap());
    assert!(!sandbox::set_place(&mut write, first, json!({})).await.unwrap());
    write.commit().await.unwrap();

    let mut session = store.read().await.unwrap();
    let read = sandbox::find(&mut session, first).await.unwrap().unwrap();
    assert_eq!((read.state, read.outcome), (SandboxState::Ended, Some(Outcome::Lost)));
    assert_eq!((read.heartbeat, read.stop_reason.as_deref()), (Some(heartbeat), Some("first")));
    assert_eq!(read.place, Some(json!({ "pid": 7 })));
    let hash = crate::auth::hash(&first.to_string());
    let ended = read.ended_at.unwrap();
    let before = Timestamp::from_micros(ended.as_micros() - 1);
    assert_eq!(sandbox::token::by_token(&mut session, &hash, before).await.unwrap(), Some(first));
    assert_eq!(sandbox::token::by_token(&mut session, &[0; 32], before).await.unwrap(), None);
    let many = sandbox::token::by_tokens(&mut session, &[hash, [0; 32]], before).await.unwrap();
    assert_eq!(many, [(hash, first)]);
    assert!(sandbox::token::by_tokens(&mut session, &[hash], ended).await.unwrap().is_empty());
    // A token is good for a time after the end of its sandbox, and not for ever.
    assert_eq!(sandbox::token::by_token(&mut session, &hash, ended).await.unwrap(), None);
    drop(session);

    let second = add_sandbox(store, spec).await.unwrap();
    let mut session = store.read().await.unwrap();
    let active = super::liveness::fleet::standings(&mut session, None, 9_999).await.unwrap();
    let mut living: Vec<_> = active.iter().map(|one| one.id).collect();
    let places = sandbox::list::places(&mut session).await.unwrap();
    let mut placed: Vec<_> = places.iter().map(|placed| placed.id).collect();
    living.sort();
    placed.sort();
    assert_eq!(placed, living);
    let read = sandbox::find(&mut session, second).await.unwrap().unwrap();
    let shown = places.into_iter().find(|placed| placed.id == second).unwrap();
    assert_eq!((shown.place, shown.lease_expires_at), (read.place, read.lease_expires_at));
    assert!(active.iter().any(|sandbox| sandbox.id == second));
    assert!(!active.iter().any(|sandbox| sandbox.id == first));
    let living = gauges::living(&mut session).await.unwrap();
    assert!(living.iter().any(|living| living.id == second && living.spool_depth == 0));
    assert!(!living.iter().any(|living| living.id == first));
    let all =
        sandbox::list::page(&mut session, Sight::default(), Some(spec), None, 9).await.unwrap();
    assert_eq!(all.iter().map(|sandbox| sandbox.id).collect::<Vec<_>>(), [second, first]);
    let page = async |session: &mut Session, sight, after| {
        let page = sandbox::list::page(session, sight, None, after, 1).await.unwrap();
        page.into_iter().map(|sandbox| sandbox.id).collect::<Vec<_>>()
    };
    assert_eq!(page(&mut session, Sight::default(), None).await, [second]);
    assert_eq!(page(&mut session, Sight::default(), Some(second.0)).await, [first]);
    assert_eq!(page(&mut session, NO_SIGHT, None).await, []);
    let spec = spec::find(&mut session, spec).await.unwrap().unwrap();
    assert_eq!(spec.sandbox_id, Some(second));
}
