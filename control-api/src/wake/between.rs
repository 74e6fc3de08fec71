//! Between processes on one database: tells the others what was committed here, and wakes here for
//! what they committed.
//!
//! What holds: one connection hears, one task tells; commits that come while it tells are told
//! together. While nothing can be heard, those who wait look often by themselves. A third task looks
//! for what was committed and never told ([`sweep`]).

mod sweep;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use uuid::Uuid;

use crate::app::App;
use crate::problem::chain;
use crate::store::news::{Ear, News};
use crate::store::{self, Store, StoreError};

/// How soon a lost database is tried again, and how seldom at most: it comes back in seconds when it
/// is restarted, and in minutes when it moves.
const TRY_FIRST: Duration = Duration::from_millis(100);
const TRY_LONGEST: Duration = Duration::from_secs(5);

/// The least time between two tellings: a hundred a second, however many commits there are. A replica
/// shows what another committed within 50 ms.
const TELL_EVERY: Duration = Duration::from_millis(10);

/// Starts the tasks.
pub(crate) fn start(app: &App) {
    let own = Uuid::now_v7();
    app.tasks.spawn(sweep::run(app.clone()));
    app.tasks.spawn(hear(app.clone(), own));
    app.tasks.spawn(tell(app.clone(), own));
}

async fn hear(app: App, own: Uuid) {
    let hearing = async {
        let mut pauses = pauses();
        loop {
            let lost = listen(&app, own, || pauses = self::pauses()).await;
            app.store.wakes.hears_others.store(false, Ordering::Relaxed);
            tracing::warn!(error = chain(&lost), "what other replicas write is not heard");
            tokio::time::sleep(pauses.next().unwrap_or(TRY_LONGEST)).await;
        }
    };
    tokio::select! {
        () = hearing => {}
        () = app.shutdown.cancelled() => {}
    }
}

/// Hears until that breaks.
async fn listen(app: &App, own: Uuid, mut heard: impl FnMut()) -> StoreError {
    let wakes = &app.store.wakes;
    let mut ear = match Ear::open(&app.store, own).await {
        Ok(ear) => ear,
        Err(error) => return error,
    };
    // Before this moment nothing was heard.
    let mut news = Ok(News::Reconnected);
    loop {
        match news {
            Ok(News::About(ids)) => ids.into_iter().for_each(|about| wakes.wake(about)),
            Ok(News::Anything) => wakes.wake_all(),
            Ok(News::Reconnected) => {
                if let Err(error) = store::event::order::settle(&app.store).await {
                    return error;
                }
                wakes.hears_others.store(true, Ordering::Relaxed);
                wakes.settled();
            }
            Err(error) => return error,
        }
        heard();
        news = ear.next().await;
    }
}

async fn tell(app: App, own: Uuid) {
    let wakes = &app.store.wakes;
    loop {
        tokio::select! {
            () = wakes.to_tell.notified() => {}
            () = app.shutdown.cancelled() => return,
        }
        tell_rest(&app.store, own).await;
        // The first is told at once; those behind it go together.
        tokio::time::sleep(TELL_EVERY).await;
    }
}

/// So many that could not be told are kept: with more, who waits finds it by looking.
const UNTOLD_MAX: usize = 10_000;

/// Tells what was committed here and not told yet. What cannot be told goes with the next commit's; when
/// the database was away, everybody looks by themselves besides.
async fn tell_rest(store: &Store, own: Uuid) {
    let about = std::mem::take(&mut *store.wakes.untold());
    if let Err(error) = store::news::tell(store, own, &about).await {
        tracing::warn!(error = chain(&error), "other replicas were not told of a commit");
        let mut untold = store.wakes.untold();
        if untold.len() + about.len() <= UNTOLD_MAX {
            untold.extend(about);
        }
    }
}

/// Tells the rest when nothing is committed here any more: the last requests and tasks end behind the
/// task that tells.
pub(crate) async fn end(store: &Store) {
    // Nobody here hears any more, so whose word it is makes no difference.
    tell_rest(store, Uuid::now_v7()).await;
}

fn pauses() -> backon::ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(TRY_FIRST)
        .with_max_delay(TRY_LONGEST)
        .without_max_times()
        .build()
}
