//! Whether a run whose sandbox ends goes on in another one.
//!
//! What holds: nobody asked the run to stop; a control API that lives as long as one command takes up
//! only what it watches itself; the ending is one after which runs are started again;
//! the bound of the run, or of its project, is not used up; the spec's breaker is closed. The token of
//! the next sandbox is made when its place is ([`crate::reconcile`], `unstarted`): until then none
//! opens it.

use specwright_shared::id::SandboxId;
use specwright_shared::liveness::policy::restarts;
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::SandboxState;
use specwright_shared::wire::spec::RunOptions;
use uuid::Uuid;

use crate::app::Api;
use crate::auth::SandboxToken;
use crate::breaker;
use crate::run::Run;
use crate::store::sandbox::NewSandbox;
use crate::store::{self, StoreError, Write};

/// Whether a run goes on.
pub(crate) enum Restart {
    /// It ends with its sandbox.
    No,
    /// It would, and is not let: why.
    Refused(String),
    /// In this sandbox; which restart it is.
    In(Box<NewSandbox>, u32),
}

/// Whether the run of a sandbox that ends like this goes on in another one.
pub(crate) async fn wanted(
    app: &Api,
    write: &mut Write,
    run: &Run,
    outcome: Outcome,
) -> Result<Restart, StoreError> {
    let sandbox = &run.sandbox;
    if !app.makes_places() || sandbox.state == SandboxState::Ended {
        return Ok(Restart::No);
    }
    if !app.provider.places_outlive_us() && !app.provider.observes(sandbox.id) {
        return Ok(Restart::No);
    }
    let Some(watched) = store::liveness::find(write, sandbox.id).await? else {
        return Ok(Restart::No);
    };
    // A person asked it to stop, or to pause: what is lost then is not to go on.
    let by_a_person = sandbox.stop_reason.is_some() && watched.stop_outcome.is_none();
    if by_a_person || sandbox.pause_requested {
        return Ok(Restart::No);
    }
    let settings = app.settings_of(write, run.spec.project_id).await?;
    if !restarts(outcome, watched.restart, sandbox.options.restarts, &settings) {
        return Ok(Restart::No);
    }
    if let Some(why) = breaker::open(write, &run.spec, &settings, run.now()).await? {
        tracing::warn!(spec = %run.spec.id, why, "a run is not started again");
        return Ok(Restart::Refused(why));
    }
    let Ok(token) = SandboxToken::generate() else { return Ok(Restart::No) };
    let next = NewSandbox {
        id: SandboxId(Uuid::now_v7()),
        spec_id: run.spec.id,
        provider: app.provider.name(),
        // Nobody has it: who makes the place makes another one.
        token_hash: token.hash(),
        lease_expires_at: run.now().plus(app.lease),
        agent: sandbox.agent.clone(),
        // What was to be done anew was set aside when the run was asked for.
        options: RunOptions { from: None, ..sandbox.options.clone() },
        created_at: run.now(),
        // It is the same run that goes on.
        traceparent: sandbox.traceparent,
    };
    Ok(Restart::In(Box::new(next), watched.restart + 1))
}
