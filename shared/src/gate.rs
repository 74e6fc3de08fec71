//! Gates: the checks that a phase's output must pass, one file per phase.
//!
//! Holds: an error fails the output whatever its score; findings come errors first, then in the
//! document's order, and are bounded in number; the same document gives the same verdict. The worker
//! and the control API call the same function, so that a claim made by one can be checked by the
//! other. Deliberately absent: opinions on content. Everything here can be computed.

mod design;
mod explore;
mod findings;
mod requirements;
mod sync;
mod tasks;
#[cfg(test)]
mod tests;

use crate::documents::{Accepted, Design, Document, Requirements, Tasks};
use crate::finding::Finding;
use findings::Findings;

/// The least score that passes. Warnings of one rule cost at most 0.15, so one bad habit cannot fail
/// an output, and three can.
pub const PASS_SCORE: f64 = 0.7;

/// The most findings that a verdict holds, but for one that says how many were left out: what a
/// model can mend in one attempt, and what keeps a repair message short.
pub const MAX_FINDINGS: usize = 50;

/// What a gate says about an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// 0 to 1; lowered by warnings.
    pub score: f64,
    /// What is wrong, errors first.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Whether the output is good enough: no error, and a score of at least [`PASS_SCORE`].
    #[must_use]
    pub fn passes(&self) -> bool {
        self.score >= PASS_SCORE && !self.findings.iter().any(Finding::is_error)
    }
}

/// Whether the repository has a path, where that can be known (the worker knows, the control API
/// does not).
pub type HasFile<'a> = Option<&'a dyn Fn(&str) -> bool>;

/// Judges a phase's output in the light of the outputs that were accepted before.
#[must_use]
pub fn judge(document: &Document, earlier: &Accepted, has_file: HasFile<'_>) -> Verdict {
    let mut findings = Findings::default();
    match document {
        Document::Explore(document) => explore::check(document, has_file, &mut findings),
        Document::Requirements(document) => requirements::check(document, earlier, &mut findings),
        Document::Design(document) => design::check(document, earlier, &mut findings),
        Document::Tasks(document) => tasks::check(document, earlier, has_file, &mut findings),
        Document::Sync(document) => sync::check(document, earlier, &mut findings),
    }
    findings.into_verdict()
}

/// What makes it impossible to bring three documents together, as errors only; each says in which
/// document it is.
pub(crate) fn inconsistencies(
    requirements: &Requirements,
    design: &Design,
    tasks: &Tasks,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut collect = |document: &str, findings: Findings| {
        for mut finding in findings.into_errors() {
            finding.at = format!("{document}.{}", finding.at);
            found.push(finding);
        }
    };
    let mut findings = Findings::default();
    requirements::references(requirements, &mut findings);
    collect("requirements", findings);
    let mut findings = Findings::default();
    design::references(design, requirements, &mut findings);
    collect("design", findings);
    let mut findings = Findings::default();
    tasks::references(tasks, requirements, &mut findings);
    collect("tasks", findings);
    found
}
