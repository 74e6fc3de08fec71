//! Which steps of the schema a database has taken, beside those that this program knows.

use std::collections::BTreeSet;

use super::{Store, StoreError, open};

/// How a database's schema stands to this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has all steps that this program knows, and no other.
    Equal,
    /// It lacks this step.
    Behind(i64),
    /// It has this step of a later program, and lacks none of ours. A step takes nothing away that the
    /// program before it needs, so this one goes on while replicas are changed one by one.
    Ahead(i64),
}

impl Store {
    /// Asks the database which steps it has taken.
    pub(crate) async fn standing(&self) -> Result<Standing, StoreError> {
        let mut session = self.read().await?;
        let taken: Vec<(i64,)> = session
            .query("SELECT version FROM _sqlx_migrations WHERE success = $1")
            .bind(true)
            .fetch_all()
            .await?;
        let taken: BTreeSet<i64> = taken.into_iter().map(|(step,)| step).collect();
        Ok(standing(&taken, &open::steps(&self.engine)))
    }
}

fn standing(taken: &BTreeSet<i64>, known: &BTreeSet<i64>) -> Standing {
    if let Some(lacking) = known.difference(taken).next() {
        return Standing::Behind(*lacking);
    }
    taken.difference(known).last().map_or(Standing::Equal, |later| Standing::Ahead(*later))
}
