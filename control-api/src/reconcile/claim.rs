//! One control API's claim on one duty.
//!
//! What holds: a round begins only while the claim has longer to live than a round may take, by this
//! process's own clock; so no two of them do a duty at once, unless one is frozen in the middle of a
//! round for longer than the lease: then both look and act, and every act is a compare-and-set. A round
//! that takes too long is cut off; what must not be left in its middle is a task of its own. What a
//! round did is noted at once, rounds that did nothing together: a laptop's disk is left alone.
//! A holder that died frees the duty when its lease ends, or at once where its process can be seen
//! to be gone.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Duty;
use crate::app::App;
use crate::problem::chain;
use crate::sandboxes::local::{machine_name, process, process_is_gone};
use crate::store::duty::{self, Claimant, Done, Which};
use crate::store::{StoreError, Write};

/// How long a claim lives when its holder says nothing more.
const LEASE: Duration = Duration::from_secs(60);
/// How far the clocks of two machines may be apart.
const SKEW: Duration = Duration::from_secs(5);
/// How often rounds that did nothing are noted, and with that the claim is kept.
const NOTE: Duration = Duration::from_secs(20);

/// A claim, or the wish for one.
#[derive(Debug)]
pub(super) struct Claim {
    duty: Duty,
    /// The machine; empty where that does not matter.
    place: String,
    process: Value,
    /// Until when it is ours.
    until: Option<Instant>,
    noted: Option<Instant>,
    done: Done,
}

impl Claim {
    pub(super) fn new(app: &App, duty: Duty) -> Self {
        let place = if duty.is_of_a_machine() { machine_name() } else { String::new() };
        let process = process();
        tracing::trace!(duty = duty.name(), replica = %app.replica, "a duty is wished for");
        Self { duty, place, process, until: None, noted: None, done: Done::default() }
    }

    pub(super) const fn duty(&self) -> Duty {
        self.duty
    }

    fn which(&self) -> Which<'_> {
        Which { name: self.duty.name(), place: &self.place }
    }

    /// Does the duty once, if it is ours or can be had. Says whether it was.
    pub(super) async fn turn(&mut self, app: &App) -> bool {
        match self.take(app).await {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                let (duty, error) = (self.duty.name(), chain(&error));
                tracing::error!(duty, error, "a duty could not be claimed");
                return false;
            }
        }
        let before = self.done.failed.take();
        let begin = Instant::now();
        let round_max = app.pace.round_max;
        let round = tokio::time::timeout(round_max, self.duty.round(app)).await;
        self.done.took_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.done.rounds += 1;
        let (did, failed) = match round {
            Ok(Ok(did)) => (did, None),
            Ok(Err(error)) => (0, Some(chain(&error))),
            Err(_) => (0, Some(format!("the round took more than {} s", round_max.as_secs_f32()))),
        };
        self.done.did += did;
        if let Some(failed) = failed {
            tracing::error!(duty = self.duty.name(), error = failed, "a duty was not done");
            self.done.failures += 1;
            self.done.failed = Some(app.redactor.text(&failed).into_owned());
        }
        let is_due = self.noted.is_none_or(|noted| noted.elapsed() >= NOTE);
        if (is_due || self.done.did > 0 || self.done.failed != before)
            && let Err(error) = self.note(app).await
        {
            let (duty, error) = (self.duty.name(), chain(&error));
            tracing::error!(duty, error, "what a duty did could not be noted");
        }
        true
    }

    async fn take(&mut self, app: &App) -> Result<bool, StoreError> {
        let begin = Instant::now();
        if self.until.is_some_and(|until| until > begin + app.pace.round_max + SKEW) {
            return Ok(true);
        }
        let now = app.now();
        let mut session = app.store.read().await?;
        let holder = duty::holder(&mut session, self.which()).await?;
        drop(session);
        let mut known_gone = None;
        if let Some(holder) = holder.filter(|holder| holder.replica != app.replica) {
            if holder.place.as_ref().is_some_and(process_is_gone) {
                known_gone = Some(holder.replica);
            } else if holder.lease_until > now {
                // Nearly always: and no writer was needed to see it.
                self.until = None;
                return Ok(false);
            }
        }
        let mut write = app.store.write().await?;
        let claimant = Claimant { replica: app.replica, place: &self.process };
        let (which, lease) = (self.which(), now.plus(LEASE));
        let ours = duty::claim(&mut write, which, claimant, known_gone, now, lease).await?;
        write.commit().await?;
        self.until = ours.then(|| begin + LEASE);
        Ok(ours)
    }

    async fn note(&mut self, app: &App) -> Result<(), StoreError> {
        let begin = Instant::now();
        let now = app.now();
        let mut write: Write = app.store.write().await?;
        let lease = now.plus(LEASE);
        let ours =
            duty::note(&mut write, self.which(), app.replica, &self.done, now, lease).await?;
        write.commit().await?;
        self.until = ours.then(|| begin + LEASE);
        self.noted = Some(begin);
        self.done = Done { failed: self.done.failed.take(), ..Done::default() };
        Ok(())
    }

    /// Gives the duty back at shutdown.
    pub(super) async fn give_back(&self, app: &App) {
        if self.until.is_none() {
            return;
        }
        let given = async {
            let mut write = app.store.write().await?;
            duty::give_back(&mut write, self.which(), app.replica).await?;
            write.commit().await
        };
        if let Err(error) = given.await {
            let (duty, error) = (self.duty.name(), chain(&error));
            tracing::warn!(duty, error, "a duty was not given back; its lease ends it");
        }
    }
}
