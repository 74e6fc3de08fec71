//! A run as its events tell it: a pure fold. What the live display, the plain lines and the end of a
//! run show is read from here.

use std::collections::BTreeMap;

use specwright_shared::id::MessageId;
use specwright_shared::phase::{Phase, PhaseStatus};
use specwright_shared::time::Timestamp;
use specwright_shared::wire::event::{Decoded, Event, EventView};
use specwright_shared::wire::message::Message;
use specwright_shared::wire::spec::PhaseView;

use crate::wording::{self, Wording};

/// A phase as far as it has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PhaseLine {
    /// Which.
    pub(crate) phase: Phase,
    /// Where it stands.
    pub(crate) status: PhaseStatus,
    /// Whether the run is to do it.
    pub(crate) asked_for: bool,
    /// The attempt at work, or the last one; 0 before the first.
    pub(crate) attempt: u8,
    /// How many it has; 0 when that is not known.
    pub(crate) max_attempts: u8,
    /// The newest score.
    pub(crate) score: Option<f64>,
    /// What it cost so far, in US dollars.
    pub(crate) cost_usd: f64,
    /// When it began.
    pub(crate) began: Option<Timestamp>,
    /// How long it took, in milliseconds, once it is over.
    pub(crate) duration_ms: Option<u64>,
    /// What is being done now, or how it ended.
    pub(crate) activity: String,
}

/// All phases of a run.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    /// One per phase, in order.
    pub(crate) phases: Vec<PhaseLine>,
    /// When the run began.
    pub(crate) began: Option<Timestamp>,
    /// Whether no model is used.
    pub(crate) rehearsal: bool,
    /// What was said to the agents, for events that name a message only by its id.
    said: BTreeMap<MessageId, String>,
}

/// An event in words, with its place in the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// Milliseconds since the run began.
    pub(crate) after_ms: u64,
    /// The phase at work.
    pub(crate) phase: Option<Phase>,
    /// What is said.
    pub(crate) wording: Wording,
}

impl Timeline {
    /// Before the first event of a run: earlier runs may have accepted phases already.
    pub(crate) fn new(stored: &[PhaseView]) -> Self {
        let line = |phase| {
            let stored = stored.iter().find(|view| view.phase == phase);
            let accepted = stored.filter(|view| view.status == PhaseStatus::Accepted);
            PhaseLine {
                phase,
                status: accepted.map_or(PhaseStatus::Pending, |view| view.status),
                asked_for: true,
                attempt: accepted.map_or(0, |view| view.attempts),
                max_attempts: 0,
                score: accepted.and_then(|view| view.score),
                cost_usd: accepted.map_or(0.0, |view| view.cost_usd),
                began: None,
                duration_ms: accepted.map(|view| view.duration_ms),
                activity: String::new(),
            }
        };
        Self {
            phases: Phase::ALL.into_iter().map(line).collect(),
            began: None,
            rehearsal: false,
            said: BTreeMap::new(),
        }
    }

    /// What all phases cost together, in US dollars.
    pub(crate) fn cost_usd(&self) -> f64 {
        self.phases.iter().map(|line| line.cost_usd).sum()
    }

