//! The schema: made once by whoever comes first, not touched by a program that is older, and of use
//! to the program before it.

use chrono::{DateTime, Utc};
use serde_json::json;
use specwright_shared::id::{MessageId, SandboxId, SpecId};
use specwright_shared::outcome::Outcome;
use specwright_shared::wire::credential::CredentialKind;
use specwright_shared::wire::spec::RunOptions;
use sqlx::types::Json;
use uuid::Uuid;

use super::{event, new_spec, now};
use crate::store::credential::{self, Holder};
use crate::store::event::log::Log;
use crate::store::schema::Standing;
use crate::store::{Store, StoreError, message, sandbox, spec};

/// On a database that nobody has opened yet.
pub(super) async fn of_three_who_start_at_once_one_makes_the_schema(address: &str) {
    let (one, two, three) =
        tokio::join!(Store::open(address), Store::open(address), Store::open(address));
    for store in [one, two, three] {
        let store = store.unwrap();
        store.answers().await.unwrap();
        store.close().await;
    }
}

pub(super) async fn an_older_program_refuses_a_newer_schema(address: &str) {
    let step = "INSERT INTO _sqlx_migrations (
                    version, description, installed_on, success, checksum, execution_time
                )
                SELECT 9999, 'of tomorrow', installed_on, success, checksum, execution_time
                FROM _sqlx_migrations
                WHERE version = 1";
    let changed = async |sql: &'static str| {
        let store = Store::open(address).await?;
        let mut write = store.write().await?;
        write.query(sql).execute().await?;
        write.commit().await?;
        Ok::<_, StoreError>(store)
    };
    let before = Store::open(address).await.unwrap();
    assert_eq!(before.standing().await.unwrap(), Standing::Equal);
    before.close().await;
    let running = changed(step).await.unwrap();
    assert_eq!(running.standing().await.unwrap(), Standing::Ahead(9999));
    let refused = Store::open(address).await.unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema(9999)), "{refused:?}");
    assert!(refused.to_string().contains("step 9999"), "{refused}");
    // Who was there before goes on: replicas change one by one.
    running.answers().await.unwrap();
    let mut write = running.write().await.unwrap();
    let back = write.query("DELETE FROM _sqlx_migrations WHERE version = 9999");
    assert_eq!(back.execute().await.unwrap(), 1);
    write.commit().await.unwrap();
    running.close().await;
}

/// The recipe of expand and contract, by an example: the order of all events came with columns that
/// this text, of the version before, does not name.
pub(super) async fn a_text_of_the_version_before_runs_on_the_expanded_schema(store: &Store) {
    let id = new_spec(store).await.id;
    let mut write = store.write().await.unwrap();
    let mut row = spec::lock(&mut write, id).await.unwrap().unwrap();
    row.events = 1;
    spec::save(&mut write, &row).await.unwrap();
    write
        .query(
            "INSERT INTO events (
                 spec_id, position, sandbox_id, seq, id, kind, phase, at, received_at, data
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(id.0)
        .bind(1_i64)
        .bind(None::<Uuid>)
        .bind(None::<i64>)
        .bind(Uuid::now_v7())
        .bind("spec.progress")
        .bind(None::<String>)
        .bind(now().as_utc())
        .bind(now().as_utc())
        .bind(Json(json!({ "message": "old" })))
        .execute()
        .await
        .unwrap();
    write.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    let read = event::all(&mut session, Log::Spec(id)).await;
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].event.trace_id, None, "it belongs to no trace");
    drop(session);
    a_run_as_it_was_asked_for_before_traces(store, id).await;
    a_credential_as_it_was_set_before_it_was_confirmed(store).await;
}

/// The texts of the version before traces: replicas of both serve one database while they change.
async fn a_run_as_it_was_asked_for_before_traces(store: &Store, spec: SpecId) {
    let (sandbox, message) = (SandboxId(Uuid::now_v7()), MessageId(Uuid::now_v7()));
    let mut write = store.write().await.unwrap();
    write
        .query(
            "INSERT INTO sandboxes (
                 id, spec_id, state, provider, token_hash, generation, acked_seq, messages,
                 cost_micro_usd, lease_expires_at, agent, options, created_at
             )
             VALUES ($1, $2, 'requested', $3, $4, 0, 0, 0, 0, $5, $6, $7, $8)",
        )
        .bind(sandbox.0)
        .bind(spec.0)
        .bind("local")
        .bind(crate::auth::hash(&sandbox.to_string()).to_vec())
        .bind(now().as_utc())
        .bind("rehearsal")
        .bind(Json(RunOptions::default()))
        .bind(now().as_utc())
        .execute()
        .await
        .unwrap();
    write
        .query(
            "INSERT INTO messages (
                 id, sandbox_id, position, kind, text, deliver, status, sender, phase, expires_at,
                 cancel_queued, created_at
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(message.0)
        .bind(sandbox.0)
        .bind(1_i64)
        .bind("user_message")
        .bind("old")
        .bind("next")
        .bind("queued")
        .bind(Some("owner".to_owned()))
        .bind(None::<String>)
        .bind(None::<DateTime<Utc>>)
        .bind(false)
        .bind(now().as_utc())
        .execute()
        .await
        .unwrap();
    write.commit().await.unwrap();
    let mut write = store.write().await.unwrap();
    let read = sandbox::find(&mut write, sandbox).await.unwrap().unwrap();
    assert_eq!((read.spec_id, read.traceparent), (spec, None));
    let read = message::list(&mut write, sandbox, 0, 9).await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].id, &*read[0].text, read[0].traceparent), (message, "old", None));
    // What stays behind is of no use to anyone.
    message::expire(&mut write, sandbox, now()).await.unwrap();
    assert!(sandbox::end(&mut write, sandbox, Outcome::Lost, None, now()).await.unwrap());
    write.commit().await.unwrap();
}

/// The text of the version before services were asked.
async fn a_credential_as_it_was_set_before_it_was_confirmed(store: &Store) {
    let project = new_spec(store).await.project_id;
    let holder = Holder::Project(project);
    let id = Uuid::now_v7();
    let mut write = store.write().await.unwrap();
    credential::remove(&mut write, holder, CredentialKind::ModelOauthToken).await.unwrap();
    write
        .query(
            "INSERT INTO credentials (
                 id, project_id, user_id, kind, sealed, key_id, last_four, set_by, set_at
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(id)
        .bind(Some(project.0))
        .bind(None::<Uuid>)
        .bind("model_oauth_token")
        .bind(vec![1_u8, 0, 0xff])
        .bind("old")
        .bind("cdef")
        .bind("owner")
        .bind(now().as_utc())
        .execute()
        .await
        .unwrap();
    write.commit().await.unwrap();
    let mut session = store.read().await.unwrap();
    let read = credential::list(&mut session, holder).await.unwrap();
    let read = read.iter().find(|one| one.id == id).unwrap();
    assert_eq!((&read.sealed[..], read.confirmed_at), (&[1, 0, 0xff][..], None));
}
