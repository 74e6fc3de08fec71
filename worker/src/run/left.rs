//! Calls of the model whose worker did not live to enter them.
//!
//! What holds: each is entered once, by whichever worker comes next in the same place: one that goes on
//! with the run, or one that only delivers what is left of it.

use std::io;

use specwright_shared::ledger::Ledger;
use specwright_shared::price::NanoUsd;
use specwright_shared::wire::event::{Event, ModelCall};

use super::drive::now;
use crate::config::Config;
use crate::gateway::Journal;
use crate::spool::{Spool, SpoolError};

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
pub(super) async fn record(config: &Config, mut ledger: Ledger, spool: &Spool) {
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
