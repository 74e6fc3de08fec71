//! Calls under way, on disk: what a worker that was started again knows of those that died with the
//! worker before it.
//!
//! What holds: a call stands here before its request goes out, with what is known of it so far, until
//! the run has its entry in the spool. What is left when the file is opened was never entered. The file
//! has its whole size from the beginning, so that no call waits for room on the disk.
//!
//! Deliberately absent: `fsync`. What is written survives this process, and only a worker that is
//! started again on the same running machine reads it; a call would wait for the disk for nothing.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use specwright_shared::ledger::Unfinished;
use specwright_shared::price::{PriceTable, Tokens};
use specwright_shared::wire::event::ModelCall;
use uuid::Uuid;

use super::account::weigh;

/// The most calls at the same time: more than an agent and all its sub-agents make.
const SLOTS: u16 = 256;
/// A slot's size. A record has some 400 bytes; none crosses a page, so that a kill leaves it whole.
const SLOT_BYTES: usize = 1024;
/// The most characters of a model's name that are kept. The longest known has 40.
const MODEL_MAX_CHARS: usize = 64;

/// What is known of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CallRecord {
    pub(super) call_id: Uuid,
    pub(super) model: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) told: Option<Tokens>,
    pub(super) beside_tokens: bool,
    pub(super) request_bytes: u64,
    pub(super) text_bytes: u64,
    pub(super) complete: bool,
}

impl CallRecord {
    pub(super) fn new(call_id: Uuid, request_bytes: u64) -> Self {
        Self {
            call_id,
            model: None,
            status: None,
            told: None,
            beside_tokens: false,
            request_bytes,
            text_bytes: 0,
            complete: false,
        }
    }

    pub(super) const fn unfinished(&self) -> Unfinished {
        Unfinished {
            request_bytes: self.request_bytes,
            told: self.told,
            text_bytes: self.text_bytes,
        }
    }

    /// The entry of a call whose worker did not live to make it.
    fn left(self, prices: &PriceTable) -> ModelCall {
        let weighed = weigh(prices, &self);
        ModelCall {
            call_id: self.call_id,
            request_id: None,
            status: self.status,
            tokens: self.told.unwrap_or_default(),
            cost_usd: weighed.cost.as_ref().ok().map(|cost| cost.usd()),
            counted_usd: weighed.counted.usd(),
            estimated: weighed.estimated,
            cost_unknown: weighed.cost.err(),
            prices_as_of: prices.as_of.clone(),
            complete: self.complete,
            duration_ms: 0,
            retry_after_secs: None,
            error: Some("the worker ended before this call was entered".to_owned()),
            model: self.model,
        }
    }
}

/// The file.
#[derive(Debug)]
pub struct Journal {
    file: File,
    slots: Mutex<Slots>,
}

#[derive(Debug)]
struct Slots {
    free: Vec<u16>,
    taken: BTreeMap<Uuid, u16>,
}

/// No slot is free.
#[derive(Debug)]
pub(super) struct Full;

impl Journal {
    /// Opens the file, and gives the entries of the calls that a worker before us left in it.
    ///
    /// # Errors
    /// The file cannot be read, or there is no room for it.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<ModelCall>)> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        let size = usize::from(SLOTS) * SLOT_BYTES;
        let mut bytes = vec![b' '; size];
        let there = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(size);
        file.read_exact_at(&mut bytes[..there], 0)?;
        // The same bytes again: from now on the room is ours.
        file.write_all_at(&bytes, 0)?;
        let prices = PriceTable::built_in();
        let mut slots = Slots { free: Vec::new(), taken: BTreeMap::new() };
        let mut left = Vec::new();
        for (slot, bytes) in (0..SLOTS).zip(bytes.chunks_exact(SLOT_BYTES)) {
            match serde_json::from_slice::<CallRecord>(bytes) {
                Ok(record) => {
                    slots.taken.insert(record.call_id, slot);
                    left.push(record.left(&prices));
                }
                Err(_) => slots.free.push(slot),
            }
        }
        Ok((Self { file, slots: Mutex::new(slots) }, left))
    }

    /// A call begins.
    pub(super) fn begin(&self, call: &CallRecord) -> Result<(), Full> {
        {
            let mut slots = self.slots();
            let slot = slots.free.pop().ok_or(Full)?;
            slots.taken.insert(call.call_id, slot);
        }
        self.note(call);
        Ok(())
    }

    /// More is known of a call.
    pub(super) fn note(&self, call: &CallRecord) {
        let Some(slot) = self.slots().taken.get(&call.call_id).copied() else { return };
        let short = |model: &String| model.chars().take(MODEL_MAX_CHARS).collect();
        let call = CallRecord { model: call.model.as_ref().map(short), ..call.clone() };
        // Numbers, ids and a short name: it can be encoded, and fits.
        let mut bytes = serde_json::to_vec(&call).unwrap_or_default();
        bytes.resize(SLOT_BYTES, b' ');
        self.write(slot, &bytes);
    }

    /// The entry of a call is in the spool.
    pub fn entered(&self, call: Uuid) {
        let Some(slot) = self.slots().taken.remove(&call) else { return };
        self.write(slot, &[b' '; SLOT_BYTES]);
        self.slots().free.push(slot);
    }

    fn write(&self, slot: u16, bytes: &[u8]) {
        let at = u64::from(slot) * SLOT_BYTES as u64;
        if let Err(error) = self.file.write_all_at(bytes, at) {
            // The ledger of this process has the call all the same.
            tracing::warn!(%error, "a call of the model could not be written down before its end");
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Each change is whole before anything can panic.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