    /// How many phases are accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.phases.iter().filter(|line| line.status == PhaseStatus::Accepted).count()
    }

    /// Keeps what messages say, for the events that come.
    pub(crate) fn know(&mut self, messages: impl IntoIterator<Item = Message>) {
        self.said.extend(messages.into_iter().map(|message| (message.id, message.text)));
    }

    /// Whether an event is about a message whose text is not known yet.
    pub(crate) fn asks_for(&self, view: &EventView) -> bool {
        view.event.kind == "agent.message_injected"
            && matches!(view.event.decode(), Ok(Decoded::Known(event))
                if matches!(&*event, Event::MessageInjected(message)
                    if !self.said.contains_key(&message.message_id)))
    }

    /// Takes an event in, and says what it means to a person.
    pub(crate) fn take(&mut self, view: &EventView) -> Option<Told> {
        let raw = &view.event;
        let event = match raw.decode() {
            Ok(Decoded::Known(event)) => *event,
            // A newer worker's type is data, and nothing that this version has words for.
            Ok(Decoded::Unknown) => return None,
            Err(error) => {
                let text = error.to_string();
                let wording = Wording { text, details: vec![], command: None, notable: true };
                return Some(self.told(raw.at, raw.phase, wording));
            }
        };
        if let Event::ExecutionStarted(run) = &event {
            self.began = Some(raw.at);
            self.rehearsal = run.rehearsal;
            for line in &mut self.phases {
                line.asked_for = run.phases.contains(&line.phase);
                if line.asked_for {
                    *line = PhaseLine { max_attempts: run.max_attempts, ..waiting(line.phase) };
                }
            }
        }
        let mut wording = wording::of(&event, view.sandbox_id, self.rehearsal);
        if let (Event::MessageInjected(message), Some(wording)) = (&event, &mut wording)
            && let Some(text) = self.said.get(&message.message_id)
        {
            wording.text = wording::message(message.status, text);
        }
        if let Some(line) = self.phases.iter_mut().find(|line| Some(line.phase) == raw.phase) {
            line.take(&event, raw.at);
            if let Some(wording) = wording.as_ref().filter(|_| line.status == PhaseStatus::Running)
            {
                line.activity.clone_from(&wording.text);
            }
        }
        if matches!(event, Event::ExecutionFailed(_) | Event::ExecutionCompleted(_)) {
            self.close(raw.at);
        }
        Some(self.told(raw.at, raw.phase, wording?))
    }

    /// The run is over: what still ran did not get to its end.
    fn close(&mut self, at: Timestamp) {
        for line in self.phases.iter_mut().filter(|line| line.status == PhaseStatus::Running) {
            line.status = PhaseStatus::Failed;
            line.activity = "not finished".to_owned();
            line.stop_clock(at);
        }
    }

    fn told(&self, at: Timestamp, phase: Option<Phase>, wording: Wording) -> Told {
        let after = self.began.map(|began| at.since(began)).unwrap_or_default();
        Told { after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX), phase, wording }
    }
}

const fn waiting(phase: Phase) -> PhaseLine {
    PhaseLine {
        phase,
        status: PhaseStatus::Pending,
        asked_for: true,
        attempt: 0,
        max_attempts: 0,
        score: None,
        cost_usd: 0.0,
        began: None,
        duration_ms: None,
        activity: String::new(),
    }
}

impl PhaseLine {
    fn take(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::PhaseStarted(started) => {
                *self = Self {
                    status: PhaseStatus::Running,
                    attempt: 1,
                    max_attempts: started.max_attempts,
                    began: Some(at),
                    ..waiting(self.phase)
                };
            }
            Event::AgentCompleted(turn) => self.cost_usd += turn.cost_usd,
            Event::PhaseRetry(retry) => {
                self.attempt = retry.attempt.saturating_add(1);
                self.max_attempts = retry.max_attempts;
                self.score = retry.score;
            }
            Event::PhaseCompleted(done) => {
                self.status = PhaseStatus::Accepted;
                self.attempt = done.attempt;
                self.score = Some(done.score);
                self.cost_usd = done.cost_usd;
                self.duration_ms = Some(done.duration_ms);
                self.activity.clear();
            }
            Event::PhaseFailed(failed) => {
                self.status = PhaseStatus::Failed;
                self.attempt = failed.attempts;
                self.cost_usd = failed.cost_usd;
                self.duration_ms = Some(failed.duration_ms);
                self.activity.clone_from(&failed.message);
            }
            _ => {}
        }
    }

    fn stop_clock(&mut self, at: Timestamp) {
        let took = self.began.map(|began| at.since(began)).unwrap_or_default();
        self.duration_ms = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }

    /// How long it took, or has taken until `now`; `None` before it begins.
    pub(crate) fn elapsed_ms(&self, now: Timestamp) -> Option<u64> {
        let running =
            self.began.map(|began| u64::try_from(now.since(began).as_millis()).unwrap_or(u64::MAX));
        self.duration_ms.or(running)
    }
}

#[cfg(test)]
mod tests;
