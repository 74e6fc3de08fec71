//! Background duties, one file each. A duty is a reconciler: it takes no input, looks at the world as
//! it stands, and acts; done twice it has done nothing more. So a crash between any two steps of a
//! request leaves nothing that a later round does not find.
//!
//! What holds: of all control APIs on one database one at a time does a duty ([`claim`]); those that
//! look at a machine's processes are done once on each machine. A round is bounded; what it did and
//! what it failed with can be read (`GET /duties`). Each duty runs by its timer, and at once when it
//! is nudged on its own control API; the timer is what is relied on. One run that cannot be read or
//! changed keeps no round from the others ([`tally`]).

mod claim;
pub(crate) mod gone_sandboxes;
mod guardian;
mod intervention_outcomes;
pub(crate) mod liveness;
mod living;
mod old_events;
mod orphans;
mod overdue_messages;
pub(crate) mod presence;
mod tally;
mod unstarted;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::Notify;

use self::claim::Claim;
use crate::app::App;
use crate::store::StoreError;

pub(crate) use gone_sandboxes::end_if_gone;
pub(crate) use unstarted::make_place;

/// How long a duty that was given back waits for the next one to do it.
const TAKE_OVER: Duration = Duration::from_secs(5);

/// A duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Sandboxes that are gone without a report.
    GoneSandboxes,
    /// Messages whose time ran out.
    OverdueMessages,
    /// Verdicts, and what is done about them.
    Liveness,
    /// Sandboxes that were asked for and not made; specs that execute and have none.
    Unstarted,
    /// Places that nobody knows, or that are still there when their run is over.
    Orphans,
    /// Events that are old enough to be packed.
    OldEvents,
    /// What the built-in guardian sees.
    Guardian,
    /// What came of interventions.
    InterventionOutcomes,
}

impl Duty {
    const ALL: [Self; 8] = [
        Self::GoneSandboxes,
        Self::OverdueMessages,
        Self::Liveness,
        Self::Unstarted,
        Self::Orphans,
        Self::OldEvents,
        Self::Guardian,
        Self::InterventionOutcomes,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::GoneSandboxes => "gone_sandboxes",
            Self::OverdueMessages => "overdue_messages",
            Self::Liveness => "liveness",
            Self::Unstarted => "unstarted",
            Self::Orphans => "orphans",
            Self::OldEvents => "old_events",
            Self::Guardian => "guardian",
            Self::InterventionOutcomes => "intervention_outcomes",
        }
    }

    /// How often it is done.
    const fn every(self) -> Duration {
        Duration::from_secs(match self {
            // A person who watches, or waits for a receipt, should not wonder for long.
            Self::GoneSandboxes | Self::OverdueMessages | Self::Unstarted => 2,
            // As often as heartbeats come.
            Self::Liveness | Self::Guardian => 10,
            // What they wait for takes minutes.
            Self::InterventionOutcomes => 5,
            // The one reads the whole process table; the other has time.
            Self::Orphans | Self::OldEvents => 60,
        })
    }

    /// Whether it looks at the processes of its own machine, and is done once on each.
    const fn is_of_a_machine(self) -> bool {
        matches!(self, Self::GoneSandboxes | Self::Orphans)
    }

    /// Looks and acts; says how many things it did.
    async fn round(self, app: &App) -> Result<u64, StoreError> {
        match self {
            Self::GoneSandboxes => gone_sandboxes::round(app).await,
            Self::OverdueMessages => overdue_messages::round(app).await,
            Self::Liveness => liveness::round(app).await,
            Self::Unstarted => unstarted::round(app).await,
            Self::Orphans => orphans::round(app).await,
            Self::OldEvents => old_events::round(app).await,
            Self::Guardian => guardian::round(app).await,
            Self::InterventionOutcomes => intervention_outcomes::round(app).await,
        }
    }
}

/// Asks duties to look now.
#[derive(Debug, Default)]
pub(crate) struct Nudges([Notify; Duty::ALL.len()]);

impl Nudges {
    /// Something happened that a duty would find with its next round.
    pub(crate) fn nudge(&self, duty: Duty) {
        if let Some(notify) = self.0.get(duty as usize) {
            // Kept for a duty that is in the middle of a round.
            notify.notify_one();
        }
    }

    async fn nudged(&self, duty: Duty) {
        match self.0.get(duty as usize) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    }
}

/// Starts all duties; they end at shutdown. [`crate::app::Api::looked`] says when the first look at
/// sandboxes is over, on which the first answer after a crash depends: it needs our own routes, so it
/// cannot come before them.
pub(crate) async fn start(app: &App) {
    presence::beat(app).await;
    app.tasks.spawn(presence::run(app.clone()));
    for duty in Duty::ALL {
        app.tasks.spawn(run(app.clone(), Claim::new(app, duty)));
    }
}

async fn run(app: App, mut claim: Claim) {
    let duty = claim.duty();
    while !app.shutdown.is_cancelled() {
        // Whoever does not hold it looks more often than its rounds come: the holder may be gone.
        let every = app.pace.every.unwrap_or_else(|| duty.every());
        let wait = if claim.turn(&app).await { every } else { every.min(TAKE_OVER) };
        if duty == Duty::GoneSandboxes {
            app.looked.cancel();
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = app.duties.nudged(duty) => {}
            () = app.shutdown.cancelled() => {}
        }
    }
    claim.give_back(&app).await;
}
