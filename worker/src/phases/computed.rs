//! What code computes: `sync` and `complete`.

use specwright_shared::coverage;
use specwright_shared::documents::{Accepted, Document};
use specwright_shared::finding::Finding;
use specwright_shared::gate::{self, Verdict};
use specwright_shared::phase::Phase;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Computed {
    /// `sync`: the document and its gate's verdict.
    Synchronised {
        /// The document.
        document: Box<Document>,
        /// What the gate says.
        verdict: Verdict,
    },
    /// `complete`: nothing is left to do.
    Completed,
    /// It cannot be computed, and would not be the next time either.
    Impossible(Vec<Finding>),
}

/// Computes a phase from the outputs before it.
pub(crate) fn compute(phase: Phase, accepted: &Accepted) -> Computed {
    if phase == Phase::Complete {
        let missing = accepted.first_missing();
        if missing == Phase::Complete {
            return Computed::Completed;
        }
        return Computed::Impossible(vec![missing_output(missing)]);
    }
    let Accepted {
        requirements: Some(requirements), design: Some(design), tasks: Some(tasks), ..
    } = accepted
    else {
        return Computed::Impossible(vec![missing_output(accepted.first_missing())]);
    };
    match coverage::synchronise(requirements, design, tasks) {
        Ok(sync) => {
            let document = Document::Sync(Box::new(sync));
            let verdict = gate::judge(&document, accepted, None);
            Computed::Synchronised { document: Box::new(document), verdict }
        }
        Err(findings) => Computed::Impossible(findings),
    }
}

fn missing_output(phase: Phase) -> Finding {
    Finding::error(
        "missing_context",
        phase.as_str(),
        format!("There is no accepted output of the phase {phase}."),
        format!("Run again from {phase}."),
    )
}
