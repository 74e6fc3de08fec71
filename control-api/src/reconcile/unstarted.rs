//! What was asked for and is not there: sandboxes without a place and nobody who makes one (a restart
//! that is due, or a control API that died between its commit and the place), and specs that count as
//! executing and have no sandbox.
//!
//! What holds: who makes a place has taken that on by a compare-and-set with a new token, so that the
//! token of an earlier try opens nothing. Deliberately absent: bounds of tries. Each start that fails
//! ends its sandbox, and the breaker counts sandboxes.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use specwright_shared::id::{EventId, SandboxId, SpecId};
use specwright_shared::outcome::Outcome;
use specwright_shared::phase::SpecStatus;
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::{Event, ExecutionFailed, RawEvent};
use uuid::Uuid;

use super::tally::Tally;
use crate::app::App;
use crate::auth::SandboxToken;
use crate::execution;
use crate::problem::chain;
use crate::sandboxes::Start;
use crate::store::event::Recorded;
use crate::store::{self, StoreError};

/// How long who asked for a sandbox may take to make its place: longer than the request may
/// (`routes::START_TIME`).
const MAKING: Duration = Duration::from_secs(60);

/// Said of a spec that executes without a sandbox.
const NO_SANDBOX: &str = "it counted as executing and had no sandbox";

/// Looks once.
pub(super) async fn round(app: &App) -> Result<u64, StoreError> {
    let now = app.now();
    let mut session = app.store.read().await?;
    let specs = store::start::without_sandbox(&mut session).await?;
    let sandboxes = store::start::unstarted(&mut session, now, silent_since(now)).await?;
    drop(session);
    let mut tally = Tally::default();
    for id in specs {
        tally.add(id, fail(app, id, now).await);
    }
    if app.makes_places() && app.provider.places_outlive_us() {
        for sandbox in sandboxes {
            tally.add(sandbox, make(app, sandbox).await);
        }
    }
    tally.end()
}

/// Fails a spec that still executes without a sandbox, and says so to who follows it.
async fn fail(app: &App, id: SpecId, now: Timestamp) -> Result<bool, StoreError> {
    let mut write = app.store.write().await?;
    let Some(mut spec) = store::spec::lock(&mut write, id).await? else { return Ok(false) };
    if spec.sandbox_id.is_some() || spec.status != SpecStatus::Executing {
        return Ok(false);
    }
    spec.status = SpecStatus::Failed;
    spec.reason = Some(Outcome::Lost);
    spec.message = Some(NO_SANDBOX.to_owned());
    spec.updated_at = now;
    spec.events += 1;
    let report = Event::ExecutionFailed(ExecutionFailed {
        outcome: Outcome::Lost,
        failed_phase: Some(spec.current_phase),
        message: NO_SANDBOX.to_owned(),
        // Of a sandbox, and there is none.
        cost_usd: 0.0,
        duration_ms: 0,
    });
    let report = RawEvent {
        seq: 0,
        id: EventId(Uuid::now_v7()),
        kind: report.kind().to_owned(),
        at: now,
        phase: Some(spec.current_phase),
        trace_id: None,
        data: report.data(),
    };
    let recorded = vec![Recorded::new(spec.events, None, &report)];
    store::event::insert(&mut write, id, recorded, now).await?;
    store::spec::save(&mut write, &spec).await?;
    write.commit().await?;
    Ok(true)
}

/// Makes the place of a sandbox that was asked for, if nobody else is at it. Boxed, because a place
/// that cannot be made may end in another one.
pub(crate) fn make_place(app: App, sandbox: SandboxId) -> BoxFuture<'static, ()> {
    let made = async move {
        if let Err(error) = make(&app, sandbox).await {
            tracing::error!(%sandbox, error = chain(&error), "a place could not be made");
        }
    };
    made.boxed()
}

fn silent_since(now: Timestamp) -> Timestamp {
    let micros = i64::try_from(MAKING.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(micros))
}

async fn make(app: &App, id: SandboxId) -> Result<bool, StoreError> {
    let now = app.now();
    let token = match SandboxToken::generate() {
        Ok(token) => token,
        Err(error) => {
            tracing::error!(%error, "no random bytes can be had for a token");
            return Ok(false);
        }
    };
    let mut write = app.store.write().await?;
    let (hash, until) = (token.hash(), (now.plus(MAKING), now.plus(MAKING + app.lease)));
    let silent = silent_since(now);
    if !store::start::take_start(&mut write, id, hash, now, silent, until).await? {
        return Ok(false);
    }
    let Some(sandbox) = store::sandbox::find(&mut write, id).await? else { return Ok(false) };
    write.commit().await?;
    let (spec, options, traceparent) = (sandbox.spec_id, sandbox.options, sandbox.traceparent);
    let start = Start { sandbox: id, spec, token, options, traceparent };
    tracing::info!(sandbox = %id, %spec, "a sandbox that was asked for is made");
    // In a task of its own: a round that is cut off must not leave a place half made.
    let there = app.clone();
    let made = app.tasks.spawn(async move { execution::make_place(&there, start).await });
    match made.await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(sandbox = %id, error = chain(&error), "no place was made"),
        Err(error) => tracing::error!(sandbox = %id, %error, "making a place did not end"),
    }
    Ok(true)
}
