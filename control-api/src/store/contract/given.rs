//! A PostgreSQL that `DATABASE_URL` names, in the place of one that the test starts.
//!
//! What holds: what others have there is not touched: all happens in a schema of its own, which is
//! taken away at the end.

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// A schema on a server that someone gave us.
pub(super) struct Given {
    url: String,
    schema: String,
}

impl Given {
    /// Makes the schema on the server that the environment names, if it does.
    pub(super) async fn from_environment() -> Option<Self> {
        let url = std::env::var("DATABASE_URL").ok().filter(|url| url.starts_with("postgres"))?;
        let schema = format!("specwright_test_{}", Uuid::new_v4().simple());
        let given = Self { url, schema };
        given.run(format!("CREATE SCHEMA {}", given.schema)).await;
        Some(given)
    }

    /// The address of the schema.
    pub(super) fn address(&self) -> String {
        let sign = if self.url.contains('?') { '&' } else { '?' };
        format!("{}{sign}options=-c%20search_path%3D{}", self.url, self.schema)
    }

    /// Takes it away.
    pub(super) async fn end(self) {
        self.run(format!("DROP SCHEMA {} CASCADE", self.schema)).await;
    }

    async fn run(&self, sql: String) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}
