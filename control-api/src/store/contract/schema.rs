//! The schema: made once by whoever comes first, not touched by a program that is older, and of use
//! to the program before it.

use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

use super::{event, new_spec, now};
use crate::store::event::log::Log;
use crate::store::schema::Standing;
use crate::store::{Store, StoreError, spec};

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
    assert_eq!(event::all(&mut session, Log::Spec(id)).await.len(), 1);
}
