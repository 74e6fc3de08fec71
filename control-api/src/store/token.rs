//! Tokens of users, by the SHA-256 of each. Looked up at every request and never cached: what is
//! revoked, expired or disabled opens nothing from the next request on, on every replica.

use std::time::Duration;

use chrono::{DateTime, Utc};
use specwright_shared::id::{ProjectId, TokenId, UserId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::access::{TokenKind, TokenView};
use uuid::Uuid;

use super::{Session, StoreError, Write, word};

const TABLE: &str = "tokens";

/// How exactly the last use is known: a write per request would cost more than the knowledge.
const LAST_USED_EVERY: Duration = Duration::from_secs(60);

/// What a token that opens something says of who brings it.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    pub(crate) token: TokenId,
    pub(crate) user: UserId,
    pub(crate) name: String,
    pub(crate) kind: TokenKind,
    pub(crate) project: Option<ProjectId>,
    pub(crate) expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

impl Bearer {
    /// Whether the use of now is worth noting.
    pub(crate) fn is_worth_noting(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|at| now.since(at) >= LAST_USED_EVERY)
    }
}

/// A token that is to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewRow {
    pub(crate) view: TokenView,
    pub(crate) user: UserId,
    pub(crate) hash: [u8; 32],
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    user_name: String,
    kind: String,
    project_id: Option<Uuid>,
    name: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for TokenView {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: TokenId(row.id),
            user: row.user_name,
            kind: word(TABLE, &row.kind)?,
            project_id: row.project_id.map(ProjectId),
            name: row.name,
            created_at: row.created_at.into(),
            expires_at: row.expires_at.map(Into::into),
            last_used_at: row.last_used_at.map(Into::into),
            revoked_at: row.revoked_at.map(Into::into),
        })
    }
}

#[derive(sqlx::FromRow)]
struct BearerRow {
    id: Uuid,
    user_id: Uuid,
    user_name: String,
    kind: String,
    project_id: Option<Uuid>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

/// Stores a new token.
pub(crate) async fn insert(write: &mut Write, new: &NewRow) -> Result<(), StoreError> {
    write
        .query(
            "INSERT INTO tokens (
                 id, user_id, kind, project_id, name, hash, created_at, expires_at
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(new.view.id.0)
        .bind(new.user.0)
        .bind(new.view.kind.as_str())
        .bind(new.view.project_id.map(|id| id.0))
        .bind(new.view.name.clone())
        .bind(new.hash.to_vec())
        .bind(new.view.created_at.as_utc())
        .bind(new.view.expires_at.map(Timestamp::as_utc))
        .execute()
        .await?;
    Ok(())
}

/// Who brings a token with this hash; `None` when it opens nothing (any more).
pub(crate) async fn bearer(
    session: &mut Session,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Bearer>, StoreError> {
    let row: Option<BearerRow> = session
        .query(
            "SELECT tokens.id, tokens.user_id, users.name AS user_name, tokens.kind,
                    tokens.project_id, tokens.expires_at, tokens.last_used_at
             FROM tokens
             JOIN users ON users.id = tokens.user_id
             WHERE tokens.hash = $1
               AND tokens.revoked_at IS NULL
               AND users.disabled_at IS NULL
               AND (tokens.expires_at IS NULL OR tokens.expires_at > $2)",
        )
        .bind(hash.to_vec())
        .bind(now.as_utc())
        .fetch_optional()
        .await?;
    row.map(|row| {
        Ok(Bearer {
            token: TokenId(row.id),
            user: UserId(row.user_id),
            name: row.user_name,
            kind: word(TABLE, &row.kind)?,
            project: row.project_id.map(ProjectId),
            expires_at: row.expires_at.map(Into::into),
            last_used_at: row.last_used_at.map(Into::into),
        })
    })
    .transpose()
}

/// How many tokens of a user open something, or would if the user were not disabled.
pub(crate) async fn living(
    session: &mut Session,
    user: UserId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let (count,): (i64,) = session
        .query(
            "SELECT COUNT(*)
             FROM tokens
             WHERE user_id = $1
               AND revoked_at IS NULL
               AND (expires_at IS NULL OR expires_at > $2)",
        )
        .bind(user.0)
        .bind(now.as_utc())
        .fetch_one()
        .await?;
    super::count(TABLE, count)
}

/// Notes a use.
pub(crate) async fn note_use(
    write: &mut Write,
    id: TokenId,
    now: Timestamp,
) -> Result<(), StoreError> {
    write
        .query(
            "UPDATE tokens
             SET last_used_at = $2
             WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
        )
        .bind(id.0)
        .bind(now.as_utc())
        .execute()
        .await?;
    Ok(())
}

/// Whose token it is.
pub(crate) async fn user_of(
    session: &mut Session,
    id: TokenId,
) -> Result<Option<UserId>, StoreError> {
    let row: Option<(Uuid,)> = session
        .query("SELECT user_id FROM tokens WHERE id = $1")
        .bind(id.0)
        .fetch_optional()
        .await?;
    Ok(row.map(|(id,)| UserId(id)))
}

/// A user's tokens behind a cursor, oldest first; revoked ones too.
pub(crate) async fn list(
    session: &mut Session,
    user: UserId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<TokenView>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT tokens.id, users.name AS user_name, tokens.kind, tokens.project_id,
                    tokens.name, tokens.created_at, tokens.expires_at, tokens.last_used_at,
                    tokens.revoked_at
             FROM tokens
             JOIN users ON users.id = tokens.user_id
             WHERE tokens.user_id = $1
               AND ($2 IS NULL OR tokens.id > $2)
             ORDER BY tokens.id
             LIMIT $3",
        )
        .bind(user.0)
        .bind(after)
        .bind(limit)
        .fetch_all()
        .await?;
    rows.into_iter().map(TokenView::try_from).collect()
}

/// Revokes a token, for good; the first time stays.
pub(crate) async fn revoke(
    write: &mut Write,
    id: TokenId,
    now: Timestamp,
) -> Result<(), StoreError> {
    write
        .query("UPDATE tokens SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1")
        .bind(id.0)
        .bind(now.as_utc())
        .execute()
        .await?;
    Ok(())
}
