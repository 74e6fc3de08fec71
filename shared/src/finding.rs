//! What a gate says about a document: typed, exact, and with the way out.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much a finding weighs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth saying; lowers the score.
    Warning,
    /// Fails the attempt, whatever the score.
    Error,
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// A stable word for the rule, e.g. `requirement_not_covered`.
    pub code: String,
    /// Where in the document, as a path: `tasks[3].depends_on[0]`.
    #[serde(rename = "where")]
    pub at: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do about it, in a sentence.
    pub fix: String,
}

impl Finding {
    /// A finding that fails the attempt.
    #[must_use]
    pub fn error(
        code: &'static str,
        at: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            code: code.to_owned(),
            at: at.into(),
            message: message.into(),
            fix: fix.into(),
        }
    }

    /// A finding that lowers the score only.
    #[must_use]
    pub fn warning(
        code: &'static str,
        at: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, at, message, fix) }
    }

    /// Whether it fails the attempt.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(self.severity, Severity::Error)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity} {} at {}: {} {}", self.code, self.at, self.message, self.fix)
    }
}
