//! A script that knows the phases of a spec: what is not written into it goes well.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use specwright_shared::phase::Phase;

use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Block};
use super::ask::Ask;
use crate::sample;

/// Answers per phase, given in their order; when a phase has none left (or never had any) the model
/// gives the phase's [`sample`] document.
#[derive(Debug, Default)]
pub struct Playbook {
    planned: Mutex<BTreeMap<Phase, VecDeque<Answer>>>,
}

impl Playbook {
    /// One in which everything goes well.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next answers of a phase, before it goes well.
    #[must_use]
    pub fn with(self, phase: Phase, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.lock().entry(phase).or_default().extend(answers);
        self
    }

    /// The next answer of a phase is its document, whole, when it is let go.
    #[must_use]
    pub fn held(self, phase: Phase, release: &CancellationToken) -> Self {
        let document = vec![Block::output(sample::document(phase))];
        self.with(phase, [Answer::Hold(release.clone(), document)])
    }

    /// The script.
    pub fn script(self) -> impl Fn(&Ask) -> Answer + Send + Sync + 'static {
        move |ask| self.answer(ask)
    }

    fn answer(&self, ask: &Ask) -> Answer {
        let Some(phase) = ask.phase() else {
            // Not about a document: the CLI asks the model for small things of its own, e.g. titles.
            return Answer::text("ok");
        };
        let planned = self.lock().get_mut(&phase).and_then(VecDeque::pop_front);
        planned.unwrap_or_else(|| Answer::output(sample::document(phase)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Phase, VecDeque<Answer>>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
