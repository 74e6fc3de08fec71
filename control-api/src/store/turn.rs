//! Taking turns at the one connection that writes a SQLite file, and committing together.
//!
//! A commit waits for the disk, and one at a time. So who is done with his statements lets those go
//! on, in the same transaction, who were waiting at that moment; then one commit is for all of them.
//! Nobody waits for company: who is alone commits at once.
//!
//! What holds: a turn that is given up, by an error or by being dropped, leaves nothing, and takes
//! nothing from the others (a savepoint stands before it); nobody is told that a commit happened
//! before it did; if it fails, everyone in it is told. A turn sees what those before it wrote: who
//! answers out of that without writing anything commits all the same, and so waits for it to be true.
//! Where the database itself gave the transaction up (a full disk), the commit finds none and fails.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio_util::task::TaskTracker;

use super::StoreError;

/// The most turns of one commit: what the last of them adds is then hidden by the wait for the disk.
const TOGETHER_MAX: usize = 64;
/// How long to wait for a turn: a little longer than the file's writer may wait for another process.
const TURN_WAIT: Duration = Duration::from_secs(15);

/// Takes the file's lock at once.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// How a commit went; `None`: not yet.
type Fate = Option<Result<(), Arc<StoreError>>>;
/// Where the transaction lies between two turns. Who holds the guard has the turn; the lock is fair.
type Place = OwnedMutexGuard<Option<Together>>;

/// The one connection that writes, and who waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    pool: SqlitePool,
    place: Arc<Mutex<Option<Together>>>,
    /// Every commit under way: it goes on when who asked for it has gone.
    commits: TaskTracker,
}

/// A transaction that several turns share.
#[derive(Debug)]
struct Together {
    transaction: Transaction<'static, Sqlite>,
    /// How many turns are done and wait for the commit.
    done: usize,
    /// What stands behind the newest savepoint was given up.
    given_up: bool,
    fate: watch::Sender<Fate>,
}

/// One turn. Dropped without [`Turn::commit`], it never happened.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    /// Absent from the commit on.
    place: Option<Place>,
    /// Whether a savepoint stands before it: the first needs none.
    joined: bool,
}

impl Turns {
    pub(super) fn at(pool: SqlitePool) -> Self {
        Self { pool, place: Arc::default(), commits: TaskTracker::new() }
    }

    /// The pool of the one connection, for what is no transaction.
    pub(super) const fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Waits for a turn.
    pub(super) async fn take(&self) -> Result<Turn, StoreError> {
        let waited = tokio::time::timeout(TURN_WAIT, Arc::clone(&self.place).lock_owned()).await;
        let mut place = waited.map_err(|_| sqlx::Error::PoolTimedOut)?;
        if place.as_ref().is_some_and(|together| together.done >= TOGETHER_MAX) {
            // A task of its own: it goes on if whoever waits here goes away.
            let committed = self.commits.spawn(async move {
                commit(&mut place).await;
                place
            });
            place = committed.await.map_err(|_| sqlx::Error::WorkerCrashed)?;
        }
        let mut joined = false;
        if let Some(together) = place.as_mut() {
            match together.join().await {
                Ok(()) => joined = true,
                Err(error) => fail(&mut place, error),
            }
        }
        if place.is_none() {
            let transaction = match self.pool.begin_with(BEGIN).await {
                // Left by a transaction that the database gave up; the driver believes in it still.
                Err(sqlx::Error::InvalidSavePointStatement) => {
                    self.pool.acquire().await?.close().await?;
                    self.pool.begin_with(BEGIN).await?
                }
                begun => begun?,
            };
            let fate = watch::Sender::new(None);
            *place = Some(Together { transaction, done: 0, given_up: false, fate });
        }
        Ok(Turn { turns: self.clone(), place: Some(place), joined })
    }

    /// Waits for the commits under way, and closes the connection.
    pub(super) async fn close(&self) {
        self.commits.close();
        self.commits.wait().await;
        self.pool.close().await;
    }
}

impl Together {
    async fn execute(&mut self, statement: &'static str) -> Result<(), StoreError> {
        sqlx::query(statement).execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Prepares a further turn.
    async fn join(&mut self) -> Result<(), StoreError> {
        if self.given_up {
            // The savepoint itself stays, for this turn. Cut off here, it is done again.
            self.execute("ROLLBACK TO turn").await?;
            self.given_up = false;
            return Ok(());
        }
        self.execute("SAVEPOINT turn").await
    }
}

/// Commits for all whose turns are done, and tells them.
async fn commit(place: &mut Place) {
    if let Some(together) = place.as_mut().filter(|together| together.given_up)
        && let Err(error) = together.join().await
    {
        return fail(place, error);
    }
    let Some(Together { transaction, fate, .. }) = place.take() else { return };
    let committed = transaction.commit().await.map_err(|error| Arc::new(error.into()));
    fate.send_replace(Some(committed));
}

/// Gives the transaction up, and tells those whose turns were done.
fn fail(place: &mut Place, error: StoreError) {
    if let Some(together) = place.take() {
        together.fate.send_replace(Some(Err(Arc::new(error))));
    }
}

impl Turn {
    /// The connection, within the transaction.
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let together = self.place.as_mut().and_then(|place| place.as_mut());
        // Not reachable: only `commit` takes it, and that ends the turn.
        let together = together.ok_or(sqlx::Error::WorkerCrashed)?;
        Ok(&mut together.transaction)
    }

    /// Ends the turn, and waits until it is committed; then does this, before anyone is told.
    pub(super) async fn commit(
        mut self,
        then: impl FnOnce() + Send + 'static,
    ) -> Result<(), StoreError> {
        let Some(place) = self.place.take() else { return Ok(()) };
        let (turns, joined) = (self.turns.clone(), self.joined);
        // A task of its own: whoever goes away now leaves nobody waiting.
        let committed = self.turns.commits.spawn(async move {
            turns.end(place, joined).await?;
            then();
            Ok(())
        });
        committed.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }
}

impl Turns {
    async fn end(&self, mut place: Place, joined: bool) -> Result<(), StoreError> {
        let Some(together) = place.as_mut() else { return Ok(()) };
        let mut fate = together.fate.subscribe();
        let released = if joined { together.execute("RELEASE turn").await } else { Ok(()) };
        match released {
            Ok(()) => together.done += 1,
            Err(error) => fail(&mut place, error),
        }
        drop(place);
        // Behind all who wait now: when this comes up, and nobody did it, they are through.
        let last = async {
            let mut place = self.place.clone().lock_owned().await;
            if fate.borrow().is_none() {
                commit(&mut place).await;
            }
        };
        let mut told = fate.clone();
        tokio::select! {
            biased;
            _ = told.wait_for(Option::is_some) => {}
            () = last => {}
        }
        match &*fate.borrow_and_update() {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(StoreError::Together(Arc::clone(error))),
            None => Err(sqlx::Error::WorkerCrashed.into()),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(place) = &mut self.place else { return };
        match place.as_mut() {
            Some(together) if self.joined => together.given_up = true,
            // Alone: the transaction goes with its turn.
            _ => drop(place.take()),
        }
    }
}

#[cfg(test)]
mod tests;
