//! Everything that can wake a run, in one enum.

use std::collections::VecDeque;
use std::time::Instant;

use specwright_shared::wire::message::{Message, Stop};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::interrupt::{Interrupted, Interrupting, answered};
use crate::agent::Fact;
use crate::deliver::DeliverProblem;
use crate::gateway::ModelFact;
use crate::inbox::Arrival;
use crate::phases::Computed;
use crate::workspace::watch::{Seen, Watch};

/// Something that a run has to think about.
#[derive(Debug)]
pub(super) enum Wake {
    /// A signal asked for the end.
    Signal,
    /// The control API asked for the end.
    Stop(Stop),
    /// The control API asked for the end after the phase at work.
    Pause,
    /// The agent answered an interrupt, or did not.
    Interrupted(Interrupted),
    /// A newer generation took over.
    Fenced,
    /// The control API has ended this sandbox.
    Ended,
    /// The inbox cannot be written.
    InboxBroken(String),
    /// Something about delivery.
    Delivery(DeliverProblem),
    /// The attempt's time is up.
    Deadline,
    /// A computed phase is done.
    Computed(Box<Computed>),
    /// Messages for the agent.
    Messages(Vec<Message>),
    /// The agent did something.
    AgentFact(Fact),
    /// Nothing more will come from the agent.
    AgentSilent,
    /// The gateway to the model saw something.
    Model(ModelFact),
    /// Files changed, or cannot be watched.
    Files(Seen),
}

/// Where wakes come from.
pub(super) struct Wakes {
    /// Asked by a signal; taken once.
    pub(super) asked: CancellationToken,
    pub(super) signal_taken: bool,
    pub(super) arrivals: mpsc::Receiver<Arrival>,
    pub(super) problems: mpsc::Receiver<DeliverProblem>,
    pub(super) watch: Watch,
    pub(super) facts: Option<mpsc::Receiver<Fact>>,
    /// The interrupt that the agent has not answered yet.
    pub(super) interrupt: Option<Interrupting>,
    pub(super) model: mpsc::Receiver<ModelFact>,
    /// What the run told itself.
    pub(super) own: VecDeque<Wake>,
}

impl Wakes {
    /// The next one; what ends a run comes before what keeps it going.
    pub(super) async fn next(&mut self, deadline: Option<Instant>) -> Wake {
        tokio::select! {
            biased;
            () = self.asked.cancelled(), if !self.signal_taken => {
                self.signal_taken = true;
                Wake::Signal
            }
            Some(problem) = self.problems.recv() => Wake::Delivery(problem),
            Some(arrival) = self.arrivals.recv() => match arrival {
                Arrival::Messages(messages) => Wake::Messages(messages),
                Arrival::Stop(stop) => Wake::Stop(stop),
                Arrival::Pause => Wake::Pause,
                Arrival::Fenced => Wake::Fenced,
                Arrival::Ended => Wake::Ended,
                Arrival::Broken(why) => Wake::InboxBroken(why),
            },
            // Before the agent's facts: what a call cost is known before the turn that it ends.
            Some(fact) = self.model.recv() => Wake::Model(fact),
            interrupted = answered(&mut self.interrupt) => Wake::Interrupted(interrupted),
            () = until(deadline) => Wake::Deadline,
            Some(own) = std::future::ready(self.own.pop_front()) => own,
            fact = recv(&mut self.facts) => match fact {
                Some(fact) => Wake::AgentFact(fact),
                None => {
                    self.facts = None;
                    Wake::AgentSilent
                }
            },
            Some(seen) = self.watch.seen.recv() => Wake::Files(seen),
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

async fn recv(facts: &mut Option<mpsc::Receiver<Fact>>) -> Option<Fact> {
    match facts {
        Some(facts) => facts.recv().await,
        None => std::future::pending().await,
    }
}
