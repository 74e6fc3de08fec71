//! The gate of `sync`: it is computed again and compared. A claim counts for nothing.

use serde_json::Value;

use super::findings::{Findings, needed};
use crate::coverage::synchronise;
use crate::documents::{Accepted, Sync};
use crate::phase::Phase;

pub(super) fn check(sync: &Sync, earlier: &Accepted, findings: &mut Findings) {
    let requirements = needed(earlier.requirements.as_deref(), Phase::Requirements, findings);
    let design = needed(earlier.design.as_deref(), Phase::Design, findings);
    let tasks = needed(earlier.tasks.as_deref(), Phase::Tasks, findings);
    let (Some(requirements), Some(design), Some(tasks)) = (requirements, design, tasks) else {
        return;
    };
    let computed = match synchronise(requirements, design, tasks) {
        Ok(computed) => computed,
        Err(inconsistencies) => return findings.extend(inconsistencies),
    };
    if computed == *sync {
        return;
    }
    // Field by field as JSON, to say where.
    let (claimed, computed) = (serde_json::to_value(sync), serde_json::to_value(&computed));
    let (Ok(Value::Object(claimed)), Ok(Value::Object(computed))) = (claimed, computed) else {
        return differs(".", findings);
    };
    for (field, value) in computed {
        if claimed.get(&field) != Some(&value) {
            differs(&field, findings);
        }
    }
}

fn differs(at: &str, findings: &mut Findings) {
    findings.error(
        "sync_differs",
        at,
        "This is not what follows from requirements, design and tasks.",
        "Compute `sync` from the accepted outputs again.",
    );
}
