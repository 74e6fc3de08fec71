//! What each refusal of a batch leads to.

use specwright_shared::excerpt::Excerpt;
use specwright_shared::wire::event::{Decoded, Event, EventRefused, Marks, RawEvent};
use specwright_shared::wire::problem::{Problem, ProblemType};
use specwright_shared::wire::sandbox::Batch;

use super::{Courier, DeliverProblem, Next};
use crate::api::ApiError;

/// The most bytes of a refusal's words that are kept in the event that replaces another.
const REASON_MAX_BYTES: usize = 2000;

/// Whether the course of the run hangs on an event: without it the control API and the worker hold
/// two different runs.
fn decides(event: &RawEvent) -> bool {
    let output = |known: &Event| matches!(known, Event::PhaseCompleted(_));
    Marks::of(&event.kind).terminal
        || matches!(event.decode(), Ok(Decoded::Known(known)) if output(&known))
}

impl Courier {
    /// The table of reactions.
    pub(super) async fn refused(&mut self, batch: &Batch, error: &ApiError) -> Next {
        let ApiError::Refused(problem) = error else {
            if matches!(error, ApiError::Strange { status: 413, .. }) {
                return self.too_large(batch, &error.to_string()).await;
            }
            self.tell_refused(&error.to_string()).await;
            return Next::Pause;
        };
        match problem.kind {
            ProblemType::Fenced => {
                self.tell(DeliverProblem::Fenced).await;
                Next::End
            }
            ProblemType::SequenceGap => self.gap(batch, problem).await,
            ProblemType::TooLarge => self.too_large(batch, &problem.detail).await,
            ProblemType::InvalidEvent | ProblemType::GateRefused => {
                let refused = problem
                    .seq
                    .and_then(|seq| batch.events.iter().find(|event| event.seq == seq).cloned());
                match refused {
                    Some(event) => self.replace(event, problem.kind, &problem.detail).await,
                    None => {
                        self.tell_refused(&error.to_string()).await;
                        Next::Pause
                    }
                }
            }
            _ => {
                self.tell_refused(&error.to_string()).await;
                Next::Pause
            }
        }
    }

    /// Goes on from the number that is expected, if we have it.
    async fn gap(&mut self, batch: &Batch, problem: &Problem) -> Next {
        let first = batch.events.first().map_or(0, |event| event.seq);
        match problem.seq {
            Some(expected) if (1..first).contains(&expected) => {
                tracing::warn!(expected, first, "the control API asks for earlier events");
                self.reader.go_back_before(expected);
                let durable = *self.durable.borrow();
                let next = self.reader.batch(durable, 1, usize::MAX);
                let have = matches!(&next, Ok(next) if next.events.first().is_some_and(|e| e.seq == expected));
                if have {
                    return Next::Go;
                }
                self.tell_refused(&format!(
                    "the control API expects event {expected}, which this disk does not have"
                ))
                .await;
                Next::Pause
            }
            Some(expected) if expected > first => {
                self.acknowledged(expected - 1);
                Next::Go
            }
            _ => {
                self.tell_refused(&problem.detail).await;
                Next::Pause
            }
        }
    }

    /// Halves the batch; a single event that is too large is replaced.
    async fn too_large(&mut self, batch: &Batch, detail: &str) -> Next {
        match &batch.events[..] {
            [single] => {
                let single = single.clone();
                self.replace(single, ProblemType::TooLarge, detail).await
            }
            events => {
                self.limit = (events.len() / 2).max(1);
                Next::Go
            }
        }
    }

    /// Puts `worker.event_refused` in an event's place, under its number and id.
    async fn replace(&mut self, event: RawEvent, kind: ProblemType, detail: &str) -> Next {
        let fatal = kind == ProblemType::GateRefused || decides(&event);
        let reason = Excerpt::within(detail, REASON_MAX_BYTES).text;
        let note = Event::EventRefused(EventRefused {
            refused: event.kind.clone(),
            reason: reason.clone(),
        });
        let (seq, kind) = (event.seq, event.kind.clone());
        if kind == note.kind() {
            // Even the replacement is refused: nothing more can be done from here.
            self.tell_refused(&reason).await;
            return Next::Pause;
        }
        match self.reader.quarantine(&event, &reason) {
            Ok(true) => {}
            Ok(false) => tracing::warn!(seq, kind, "a refused event is not kept: too many were"),
            Err(error) => tracing::warn!(seq, kind, %error, "a refused event could not be kept"),
        }
        let instead = RawEvent { kind: note.kind().to_owned(), data: note.data(), ..event };
        self.replaced.insert(seq, instead);
        self.tell(DeliverProblem::EventRefused { seq, kind, reason, fatal }).await;
        Next::Go
    }

    pub(super) async fn tell_refused(&mut self, reason: &str) {
        tracing::error!(reason, "events cannot be delivered; trying on");
        if !self.told_refused {
            self.told_refused = true;
            self.tell(DeliverProblem::Refused { reason: reason.to_owned() }).await;
        }
    }

    pub(super) async fn tell_ended(&mut self) {
        if !std::mem::replace(&mut self.told_ended, true) {
            self.tell(DeliverProblem::SandboxEnded).await;
        }
    }

    async fn tell(&self, problem: DeliverProblem) {
        if self.problems.send(problem).await.is_err() {
            tracing::debug!("the run is over; nobody listens to problems of delivery");
        }
    }
}
