//! Workers' spools as they stand on disk, read from outside and while they are being written.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use specwright_shared::phase::Phase;

use super::plan::Point;

/// What is looked at of an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Durable {
    /// Its number.
    pub seq: u64,
    /// Its id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its phase.
    #[serde(default)]
    pub phase: Option<Phase>,
}

/// The state directories of all sandboxes below a data directory.
#[must_use]
pub fn states(data: &Path) -> Vec<PathBuf> {
    let Ok(sandboxes) = fs::read_dir(data.join("sandboxes")) else { return Vec::new() };
    sandboxes
        .filter_map(|entry| Some(entry.ok()?.path().join("state")))
        .filter(|state| state.is_dir())
        .collect()
}

/// The events in the spool of a state directory, as far as they are still there: what was
/// acknowledged may have been deleted.
#[must_use]
pub fn read(state: &Path) -> Vec<Durable> {
    let Ok(files) = fs::read_dir(state.join("spool")) else { return Vec::new() };
    let mut events: Vec<Durable> = files
        .filter_map(|entry| fs::read(entry.ok()?.path()).ok())
        .flat_map(|bytes| lines(&bytes))
        .collect();
    events.sort_by_key(|event| event.seq);
    events
}

/// The events on whole lines. A line is a checksum and an event; one without its end is not durable.
fn lines(bytes: &[u8]) -> Vec<Durable> {
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
    bytes[..end]
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let begin = line.iter().position(|byte| *byte == b'{')?;
            serde_json::from_slice(&line[begin..]).ok()
        })
        .collect()
}

/// Whether a point is reached, by what is durable.
#[must_use]
pub fn reached(point: &Point, durable: &[Durable]) -> bool {
    match point {
        Point::Launched => true,
        Point::Events(count) => durable.last().is_some_and(|event| event.seq >= *count),
        Point::Step { kind, phase } => durable
            .iter()
            .any(|event| event.kind == *kind && (phase.is_none() || event.phase == *phase)),
    }
}

/// Whether the run that wrote this is over.
#[must_use]
pub fn is_over(durable: &[Durable]) -> bool {
    durable.iter().any(|event| is_terminal(&event.kind))
}

/// Whether an event of this type ends a run.
#[must_use]
pub fn is_terminal(kind: &str) -> bool {
    matches!(kind, "spec.execution_completed" | "spec.execution_failed")
}
