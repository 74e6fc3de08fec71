//! Salvage: what a worker had written down and not sent when its place was lost is delivered before the
//! run is ended.
//!
//! What holds:
//! - a sandbox whose place may hold facts is ended only when they are stored, or when [`TRIES_MAX`] tries
//!   were in vain, which its message then says;
//! - if its own terminal report is among them, that is how it ended; else it ends as whoever found it
//!   lost says;
//! - one control API at a time is at it, by a claim in the store. A claim lapses with its time, and
//!   with the process that made it, so a crash in the middle is met by the next round;
//! - each try has a token of its own: nothing older opens the sandbox any more.
//!
//! Deliberately absent: places on other machines. When their workers come back, they deliver by
//! themselves (`ingest` keeps late facts).

use std::time::Duration;

use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::SandboxState;

use super::{Rest, lost};
use crate::app::App;
use crate::auth::SandboxToken;
use crate::problem::chain;
use crate::run::Run;
use crate::store::sandbox::{SalvageClaim, Sandbox};
use crate::store::{self, StoreError};

/// How often it is tried: the first may meet a second crash, the second a cause that passes.
const TRIES_MAX: u64 = 3;
/// The pause before the second try; the third comes after eight times that, so that a full disk or a
/// restart has the time to pass.
const PAUSE: Duration = Duration::from_millis(250);
/// How long one try may take: a full spool over loopback takes a few seconds.
pub(super) const TRY_MAX: Duration = Duration::from_secs(30);
/// How long a claim is believed beyond that: the end of a worker that took too long.
const CLAIM_MARGIN: Duration = Duration::from_secs(15);
/// How many are tried at once: each is a process beside the runs at work.
pub(crate) const AT_ONCE: usize = 4;

/// What can be done about a sandbox that lost its worker.
enum Next {
    /// It has ended, or somebody else is at it.
    Nothing,
    /// Nothing of it is left to deliver.
    End,
    /// The tries are used up.
    GiveUp,
    /// This try is ours.
    Try { spec: SpecId, token: SandboxToken },
}

/// Delivers what is left in a place that lost its worker, and ends the run: by its own report if that
/// was left, else as `outcome` with `why`. Says whether it was ended that way; `false`: it had ended by
/// a report, or somebody else is at it.
pub(crate) async fn then_end(
    app: &App,
    sandbox: SandboxId,
    outcome: Outcome,
    why: &str,
) -> Result<bool, StoreError> {
    let Ok(_permit) = app.salvages.acquire().await else { return Ok(false) };
    let mut pause = PAUSE;
    loop {
        let (spec, token) = match next(app, sandbox).await? {
            Next::Nothing => return Ok(false),
            Next::End => return lost::end_unreported(app, sandbox, outcome, why).await,
            Next::GiveUp => {
                let why = format!(
                    "{why}; facts of the run may be missing: they could not be delivered in \
                     {TRIES_MAX} tries"
                );
                return lost::end_unreported(app, sandbox, outcome, &why).await;
            }
            Next::Try { spec, token } => (spec, token),
        };
        let delivered = app.provider.deliver_rest(app, Rest { sandbox, spec, token }).await;
        match delivered {
            Ok(()) => return lost::end_unreported(app, sandbox, outcome, why).await,
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(%sandbox, error, "what was left in a place was not delivered");
                release(app, sandbox).await?;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause *= 8,
            // The next control API on this store goes on with it.
            () = app.shutdown.cancelled() => return Ok(false),
        }
    }
}

/// Whether somebody is at it. What runs in the place then is not to be ended.
pub(crate) fn is_under_way(app: &App, sandbox: &Sandbox) -> bool {
    let claim = sandbox.salvage_claim.as_ref();
    claim.is_some_and(|claim| claim.until > app.now() && !app.provider.is_gone(&claim.by))
}

/// Looks at a sandbox, and claims the next try where there is one.
async fn next(app: &App, sandbox: SandboxId) -> Result<Next, StoreError> {
    let now = app.now();
    let mut write = app.store.write().await?;
    let Some(run) = Run::lock(&mut write, sandbox, now).await? else { return Ok(Next::Nothing) };
    let found = &run.sandbox;
    if found.state == SandboxState::Ended {
        return Ok(Next::Nothing);
    }
    if is_under_way(app, found) {
        return Ok(Next::Nothing);
    }
    if !app.provider.has_rest(app, sandbox, found.place.as_ref()) {
        return Ok(Next::End);
    }
    if found.salvages >= TRIES_MAX {
        return Ok(Next::GiveUp);
    }
    let token = match SandboxToken::generate() {
        Ok(token) => token,
        Err(error) => {
            tracing::error!(%sandbox, %error, "no random bytes can be had for a token");
            return Ok(Next::Nothing);
        }
    };
    let until = now.plus(TRY_MAX + CLAIM_MARGIN);
    let claim = SalvageClaim { by: app.provider.ourselves(), until };
    store::sandbox::claim_salvage(&mut write, sandbox, &claim, &token.hash()).await?;
    write.commit().await?;
    Ok(Next::Try { spec: run.spec.id, token })
}

async fn release(app: &App, sandbox: SandboxId) -> Result<(), StoreError> {
    let mut write = app.store.write().await?;
    store::sandbox::release_salvage(&mut write, sandbox).await?;
    write.commit().await
}
