//! The built-in guardian: rules only, off unless settings or the run say otherwise.
//!
//! What holds: it goes through the same door as every other guardian, so it is held to the same
//! ceilings; what it would do is decided by a pure function of `shared` from what happened since the
//! last intervention.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use specwright_shared::guardian::{Judged, Settings, propose};
use specwright_shared::id::SandboxId;
use specwright_shared::trajectory::Fold;
use specwright_shared::wire::spec::RunOptions;

use super::living::Living;
use super::tally::Tally;
use crate::app::App;
use crate::intervene::{Done, Guardian, InterveneError, intervene, settings_of};
use crate::store::{self, StoreError};

/// What it is called where others have a user's name; none of these has a space.
const NAME: &str = "built-in guardian";
/// How many of the newest events it looks at: the rules count to a dozen.
const EVENTS: u64 = 500;

/// Looks once.
pub(super) async fn round(app: &App) -> Result<u64, StoreError> {
    let (mut of_projects, mut tally) = (HashMap::new(), Tally::default());
    let mut living = Living::default();
    loop {
        let mut session = app.store.read().await?;
        let Some(some) = living.next(&mut session).await? else { return tally.end() };
        let mut guarded = Vec::new();
        // Who is to end already needs no guardian.
        for standing in some.into_iter().filter(|standing| standing.goes_on) {
            // Asked for once of a project: it is off for most of a large fleet, most of the time.
            let settings = match of_projects.entry(standing.project) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let any = RunOptions::default();
                    match settings_of(app, &mut session, standing.project, &any).await {
                        Ok(settings) => new.insert(settings),
                        Err(error) => {
                            tally.add(standing.id, Err(error));
                            continue;
                        }
                    }
                }
            };
            if standing.guardian.unwrap_or(settings.on) {
                guarded.push((standing.id, settings.clone()));
            }
        }
        drop(session);
        for (sandbox, settings) in guarded {
            tally.add(sandbox, look(app, sandbox, &settings).await);
        }
    }
}

async fn look(app: &App, id: SandboxId, settings: &Settings) -> Result<bool, StoreError> {
    let mut session = app.store.read().await?;
    let Some(sandbox) = store::sandbox::find(&mut session, id).await? else { return Ok(false) };
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
