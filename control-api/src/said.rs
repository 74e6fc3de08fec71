//! What people and guardians say to a run, or about it, without what the run was entrusted with.
//!
//! What holds: such words are cleaned before they are compared, stored, told to an agent, streamed or
//! logged; while it is not known what the run was entrusted with, they are not taken.

use std::sync::Arc;
use std::time::Duration;

use specwright_shared::id::SandboxId;
use specwright_shared::redact::Redactor;
use specwright_shared::text::{Line, Text};
use specwright_shared::wire::problem::ProblemType;

use crate::app::App;
use crate::credentials::EntrustError;
use crate::problem::Refusal;
use crate::store::{self, StoreError};

/// Why words cannot be cleaned.
#[derive(Debug, thiserror::Error)]
#[error("what is said cannot be cleaned of the run's keys now, so it was not taken")]
pub(crate) struct CleanError(#[source] EntrustError);

impl Refusal for CleanError {
    fn kind(&self) -> ProblemType {
        self.0.kind()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.0.key_away()
    }
}

/// Cleans words.
#[derive(Debug)]
pub(crate) struct Cleaner(Arc<Redactor>);

impl Cleaner {
    /// For what is said to the run of a sandbox, or about it.
    pub(crate) async fn of(app: &App, sandbox: SandboxId) -> Result<Self, CleanError> {
        let found = async {
            let mut session = app.store.read().await?;
            store::sandbox::find(&mut session, sandbox).await
        };
        let found = found.await.map_err(|error: StoreError| CleanError(error.into()))?;
        let redactor = match found {
            Some(found) => app.redactors.of(app, sandbox, found.generation).await,
            None => Ok(Arc::new(app.redactor.clone())),
        };
        redactor.map(Self).map_err(CleanError)
    }

    /// One line. What no longer fits, because a mark is longer than what it hides, is cut.
    pub(crate) fn line(&self, line: &Line) -> Line {
        // The mark itself is left of any text.
        Line::fitted(&self.0.text(line)).unwrap_or_else(|| line.clone())
    }

    /// Any text; cut likewise.
    pub(crate) fn text<const MAX: usize>(&self, text: &Text<MAX>) -> Text<MAX> {
        match self.0.text(text) {
            // As it was said, to the space.
            std::borrow::Cow::Borrowed(_) => text.clone(),
            std::borrow::Cow::Owned(clean) => Text::fitted(&clean).unwrap_or_else(|| text.clone()),
        }
    }
}
