//! Judges again who reads streams: once for all streams of one token in one project, however many
//! there are.
//!
//! What holds: a stream ends soon after its token was revoked, or its reader lost the right to read
//! there; a database that is away for a moment takes nobody's rights. A vigil goes with its last
//! stream, and one that has ended its streams takes no new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use specwright_shared::wire::access::Deed;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::admit::judge;
use super::guard::who;
use super::{Access, Actor, AuthError, Thing};
use crate::app::App;

/// How often it is judged again: a revocation takes effect within 5 seconds everywhere.
pub(super) const JUDGE_AGAIN: Duration = Duration::from_secs(2);

/// What is judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    /// SHA-256 of the token.
    pub(super) token: [u8; 32],
    pub(super) deed: Deed,
    /// A project for all that is in it: nothing leaves its project.
    pub(super) thing: Option<(Thing, Uuid)>,
}

/// Those that are kept right now.
#[derive(Debug, Default)]
pub(crate) struct Vigils(Mutex<HashMap<Reading, Weak<Vigil>>>);

/// Kept by each stream that it is about.
#[derive(Debug)]
pub(super) struct Vigil {
    refused: CancellationToken,
    _judges: AbortOnDropHandle<()>,
}

impl Vigil {
    /// Ends when there is to be no more reading.
    pub(super) fn refused(&self) -> WaitForCancellationFutureOwned {
        self.refused.clone().cancelled_owned()
    }
}

impl Vigils {
    /// The vigil over a reading that was just allowed.
    pub(super) fn over(&self, app: &App, reading: Reading) -> Arc<Vigil> {
        self.kept(reading, |refused| app.tasks.spawn(judge_again(app.clone(), reading, refused)))
    }

    /// The one that is kept; else a new one, with the task that judges for it.
    fn kept(
        &self,
        reading: Reading,
        judge: impl FnOnce(CancellationToken) -> JoinHandle<()>,
    ) -> Arc<Vigil> {
        // The map is valid between any two steps, also when a holder panicked.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vigil) = kept.get(&reading).and_then(Weak::upgrade)
            && !vigil.refused.is_cancelled()
        {
            return vigil;
        }
        // What nobody reads any more goes when somebody comes.
        kept.retain(|_, vigil| vigil.strong_count() > 0);
        let refused = CancellationToken::new();
        let judges = AbortOnDropHandle::new(judge(refused.clone()));
        let vigil = Arc::new(Vigil { refused, _judges: judges });
        kept.insert(reading, Arc::downgrade(&vigil));
        vigil
    }
}

async fn judge_again(app: App, reading: Reading, refused: CancellationToken) {
    until_refused(tokio::time::sleep, || may_read(&app, &reading)).await;
    refused.cancel();
}

/// Ends when there is no right to read any more, as soon as that is judged.
async fn until_refused<P, M>(pause: impl Fn(Duration) -> P, may_read: impl Fn() -> M)
where
    P: Future<Output = ()>,
    M: Future<Output = Result<(), AuthError>>,
{
    loop {
        pause(JUDGE_AGAIN).await;
        match may_read().await {
            Ok(()) | Err(AuthError::Store(_)) => {}
            Err(_) => return,
        }
    }
}

async fn may_read(app: &App, reading: &Reading) -> Result<(), AuthError> {
    let Actor::Person(person) =
        who(app, &reading.token, Access::Deed(reading.deed), app.now()).await?
    else {
        return Err(AuthError::NotYours);
    };
    let mut session = app.store.read().await?;
    judge(&mut session, &person, reading.deed, reading.thing).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;

    use specwright_shared::id::ProjectId;

    use super::*;
    use crate::store::StoreError;

    /// What is promised of a revocation, on every replica.
    const PROMISED: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_revocation_ends_streams_within_five_seconds_and_a_database_that_is_away_ends_none() {
        // The other half of the time is for the look itself.
        const { assert!(JUDGE_AGAIN.as_millis() * 2 <= PROMISED.as_millis()) };
        for revoked_at in (0..20_000).step_by(250).map(Duration::from_millis) {
            let clock = Cell::new(Duration::ZERO);
            let away = Cell::new(true);
            until_refused(
                |wait| {
                    clock.set(clock.get() + wait);
                    ready(())
                },
                || {
                    let lost = away.replace(false) && clock.get() < revoked_at;
                    ready(match clock.get() < revoked_at {
                        _ if lost => Err(StoreError::Statement(sqlx::Error::PoolTimedOut).into()),
                        true => Ok(()),
                        false => Err(AuthError::NotYours),
                    })
                },
            )
            .await;
            let took = clock.get().checked_sub(revoked_at).expect("not before it was revoked");
            assert!(took <= PROMISED, "{took:?} after {revoked_at:?}");
        }
    }

    #[tokio::test]
    async fn the_streams_of_one_token_in_one_project_are_judged_as_one() {
        let vigils = Vigils::default();
        let tasks = std::cell::RefCell::new(Vec::new());
        let over = |token: u8, project: u128| {
            let thing = Some((Thing::Project, ProjectId(Uuid::from_u128(project)).0));
            let reading = Reading { token: [token; 32], deed: Deed::Read, thing };
            vigils.kept(reading, |refused| {
                let judges = tokio::spawn(std::future::pending());
                tasks.borrow_mut().push((refused, judges.abort_handle()));
                judges
            })
        };
        let streams: Vec<_> = (0..100).map(|_| over(1, 1)).collect();
        let others = [over(1, 2), over(2, 1)];
        assert_eq!(tasks.borrow().len(), 3, "one for each token and project");

        tasks.borrow()[0].0.cancel();
        for stream in &streams {
            stream.refused().await;
        }
        assert!(others.iter().all(|other| !other.refused.is_cancelled()));
        let back = over(1, 1);
        assert_eq!(tasks.borrow().len(), 4, "who may read again is judged anew");
        assert!(!back.refused.is_cancelled());

        drop((streams, others, back));
        for (_, judges) in tasks.take() {
            while !judges.is_finished() {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(vigils.0.lock().unwrap().values().filter_map(Weak::upgrade).count(), 0);
    }
}
