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
//! - in a process it is one task, of nobody's request or round: who waits for it may leave;
//! - each try has a token of its own: nothing older opens the sandbox any more.
//!
//! Deliberately absent: places on other machines. When their workers come back, they deliver by
//! themselves (`ingest` keeps late facts).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use specwright_shared::id::{SandboxId, SpecId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::SandboxState;
use tokio::sync::Semaphore;

use super::{Rest, lost};
use crate::app::App;
use crate::auth::SandboxToken;
use crate::problem::chain;
use crate::run::Run;
use crate::store::sandbox::Sandbox;
use crate::store::sandbox::salvage::Claim;
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
const AT_ONCE: usize = 4;
/// How long all tries may take, one after the other, with their pauses: what is begun again before may
/// meet one that is under way.
pub(crate) const TRIES_TIME: Duration = Duration::from_secs(180);

/// The endings that this process is at.
#[derive(Debug)]
pub(crate) struct Salvages {
    permits: Semaphore,
    under_way: Mutex<HashSet<SandboxId>>,
}

impl Default for Salvages {
    fn default() -> Self {
        Self { permits: Semaphore::new(AT_ONCE), under_way: Mutex::default() }
    }
}

impl Salvages {
    fn under_way(&self) -> std::sync::MutexGuard<'_, HashSet<SandboxId>> {
        // A set is valid between any two steps, also when a holder panicked.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them; over when it is dropped.
struct UnderWay(App, SandboxId);

impl UnderWay {
    /// `None`: it is under way already.
    fn begin(app: &App, sandbox: SandboxId) -> Option<Self> {
        let begins = app.salvages.under_way().insert(sandbox);
        begins.then(|| Self(Arc::clone(app), sandbox))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.salvages.under_way().remove(&self.1);
    }
}

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
/// a report, or somebody else is at it. It goes on when nobody waits for it any more.
pub(crate) async fn then_end(
    app: &App,
    sandbox: SandboxId,
    outcome: Outcome,
    why: &str,
) -> Result<bool, StoreError> {
    let Some(under_way) = UnderWay::begin(app, sandbox) else { return Ok(false) };
    let why = why.to_owned();
    let work = app.tasks.spawn(async move {
        let UnderWay(app, sandbox) = &under_way;
        deliver_and_end(app, *sandbox, outcome, &why).await
    });
    work.await.unwrap_or_else(|error| {
        // It panicked; the next round finds the sandbox again.
        tracing::error!(%sandbox, %error, "ending a run did not come to its end");
        Ok(false)
    })
}

async fn deliver_and_end(
    app: &App,
    sandbox: SandboxId,
    outcome: Outcome,
    why: &str,
) -> Result<bool, StoreError> {
    let Ok(_permit) = app.salvages.permits.acquire().await else { return Ok(false) };
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
    is_under_way_of(app, sandbox.id, sandbox.salvage_claim.as_ref())
}

/// The same of one who is seen from afar.
pub(crate) fn is_under_way_of(app: &App, id: SandboxId, claim: Option<&Claim>) -> bool {
    app.salvages.under_way().contains(&id) || is_claimed(app, claim)
}

fn is_claimed(app: &App, claim: Option<&Claim>) -> bool {
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
    if is_claimed(app, found.salvage_claim.as_ref()) {
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
    let claim = Claim { by: app.provider.ourselves(), until };
    store::sandbox::salvage::claim(&mut write, sandbox, &claim, &token.hash()).await?;
    write.commit().await?;
    Ok(Next::Try { spec: run.spec.id, token })
}

async fn release(app: &App, sandbox: SandboxId) -> Result<(), StoreError> {
    let mut write = app.store.write().await?;
    store::sandbox::salvage::release(&mut write, sandbox).await?;
    write.commit().await
}
