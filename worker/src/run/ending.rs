//! The end of a run: one terminal event, and all of the spool on its way before we exit.

use std::time::Duration;

use specwright_shared::outcome::Outcome;
use specwright_shared::phase::Phase;
use specwright_shared::wire::event::{Event, ExecutionCompleted, ExecutionFailed};
use tokio::sync::watch;

use super::drive::Run;
use crate::deliver::DeliverProblem;
use crate::spool::{Spool, SpoolError};

/// How long success waits for the control API to have all that came before it: a refusal of an
/// output must be able to turn it into a failure. A control API that is away does not change how the
/// run ends.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// How long the worker stays to deliver what is in the spool.
pub(super) const FLUSH_MAX: Duration = Duration::from_secs(30);
/// The same after a signal: whoever sent it waits.
pub(super) const FLUSH_AFTER_SIGNAL_MAX: Duration = Duration::from_secs(4);

impl Run<'_> {
    /// Makes the one terminal report.
    pub(super) async fn finish(&mut self, outcome: Outcome) -> Result<(), SpoolError> {
        if outcome == Outcome::Fenced {
            // How the run ended is not for us to say any more: a newer generation reports, or the
            // control API has.
            return Ok(());
        }
        if let Err(error) = self.save_work().await {
            // The terminal report has room of its own.
            tracing::error!(%error, "what became of the work in progress could not be recorded");
        }
        // After a signal there is no time for it; a worker that comes again puts a clone back first.
        if !self.wakes.asked.is_cancelled()
            && let Err(error) = self.tidy().await
        {
            tracing::error!(%error, "the workspace was not put back");
        }
        self.save_transcript().await;
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let overruled = match outcome {
            Outcome::Succeeded => self.overruled_meanwhile().await,
            _ => None,
        };
        if let Some((outcome, why)) = &overruled {
            self.overruled = Some(*outcome);
            self.because.clone_from(why);
        }
        let outcome = overruled.map_or(outcome, |(outcome, _)| outcome);
        if outcome == Outcome::Fenced {
            return Ok(());
        }
        let cost_usd = self.cost_usd;
        let event = if outcome == Outcome::Succeeded {
            let phases_completed = std::mem::take(&mut self.done);
            Event::ExecutionCompleted(ExecutionCompleted {
                phases_completed,
                paused_after: self.paused_after,
                cost_usd,
                duration_ms,
            })
        } else {
            failed(outcome, self.phase(), self.because.clone(), cost_usd, duration_ms)
        };
        if let Err(error) = self.record(event).await {
            // A run whose end cannot be reported has not succeeded, whatever it did.
            self.overruled = Some(Outcome::WorkerError);
            self.because = error.to_string();
            return Err(error);
        }
        Ok(())
    }

    /// Waits, bounded, until all that was reported is stored; `Some` when the control API said no
    /// meanwhile.
    async fn overruled_meanwhile(&mut self) -> Option<(Outcome, String)> {
        let last = *self.spool.durable().borrow();
        let settled = tokio::time::sleep(SETTLE_MAX);
        tokio::pin!(settled);
        loop {
            tokio::select! {
                biased;
                // A refusal is told before the number behind it is acknowledged.
                Some(problem) = self.wakes.problems.recv() => {
                    if let Some(overruled) = overrules(problem) {
                        return Some(overruled);
                    }
                }
                stored = self.acked.wait_for(|acked| *acked >= last) => {
                    drop(stored);
                    return self.wakes.problems.try_recv().ok().and_then(overrules);
                }
                () = &mut settled => return None,
                () = self.wakes.asked.cancelled() => return None,
            }
        }
    }
}

/// How a problem of delivery ends a run that had thought itself done.
fn overrules(problem: DeliverProblem) -> Option<(Outcome, String)> {
    match problem {
        DeliverProblem::Fenced => {
            Some((Outcome::Fenced, "A newer generation of this sandbox took over.".to_owned()))
        }
        DeliverProblem::SandboxEnded => {
            Some((Outcome::Fenced, "The control API has ended this sandbox.".to_owned()))
        }
        DeliverProblem::EventRefused { seq, kind, reason, fatal: true } => {
            let why = format!("The control API refused event {seq} ({kind}): {reason}");
            Some((Outcome::WorkerError, why))
        }
        DeliverProblem::EventRefused { fatal: false, .. } | DeliverProblem::Refused { .. } => None,
    }
}

/// The terminal report of a run that did not succeed.
pub(super) fn failed(
    outcome: Outcome,
    failed_phase: Option<Phase>,
    message: String,
    cost_usd: f64,
    duration_ms: u64,
) -> Event {
    let message = if message.is_empty() { "No cause is known.".to_owned() } else { message };
    Event::ExecutionFailed(ExecutionFailed {
        outcome,
        failed_phase,
        message,
        cost_usd,
        duration_ms,
    })
}

/// Waits until the control API has everything, bounded. Says whether it has.
pub(super) async fn flush(spool: &Spool, mut acked: watch::Receiver<u64>, limit: Duration) -> bool {
    let last = *spool.durable().borrow();
    let delivered = acked.wait_for(|acked| *acked >= last);
    let delivered = tokio::time::timeout(limit, async { delivered.await.is_ok() }).await;
    match delivered {
        Ok(true) => return true,
        // Delivery has ended: a newer generation has this spool, or we are being ended.
        Ok(false) => tracing::warn!(last, "the rest of the events is not taken any more"),
        Err(_) => {
            tracing::error!(
                last,
                acked = *acked.borrow(),
                secs = limit.as_secs(),
                "events are left in the spool; a worker started again in this place delivers them"
            );
        }
    }
    false
}
