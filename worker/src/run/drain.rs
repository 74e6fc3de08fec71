//! The end that someone asked for: the agent is interrupted and may come to rest before it is ended, so
//! that its transcript stops at a whole line and its last facts are known.
//!
//! What holds: facts are read while it is waited for; an agent that does not answer is ended all the
//! same; nothing that it says here is judged any more. In order, each within its own limit: this,
//! the end of the process tree (`agent`), the work in progress and the transcript ([`super::saved`]),
//! the terminal report, which is durable from then on, and the flush ([`super::ending`]). After a
//! signal all of it fits into [`super::signals::DRAIN_MAX`].

use std::time::{Duration, Instant};

use specwright_shared::id::MessageId;
use specwright_shared::outcome::Outcome;
use specwright_shared::wire::event::{AgentInterrupted, Event};

use super::drive::Run;
use super::interrupt::answered;
use crate::agent::Fact;
use crate::spool::SpoolError;

/// How long an agent may take to answer and to end its turn; the CLI was measured to need 10 to 80 ms,
/// on a loaded machine up to a second.
pub(super) const SETTLE_MAX: Duration = Duration::from_secs(2);

/// Whether an agent may come to rest before this end. Not when a newer generation has taken over, and
/// not when something broke: the agent, or we.
pub(super) const fn is_drained(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Cancelled | Outcome::BudgetExceeded)
}

impl Run<'_> {
    /// Interrupts the agent, if it is at its turn, and waits for the turn's end.
    pub(super) async fn settle(&mut self) -> Result<(), SpoolError> {
        let Some(running) = self.agent.as_ref().filter(|running| running.agent.is_alive()) else {
            return Ok(());
        };
        if !self.vigil.is_at_turn() {
            return Ok(());
        }
        let asked = Instant::now();
        let own = running.agent.interruption(true, SETTLE_MAX);
        let under_way = self.wakes.interrupt.take();
        let answer = async move {
            match under_way {
                // One at a time: the answer to that one will do.
                Some(open) => {
                    answered(&mut Some(open)).await;
                    None
                }
                None => Some(own.await),
            }
        };
        let limit = tokio::time::sleep(SETTLE_MAX);
        tokio::pin!(answer, limit);
        let (mut is_answered, mut is_at_rest) = (false, false);
        while !(is_answered && is_at_rest) {
            let Some(facts) = &mut self.wakes.facts else { break };
            tokio::select! {
                // The answer comes before the turn's end, and is told before it.
                biased;
                answer = &mut answer, if !is_answered => {
                    is_answered = true;
                    match answer {
                        Some(Ok(answer)) => {
                            let ids = |ids: Vec<_>| ids.into_iter().map(MessageId).collect();
                            self.record(Event::AgentInterrupted(AgentInterrupted {
                                reason: "the run is about to end".to_owned(),
                                took_ms: u64::try_from(asked.elapsed().as_millis()).ok(),
                                still_queued: ids(answer.still_queued),
                                cancelled: ids(answer.cancelled),
                                ..AgentInterrupted::default()
                            }))
                            .await?;
                        }
                        Some(Err(error)) => {
                            tracing::warn!(%error, "the agent is ended without coming to rest");
                            break;
                        }
                        None => {}
                    }
                }
                fact = facts.recv() => {
                    let Some(fact) = fact else { break };
                    is_at_rest |= matches!(fact, Fact::TurnEnded(_));
                    self.report(&fact).await?;
                    if matches!(fact, Fact::StdoutClosed | Fact::Exited(_)) {
                        break;
                    }
                }
                () = &mut limit => {
                    tracing::warn!(?SETTLE_MAX, "the agent did not come to rest; it is ended");
                    break;
                }
            }
        }
        Ok(())
    }
}
