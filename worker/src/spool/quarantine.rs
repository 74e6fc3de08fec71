//! Events that the control API refused for good, kept with its reason for whoever looks into it.
//!
//! Not part of what is delivered, never read back, and bounded by itself beside the spool's limit. A refusal that is heard again, by a worker
//! that was started again, may stand here twice.

use std::fs::OpenOptions;
use std::io::{self, Write as _};

use serde::Serialize;
use specwright_shared::wire::event::RawEvent;

use super::SpoolReader;

/// The file's name.
const QUARANTINE_FILE: &str = "refused.jsonl";
/// Beyond this no more is kept: the first refusals of a defect tell as much as the thousandth.
const QUARANTINE_MAX_BYTES: u64 = 1024 * 1024;

#[derive(Serialize)]
struct Refused<'a> {
    reason: &'a str,
    event: &'a RawEvent,
}

impl SpoolReader {
    /// Keeps a refused event aside; says whether there was room.
    pub(crate) fn quarantine(&self, event: &RawEvent, reason: &str) -> io::Result<bool> {
        let path = self.directory().join(QUARANTINE_FILE);
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut line = serde_json::to_vec(&Refused { reason, event })?;
        line.push(b'\n');
        if file.metadata()?.len() + line.len() as u64 > QUARANTINE_MAX_BYTES {
            return Ok(false);
        }
        file.write_all(&line)?;
        file.sync_data()?;
        Ok(true)
    }
}
