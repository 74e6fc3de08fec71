//! Users. A name is never changed: specs, projects and tickets name their owner by it.

use chrono::{DateTime, Utc};
use specwright_shared::id::UserId;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::access::UserView;
use uuid::Uuid;

use super::{Session, StoreError, Write};

/// The user whose admin token is in a file; there since the schema is.
pub(crate) const OWNER_ID: UserId =
    UserId(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));
/// That user's name.
pub(crate) const OWNER: &str = "owner";

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    created_at: DateTime<Utc>,
    disabled_at: Option<DateTime<Utc>>,
}

impl From<Row> for UserView {
    fn from(row: Row) -> Self {
        Self {
            id: UserId(row.id),
            name: row.name,
            created_at: row.created_at.into(),
            disabled_at: row.disabled_at.map(Into::into),
        }
    }
}

/// Stores a new user; a unique violation when the name is taken.
pub(crate) async fn insert(write: &mut Write, user: &UserView) -> Result<(), StoreError> {
    write
        .query("INSERT INTO users (id, name, created_at) VALUES ($1, $2, $3)")
        .bind(user.id.0)
        .bind(user.name.clone())
        .bind(user.created_at.as_utc())
        .execute()
        .await?;
    Ok(())
}

/// One user.
pub(crate) async fn find(
    session: &mut Session,
    id: UserId,
) -> Result<Option<UserView>, StoreError> {
    let row: Option<Row> =
        session.query("SELECT * FROM users WHERE id = $1").bind(id.0).fetch_optional().await?;
    Ok(row.map(Into::into))
}

/// The user of this name.
pub(crate) async fn named(
    session: &mut Session,
    name: &str,
) -> Result<Option<UserView>, StoreError> {
    let row: Option<Row> = session
        .query("SELECT * FROM users WHERE name = $1")
        .bind(name.to_owned())
        .fetch_optional()
        .await?;
    Ok(row.map(Into::into))
}

/// Locks a user against everyone else who locks it, until the transaction ends. Not by its id: SQLite would
/// look for what refers to it.
pub(crate) async fn lock(write: &mut Write, id: UserId) -> Result<(), StoreError> {
    write
        .query("UPDATE users SET created_at = created_at WHERE id = $1")
        .bind(id.0)
        .execute()
        .await?;
    Ok(())
}

/// Users behind a cursor, oldest first.
pub(crate) async fn list(
    session: &mut Session,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<UserView>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT *
             FROM users
             WHERE $1 IS NULL OR id > $1
             ORDER BY id
             LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all()
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Disables a user (no token of theirs opens anything from then on), or enables one again.
pub(crate) async fn set_disabled(
    write: &mut Write,
    id: UserId,
    since: Option<Timestamp>,
) -> Result<(), StoreError> {
    write
        .query("UPDATE users SET disabled_at = $2 WHERE id = $1")
        .bind(id.0)
        .bind(since.map(Timestamp::as_utc))
        .execute()
        .await?;
    Ok(())
}
