//! A statement with its arguments: one text, either engine.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, FromRow, Postgres, Sqlite};

use super::Session;
use crate::store::StoreError;

/// A statement with its arguments.
#[derive(Debug)]
pub(crate) struct Query<'s> {
    sql: &'static str,
    session: &'s mut Session,
    arguments: Result<Arguments, sqlx::error::BoxDynError>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(in crate::store) enum Arguments {
    Sqlite(SqliteArguments),
    Postgres(PgArguments),
}

/// What both engines can take as an argument.
pub(crate) trait Argument:
    for<'a> sqlx::Encode<'a, Sqlite>
    + sqlx::Type<Sqlite>
    + for<'a> sqlx::Encode<'a, Postgres>
    + sqlx::Type<Postgres>
{
}

impl<T> Argument for T where
    T: for<'a> sqlx::Encode<'a, Sqlite>
        + sqlx::Type<Sqlite>
        + for<'a> sqlx::Encode<'a, Postgres>
        + sqlx::Type<Postgres>
{
}

/// What both engines can give as a row.
pub(crate) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

impl Session {
    /// A statement in this transaction.
    pub(crate) fn query(&mut self, sql: &'static str) -> Query<'_> {
        let arguments = match self {
            Self::Sqlite(_) => Arguments::Sqlite(SqliteArguments::default()),
            Self::Postgres(_) => Arguments::Postgres(PgArguments::default()),
        };
        Query { sql, session: self, arguments: Ok(arguments) }
    }
}

#[cfg(test)]
impl<'s> Query<'s> {
    /// A statement with the arguments that another one had.
    pub(in crate::store) fn with(
        sql: &'static str,
        session: &'s mut Session,
        arguments: Arguments,
    ) -> Self {
        Self { sql, session, arguments: Ok(arguments) }
    }
}

impl Query<'_> {
    /// The next argument.
    pub(crate) fn bind(mut self, value: impl Argument) -> Self {
        if let Ok(arguments) = &mut self.arguments {
            let added = match arguments {
                Arguments::Sqlite(arguments) => arguments.add(value),
                Arguments::Postgres(arguments) => arguments.add(value),
            };
            if let Err(error) = added {
                self.arguments = Err(error);
            }
        }
        self
    }

    /// The next argument, as an array: PostgreSQL alone has such.
    pub(crate) fn bind_all<T>(mut self, values: impl Iterator<Item = T>) -> Self
    where
        for<'a> Vec<T>: sqlx::Encode<'a, Postgres> + sqlx::Type<Postgres>,
    {
        let added = match &mut self.arguments {
            Ok(Arguments::Postgres(arguments)) => arguments.add(values.collect::<Vec<T>>()),
            Ok(Arguments::Sqlite(_)) => Err("SQLite has no arrays".into()),
            Err(_) => return self,
        };
        if let Err(error) = added {
            self.arguments = Err(error);
        }
        self
    }

    /// Runs it; says how many rows it touched.
    pub(crate) async fn execute(self) -> Result<u64, StoreError> {
        let arguments = self.arguments.map_err(sqlx::Error::Encode)?;
        #[cfg(test)]
        crate::store::contract::plans::note(self.sql, &arguments);
        Ok(match (self.session, arguments) {
            (Session::Sqlite(session), Arguments::Sqlite(arguments)) => {
                sqlx::query_with(self.sql, arguments)
                    .execute(session.connection()?)
                    .await?
                    .rows_affected()
            }
            (Session::Postgres(session), Arguments::Postgres(arguments)) => {
                sqlx::query_with(self.sql, arguments)
                    .execute(session.connection())
                    .await?
                    .rows_affected()
            }
            _ => unreachable_mixture()?,
        })
    }

    /// All rows.
    pub(crate) async fn fetch_all<R: Row>(self) -> Result<Vec<R>, StoreError> {
        let arguments = self.arguments.map_err(sqlx::Error::Encode)?;
        #[cfg(test)]
        crate::store::contract::plans::note(self.sql, &arguments);
        Ok(match (self.session, arguments) {
            (Session::Sqlite(session), Arguments::Sqlite(arguments)) => {
                sqlx::query_as_with(self.sql, arguments).fetch_all(session.connection()?).await?
            }
            (Session::Postgres(session), Arguments::Postgres(arguments)) => {
                sqlx::query_as_with(self.sql, arguments).fetch_all(session.connection()).await?
            }
            _ => unreachable_mixture()?,
        })
    }

    /// The first row, if there is one.
    pub(crate) async fn fetch_optional<R: Row>(self) -> Result<Option<R>, StoreError> {
        Ok(self.fetch_all().await?.into_iter().next())
    }

    /// The one row that must be there.
    pub(crate) async fn fetch_one<R: Row>(self) -> Result<R, StoreError> {
        self.fetch_optional().await?.ok_or(StoreError::Statement(sqlx::Error::RowNotFound))
    }
}

/// A session's arguments are made for its own engine (`Session::query`), so the two cannot differ;
/// said as an error because a panic here would take a request down.
fn unreachable_mixture<T>() -> Result<T, StoreError> {
    Err(StoreError::Corrupt { table: "none", what: "arguments for another engine".to_owned() })
}
