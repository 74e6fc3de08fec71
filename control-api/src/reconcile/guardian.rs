//! The built-in guardian: rules only, off unless settings or the run say otherwise.
//!
//! What holds: it goes through the same door as every other guardian, so it is held to the same
//! ceilings; what it would do is decided by a pure function of `shared` from what happened since the
//! last intervention.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use specwright_shared::guardian::{Judged, Settings, propose};
use specwright_shared::phase::SandboxState;
use specwright_shared::trajectory::Fold;
use specwright_shared::wire::spec::RunOptions;

use super::tally::Tally;
use crate::app::App;
use crate::intervene::{Done, Guardian, InterveneError, intervene, settings_of};
use crate::store::sandbox::Sandbox;
use crate::store::{self, StoreError};

/// What it is called where others have a user's name; none of these has a space.
const NAME: &str = "built-in guardian";
/// How many of the newest events it looks at: the rules count to a dozen.
const EVENTS: u64 = 500;

/// Looks once.
pub(super) async fn round(app: &App) -> Result<u64, StoreError> {
    let mut session = app.store.read().await?;
    let sandboxes = store::sandbox::list::not_ended(&mut session).await?;
    let standings = store::liveness::standings(&mut session).await?;
    let (mut of_projects, mut tally) = (HashMap::new(), Tally::default());
    let mut guarded = Vec::new();
    for sandbox in sandboxes.into_iter().filter(needs_one) {
        let Some(standing) = standings.get(&sandbox.id) else { continue };
        // Asked for once of a project: it is off for most of a large fleet, most of the time.
        let settings = match of_projects.entry(standing.project) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let any = RunOptions::default();
                match settings_of(app, &mut session, standing.project, &any).await {
                    Ok(settings) => new.insert(settings),
                    Err(error) => {
                        tally.add(sandbox.id, Err(error));
                        continue;
                    }
                }
            }
        };
        if sandbox.options.guardian.unwrap_or(settings.on) {
            guarded.push((sandbox, settings.clone()));
        }
    }
    drop(session);
    for (sandbox, settings) in guarded {
        tally.add(sandbox.id, look(app, &sandbox, &settings).await);
    }
    tally.end()
}

/// Who is to end already needs no guardian.
fn needs_one(sandbox: &Sandbox) -> bool {
    sandbox.state == SandboxState::Active
        && sandbox.stop_reason.is_none()
        && !sandbox.pause_requested
}

async fn look(app: &App, sandbox: &Sandbox, settings: &Settings) -> Result<bool, StoreError> {
    let mut session = app.store.read().await?;
    let Some(spec) = store::spec::find(&mut session, sandbox.spec_id).await? else {
        return Ok(false);
    };
    let made = store::intervention::list(&mut session, sandbox.id).await?;
    let since = made.last().map_or(0, |last| last.seq);
    let since = since.max(sandbox.acked_seq.saturating_sub(EVENTS));
    let events = store::event::recent::behind(&mut session, sandbox.id, since, None).await?;
    drop(session);
    let mut fold = Fold::default();
    events.iter().for_each(|event| fold.take(event));
    let views: Vec<_> = made.into_iter().map(|one| one.view).collect();
    let Some(proposal) = propose(&fold, Judged::of(&views), spec.current_phase, settings) else {
        return Ok(false);
    };
    // A round that is broken off and done again finds its own intervention.
    let key = format!("built-in-{}", events.last().map_or(since, |event| event.seq));
    let guardian = Guardian { name: NAME, key: &key, trace: None };
    match intervene(app, sandbox.id, guardian, &proposal).await {
        Ok(Done::Now(_)) => Ok(true),
        Ok(Done::Before(_)) => Ok(false),
        Err(InterveneError::Store(error)) => Err(error),
        Err(refused) => {
            tracing::debug!(sandbox = %sandbox.id, %refused, "the built-in guardian was refused");
            Ok(false)
        }
    }
}
