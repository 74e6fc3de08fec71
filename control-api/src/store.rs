//! What the control API remembers: one set of functions over two engines.
//!
//! What holds: all SQL of the project stands below this module; a query is one text that both engines
//! take, with `$1` placeholders and native types; everything that must be true together is written
//! in one [`Write`]. Rows are private to the file of their resource and leave it as domain values; a
//! row that cannot be one is [`StoreError::Corrupt`], not a panic.
//!
//! Lock order: a spec before its sandboxes. Who needs both takes them in that order, so that two
//! transactions never wait for each other.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod credential;
pub(crate) mod document;
pub(crate) mod duty;
pub(crate) mod engine;
pub(crate) mod event;
pub(crate) mod gauges;
mod held;
pub(crate) mod intervention;
pub(crate) mod liveness;
pub(crate) mod member;
pub(crate) mod message;
pub(crate) mod news;
mod one_of;
mod open;
pub(crate) mod phase;
pub(crate) mod plan;
pub(crate) mod presence;
pub(crate) mod project;
pub(crate) mod restore;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod spec;
pub(crate) mod start;
pub(crate) mod task;
pub(crate) mod ticket;
pub(crate) mod token;
pub(crate) mod transcript;
pub(crate) mod trouble;
mod turn;
pub(crate) mod user;

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
pub(crate) mod postgres_server;

pub(crate) use engine::{Session, Store, Write};

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address names no engine that we have.
    #[error(
        "`{0}` is not a database address; give `sqlite:///path/to/file` or `postgres://user@host/name`"
    )]
    Address(String),
    /// The database could not be opened.
    #[error("the database at {0} could not be opened")]
    Open(String, #[source] sqlx::Error),
    /// The file is not there, and what was to take its place is.
    #[error(
        "a restore of {} was broken off half-way; run `specwright restore` again", .0.display()
    )]
    HalfRestored(std::path::PathBuf),
    /// No server can be talked to.
    #[error("no PostgreSQL server can be reached at {place}: {why}")]
    Unreachable {
        /// Host and port, or the socket; never the whole address, which may hold a password.
        place: String,
        /// Why, in our words.
        why: String,
        /// What the connection said, if it spoke.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// The schema could not be brought up to date.
    #[error("the database's schema could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The schema has steps that this program does not know.
    #[error(
        "the database's schema has step {0}, which this version of Specwright does not know; start \
         the version that made it, or a newer one"
    )]
    NewerSchema(i64),
    /// A statement failed.
    #[error("a statement on the database failed")]
    Statement(#[from] sqlx::Error),
    /// The commit that was for this and others failed.
    #[error("the commit that this shared with others failed")]
    Together(#[source] std::sync::Arc<StoreError>),
    /// A row holds what no code of ours writes.
    #[error("table {table} holds a row that makes no sense: {what}")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// What makes no sense.
        what: String,
    },
}

impl StoreError {
    /// Whether a unique index refused a row.
    pub(crate) fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Statement(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}

/// Reads a word of a row as the domain value that it must be.
pub(crate) fn word<T: std::str::FromStr>(table: &'static str, word: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    word.parse().map_err(|error: T::Err| StoreError::Corrupt { table, what: error.to_string() })
}

/// Reads a number of a row that must not be negative.
pub(crate) fn count<T: TryFrom<i64>>(table: &'static str, number: i64) -> Result<T, StoreError> {
    T::try_from(number)
        .map_err(|_| StoreError::Corrupt { table, what: format!("the number {number}") })
}

/// A count as the stores keep it. Nothing that is counted here comes near 2^63.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// US dollars as whole millionths, the way money is stored.
pub(crate) fn micro_usd(usd: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and 2^63 is 9 trillion")]
    let micros = (usd * 1e6).round() as i64;
    micros
}

/// Stored millionths as US dollars.
pub(crate) fn usd(micros: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact below 9 billion US dollars")]
    let micros = micros as f64;
    micros / 1e6
}
