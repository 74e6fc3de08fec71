use sqlx::Connection as _;

use super::*;
use crate::store::postgres_server::PostgresServer;

async fn administer(address: &str, statements: &'static [&'static str]) {
    let mut connection = sqlx::PgConnection::connect(address).await.unwrap();
    for statement in statements {
        sqlx::query(*statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_role_that_may_not_ask_for_the_clusters_number_starts_all_the_same() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let address = server.address();
    administer(&address, &["CREATE ROLE plain LOGIN", "CREATE DATABASE plain OWNER plain"]).await;
    let (place, _) = address.rsplit_once('/').unwrap();
    const FORBID: &[&str] = &["REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"];
    administer(&format!("{place}/plain"), FORBID).await;

    let own = format!("{place}/plain").replace("postgres@", "plain@");
    let store = Store::open(&own).await.unwrap();
    settle(&store).await.unwrap();
    let before = epoch(&mut store.read().await.unwrap()).await.unwrap();
    settle(&store).await.unwrap();
    assert_eq!(epoch(&mut store.read().await.unwrap()).await.unwrap(), before, "the same life");
    let mut session = store.read().await.unwrap();
    let (life,): (String,) =
        session.query("SELECT life FROM event_order").fetch_one().await.unwrap();
    assert_eq!(life.split('/').count(), 3, "{life}");
    drop(session);
    store.close().await;
}
