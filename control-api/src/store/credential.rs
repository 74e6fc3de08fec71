//! Sealed credentials. What is in `sealed` is opaque here.

use chrono::{DateTime, Utc};
use specwright_shared::id::{ProjectId, UserId};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::credential::{CredentialKind, CredentialView};
use uuid::Uuid;

use super::{Session, StoreError, Write, word};

const TABLE: &str = "credentials";

/// Whose a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Project(ProjectId),
    User(UserId),
}

impl Holder {
    const fn columns(self) -> (Option<Uuid>, Option<Uuid>) {
        match self {
            Self::Project(id) => (Some(id.0), None),
            Self::User(id) => (None, Some(id.0)),
        }
    }
}

/// A credential as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) id: Uuid,
    pub(crate) kind: CredentialKind,
    pub(crate) sealed: Vec<u8>,
    pub(crate) key_id: String,
    pub(crate) last_four: String,
    pub(crate) set_by: String,
    pub(crate) set_at: Timestamp,
    /// When its service took it.
    pub(crate) confirmed_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    kind: String,
    sealed: Vec<u8>,
    key_id: String,
    last_four: String,
    set_by: String,
    set_at: DateTime<Utc>,
    confirmed_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Credential {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            kind: word(TABLE, &row.kind)?,
            sealed: row.sealed,
            key_id: row.key_id,
            last_four: row.last_four,
            set_by: row.set_by,
            set_at: row.set_at.into(),
            confirmed_at: row.confirmed_at.map(Into::into),
        })
    }
}

impl From<Credential> for CredentialView {
    fn from(credential: Credential) -> Self {
        Self {
            kind: credential.kind,
            last_four: credential.last_four,
            set_by: credential.set_by,
            set_at: credential.set_at,
            confirmed_at: credential.confirmed_at,
        }
    }
}

/// Stores a credential, in the place of the holder's one of that kind.
pub(crate) async fn put(
    write: &mut Write,
    holder: Holder,
    new: &Credential,
) -> Result<(), StoreError> {
    remove(write, holder, new.kind).await?;
    let (project, user) = holder.columns();
    write
        .query(
            "INSERT INTO credentials (
                 id, project_id, user_id, kind, sealed, key_id, last_four, set_by, set_at,
                 confirmed_at
             )
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(new.id)
        .bind(project)
        .bind(user)
        .bind(new.kind.as_str())
        .bind(new.sealed.clone())
        .bind(new.key_id.clone())
        .bind(new.last_four.clone())
        .bind(new.set_by.clone())
        .bind(new.set_at.as_utc())
        .bind(new.confirmed_at.map(Timestamp::as_utc))
        .execute()
        .await?;
    Ok(())
}

/// Removes a holder's credential of a kind. `false`: there was none.
pub(crate) async fn remove(
    write: &mut Write,
    holder: Holder,
    kind: CredentialKind,
) -> Result<bool, StoreError> {
    let (project, user) = holder.columns();
    let touched = write
        .query(
            "DELETE FROM credentials
             WHERE (project_id = $1 OR user_id = $2) AND kind = $3",
        )
        .bind(project)
        .bind(user)
        .bind(kind.as_str())
        .execute()
        .await?;
    Ok(touched > 0)
}

/// A holder's credentials; at most one of each kind.
pub(crate) async fn list(
    session: &mut Session,
    holder: Holder,
) -> Result<Vec<Credential>, StoreError> {
    let (project, user) = holder.columns();
    let rows: Vec<Row> = session
        .query(
            "SELECT id, kind, sealed, key_id, last_four, set_by, set_at, confirmed_at
             FROM credentials
             WHERE project_id = $1 OR user_id = $2
             ORDER BY kind",
        )
        .bind(project)
        .bind(user)
        .fetch_all()
        .await?;
    rows.into_iter().map(Credential::try_from).collect()
}

/// Credentials behind an id, whoever holds them.
pub(crate) async fn all(
    session: &mut Session,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Credential>, StoreError> {
    let rows: Vec<Row> = session
        .query(
            "SELECT id, kind, sealed, key_id, last_four, set_by, set_at, confirmed_at
             FROM credentials
             WHERE $1 IS NULL OR id > $1
             ORDER BY id
             LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all()
        .await?;
    rows.into_iter().map(Credential::try_from).collect()
}

/// Stores the same value under another key, if it is still the one that was read.
pub(crate) async fn reseal(
    write: &mut Write,
    id: Uuid,
    sealed: Vec<u8>,
    key_id: &str,
) -> Result<(), StoreError> {
    write
        .query("UPDATE credentials SET sealed = $2, key_id = $3 WHERE id = $1")
        .bind(id)
        .bind(sealed)
        .bind(key_id.to_owned())
        .execute()
        .await?;
    Ok(())
}
