//! What a worker did not live to record: calls of the model that were under way, and the documents of
//! the phase that it had just accepted.
//!
//! What holds: each is recorded by whichever worker comes next in the same place: one that goes on with
//! the run, or one that only delivers what is left of it. A call is entered once.

use std::io;

use specwright_shared::ledger::Ledger;
use specwright_shared::price::NanoUsd;
use specwright_shared::render::About;
use specwright_shared::wire::event::{Event, ModelCall};

use super::attempt::with_causes;
use super::drive::now;
use crate::config::Config;
use crate::gateway::Journal;
use crate::phases;
use crate::spool::{Fold, Spool, SpoolError};

/// Where the calls stand that are under way, in STATE_DIR.
const CALLS_FILE: &str = "calls";

/// Opens the journal; what was left in it is in the ledger now, and is to be recorded.
pub(super) fn calls(config: &Config, ledger: &mut Ledger) -> io::Result<(Journal, Vec<ModelCall>)> {
    let (journal, left) = Journal::open(&config.state_dir.join(CALLS_FILE))?;
    let (recorded, left): (Vec<_>, Vec<_>) =
        left.into_iter().partition(|call| ledger.has(call.call_id));
    for call in recorded {
        // The worker before us died between the spool and the journal.
        journal.entered(call.call_id);
    }
    for call in &left {
        let cost = call.cost_usd.map(NanoUsd::from_usd);
        ledger.enter(call.call_id, cost, NanoUsd::from_usd(call.counted_usd));
    }
    Ok((journal, left))
}

/// Records what was left, where no run goes on. A full disk is no reason not to deliver the rest.
pub(super) async fn record(config: &Config, fold: Fold, spool: &Spool) {
    if let Err(error) = documents(config, &fold, spool).await {
        tracing::warn!(%error, "the documents of the last accepted phase are not recorded");
    }
    last_calls(config, fold.ledger, spool).await;
}

/// Makes the documents of the last accepted phase that were not made. The run's title and whether it
/// was a rehearsal stand in the spool: a job that is to be delivered has neither.
async fn documents(config: &Config, fold: &Fold, spool: &Spool) -> Result<(), SpoolError> {
    let Some((phase, written)) = &fold.unwritten else { return Ok(()) };
    let Some(document) = fold.accepted.get(phase).and_then(Option::as_ref) else { return Ok(()) };
    let Some(announced) = &fold.announced else { return Ok(()) };
    let about = About {
        spec_id: config.spec_id,
        title: &announced.title,
        rehearsal: announced.rehearsal,
        at: now(),
    };
    let made = phases::write_documents(document, &about, &config.output_dir);
    for artifact in made.artifacts.into_iter().filter(|one| !written.contains(&one.name)) {
        spool.record(now(), Some(*phase), Event::ArtifactCreated(artifact)).await?;
    }
    if let Some(error) = made.error {
        tracing::warn!(error = with_causes(&error), "a document is not in its file");
    }
    Ok(())
}

async fn last_calls(config: &Config, mut ledger: Ledger, spool: &Spool) {
    let (journal, left) = match calls(config, &mut ledger) {
        Ok(opened) => opened,
        Err(error) => return tracing::warn!(%error, "the last calls of the model are not known"),
    };
    for call in left {
        let call_id = call.call_id;
        let recorded: Result<u64, SpoolError> =
            spool.record(now(), None, Event::ModelCall(call)).await;
        match recorded {
            Ok(_) => journal.entered(call_id),
            Err(error) => tracing::warn!(%error, "a call of the model is not recorded"),
        }
    }
}
