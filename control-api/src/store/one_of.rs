//! Rows by one of several ids, in one statement: what a page's rows need from other tables is read
//! at once, not row by row.
//!
//! The engines differ in how they take the ids: as an array there, as JSON of hexadecimal digits here.

use uuid::Uuid;

use super::engine::Query;
use super::{Session, StoreError};

/// A text for each engine. The ids are its only argument.
pub(super) struct OneOf {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

/// `one_of!("SELECT … WHERE id", "ORDER BY …")`: the text before the condition on the ids, and behind.
macro_rules! one_of {
    ($before:literal, $behind:literal) => {
        $crate::store::one_of::OneOf {
            sqlite: concat!($before, " IN (SELECT unhex(value) FROM json_each($1)) ", $behind),
            postgres: concat!($before, " = ANY($1) ", $behind),
        }
    };
}
pub(super) use one_of;

impl OneOf {
    /// The statement for these ids.
    pub(super) fn query<'s>(
        &self,
        session: &'s mut Session,
        ids: impl Iterator<Item = Uuid>,
    ) -> Result<Query<'s>, StoreError> {
        Ok(match session {
            Session::Postgres(_) => session.query(self.postgres).bind_all(ids),
            Session::Sqlite(_) => {
                let ids: Vec<String> = ids.map(|id| id.simple().to_string()).collect();
                let ids = serde_json::to_string(&ids)
                    .map_err(|error| StoreError::Statement(sqlx::Error::Encode(error.into())))?;
                session.query(self.sqlite).bind(ids)
            }
        })
    }
}
