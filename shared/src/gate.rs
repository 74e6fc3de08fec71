//! Gates: the checks that a phase's output must pass, one file per phase.

use crate::documents::{Accepted, Document};
use crate::finding::Finding;

/// What a gate says about an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// 0 to 1; lowered by warnings.
    pub score: f64,
    /// What is wrong, errors first.
    pub findings: Vec<Finding>,
}

/// Whether the repository has a path, where that can be known (the worker knows, the control API
/// does not).
pub type HasFile<'a> = Option<&'a dyn Fn(&str) -> bool>;

/// Judges a phase's output.
#[must_use]
pub fn judge(_document: &Document, _earlier: &Accepted, _has_file: HasFile<'_>) -> Verdict {
    Verdict { score: 0.0, findings: vec![] }
}
