//! Wakes who waits for something new about a spec or a sandbox.
//!
//! A wake says only "look again": the store is the truth. Every commit wakes those who wait in this
//! process ([`Wakes::committed`] is called by the store alone), and is told to other replicas
//! ([`between`]); nobody who looks after the commit can miss it. What a replica committed and was killed
//! before it could tell is found by a sweep every second; the slow look is a net below all.

pub(crate) mod between;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::Looks;

/// Who waits for what.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    waiters: Mutex<HashMap<Uuid, Arc<Notify>>>,
    untold: Mutex<BTreeSet<Uuid>>,
    to_tell: Notify,
    hears_others: AtomicBool,
    /// How often it was looked whether the database began another life.
    settled: AtomicU64,
    looks: OnceLock<Looks>,
}

impl Wakes {
    fn waiters(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Notify>>> {
        // The map is valid between any two steps, also when a holder panicked.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn untold(&self) -> MutexGuard<'_, BTreeSet<Uuid>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was committed here about these.
    pub(crate) fn committed(&self, about: BTreeSet<Uuid>) {
        if about.is_empty() {
            return;
        }
        about.iter().for_each(|about| self.wake(*about));
        self.untold().extend(about);
        self.to_tell.notify_one();
    }

    /// Something was committed about this.
    fn wake(&self, about: Uuid) {
        // The entry goes: who is woken enters again if it goes on waiting.
        if let Some(waiting) = self.waiters().remove(&about) {
            waiting.notify_waiters();
        }
    }

    /// It was looked whether the database began another life. Whoever waits is woken, and looks for itself.
    fn settled(&self) {
        self.settled.fetch_add(1, Ordering::Relaxed);
        self.wake_all();
    }

    /// As long as this stays the same, the database is the one that it was.
    pub(crate) fn times_settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    /// Something may have been committed about anything.
    fn wake_all(&self) {
        let all = std::mem::take(&mut *self.waiters());
        all.into_values().for_each(|waiting| waiting.notify_waiters());
    }

    /// Says how often is looked without a wake; who says nothing has the usual.
    pub(crate) fn look_as_often_as(&self, looks: Looks) {
        // Said once, before anybody waits.
        self.looks.get_or_init(|| looks);
    }

    fn looks(&self) -> Looks {
        self.looks.get().copied().unwrap_or_default()
    }

    /// How long to wait for a wake before looking all the same.
    pub(crate) fn look_again(&self) -> Duration {
        let looks = self.looks();
        if self.hears_others.load(Ordering::Relaxed) { looks.waiting } else { looks.deaf }
    }

    /// Takes a place among those who wait.
    pub(crate) fn seat(&self, about: Uuid) -> Seat<'_> {
        Seat::take(self, about)
    }

    /// Looks until there is something, at most `wait` long or until `stop`; the last look's find.
    pub(crate) async fn until_found<T, E, F>(
        &self,
        about: Uuid,
        wait: Duration,
        stop: &CancellationToken,
        mut look: impl FnMut() -> F,
    ) -> Result<T, E>
    where
        T: Find,
        F: Future<Output = Result<T, E>>,
    {
        let deadline = Instant::now() + wait;
        loop {
            let seat = Seat::take(self, about);
            // Enabled before the look, so that a commit right after it still wakes.
            let mut woken = pin!(seat.woken());
            woken.as_mut().enable();
            let found = look().await?;
            let now = Instant::now();
            if found.is_found() || now >= deadline || stop.is_cancelled() {
                return Ok(found);
            }
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep_until(deadline.min(now + self.look_again())) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

/// One waiter's place. Left also when the waiter is dropped, as when its client goes away.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    wakes: &'a Wakes,
    about: Uuid,
    notify: Arc<Notify>,
}

impl<'a> Seat<'a> {
    fn take(wakes: &'a Wakes, about: Uuid) -> Self {
        let notify = wakes.waiters().entry(about).or_default().clone();
        Self { wakes, about, notify }
    }

    /// Ends when something is committed; enabled before a look, nothing behind it is missed.
    pub(crate) fn woken(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut waiters = self.wakes.waiters();
        // Two hold the entry when nobody else waits: the map and this seat.
        if waiters
            .get(&self.about)
            .is_some_and(|entry| Arc::ptr_eq(entry, &self.notify) && Arc::strong_count(entry) <= 2)
        {
            waiters.remove(&self.about);
        }
    }
}

/// What a look may find.
pub(crate) trait Find {
    /// Whether there is something in it.
    fn is_found(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    impl Find for u32 {
        fn is_found(&self) -> bool {
            *self > 0
        }
    }

    #[tokio::test]
    async fn a_waiter_is_woken_and_leaves_nothing_behind() {
        let wakes = Wakes::default();
        let stop = CancellationToken::new();
        let (about, value, looks) = (Uuid::now_v7(), AtomicU32::new(0), AtomicU32::new(0));
        let wait = Duration::from_secs(20);
        let look = async || {
            looks.fetch_add(1, Ordering::SeqCst);
            Ok::<_, ()>(value.load(Ordering::SeqCst))
        };
        let (found, ()) = tokio::join!(wakes.until_found(about, wait, &stop, look), async {
            while looks.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            value.store(7, Ordering::SeqCst);
            wakes.committed(BTreeSet::from([about]));
        });
        assert_eq!(found, Ok(7));
        assert!(wakes.waiters().is_empty());
    }

    #[tokio::test]
    async fn a_stop_ends_the_wait() {
        let (wakes, stop) = (Wakes::default(), CancellationToken::new());
        stop.cancel();
        let wait = Duration::from_secs(20);
        let found = wakes.until_found(Uuid::now_v7(), wait, &stop, async || Ok::<_, ()>(0)).await;
        assert_eq!(found, Ok(0));
    }
}
