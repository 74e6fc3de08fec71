//! Whether it is alive, and whether it is of use.

use serde_json::json;

use crate::store::Store;
use crate::store::postgres_server::PostgresServer;
use crate::testing::Running;

/// A step that no program knows yet, as a program of tomorrow leaves it behind.
const OF_TOMORROW: &str = "
    INSERT INTO _sqlx_migrations (
        version, description, installed_on, success, checksum, execution_time
    )
    SELECT 9999, 'of tomorrow', installed_on, success, checksum, execution_time
    FROM _sqlx_migrations
    WHERE version = 1";

async fn change(store: &Store, sql: &'static str) {
    let mut write = store.write().await.unwrap();
    assert_eq!(write.query(sql).execute().await.unwrap(), 1, "{sql}");
    write.commit().await.unwrap();
}

async fn follows_its_schema(api: Running) {
    let (status, body) = api.request("GET", "/readyz", "", None::<&()>).await;
    assert_eq!((status, body), (200, json!({ "status": "ready" })));
    let store = Store::open(&api.config.database_url).await.unwrap();

    change(&store, "UPDATE _sqlx_migrations SET success = FALSE WHERE version = 16").await;
    let (status, body) = api.request("GET", "/readyz", "", None::<&()>).await;
    assert_eq!((status, &body["type"]), (503, &json!("unavailable")), "{body}");
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains("behind") && detail.contains("step 16"), "{detail}");
    assert_eq!(api.request("GET", "/healthz", "", None::<&()>).await.0, 200, "alive all the same");

    change(&store, "UPDATE _sqlx_migrations SET success = TRUE WHERE version = 16").await;
    change(&store, OF_TOMORROW).await;
    let (status, body) = api.request("GET", "/readyz", "", None::<&()>).await;
    assert_eq!((status, &body["status"]), (200, &json!("ready")), "{body}");
    let note = body["note"].as_str().unwrap();
    assert!(note.contains("ahead") && note.contains("step 9999"), "{note}");
    store.close().await;
    api.end().await;
}

#[tokio::test]
async fn on_a_file_it_is_ready_when_the_schema_has_all_that_it_needs() {
    follows_its_schema(Running::with_waiting_worker().await).await;
}

#[tokio::test]
async fn on_a_server_it_is_ready_when_the_schema_has_all_that_it_needs() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    follows_its_schema(Running::on(server.address()).await).await;
}

#[tokio::test]
async fn without_its_database_it_is_alive_and_not_ready() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let api = Running::on(server.address()).await;
    assert_eq!(api.request("GET", "/readyz", "", None::<&()>).await.0, 200);
    server.stop();
    let (status, body) = api.request("GET", "/readyz", "", None::<&()>).await;
    assert_eq!((status, &body["type"]), (503, &json!("unavailable")), "{body}");
    assert_eq!(api.request("GET", "/healthz", "", None::<&()>).await.0, 200);
    server.start_again();
    crate::testing::until("it is ready again", async || {
        (api.request("GET", "/readyz", "", None::<&()>).await.0 == 200).then_some(())
    })
    .await;
    api.end().await;
}
