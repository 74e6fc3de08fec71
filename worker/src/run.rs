//! A run, from settings to exit code: one loop ([`drive`]) over one enum ([`wake::Wake`]); what is
//! to be done is decided by `shared::machine` and performed here.
//!
//! What holds: every run that got its job ends with exactly one terminal event in the spool, then
//! the agent's tree is gone and the tasks are awaited; how it ended is the exit code.
//!
//! In order: [`arrival`] (lock, hello) → [`setup`] (spool, workspace, tasks) → [`drive`] (phases:
//! [`attempt`] begins, [`process`] starts the agent, [`resume`] takes
//! up one that died with the worker, [`facts`] writes down what it does, [`judge`]
//! weighs what came of it ([`turns`]: whose turn it was), [`vigil`] watches what takes too long,
//! [`changed`] tells which files changed,
//! [`mail`] brings messages to it, [`interrupt`] breaks off what it does) → [`drain`] (it comes to rest), [`saved`] (work in progress,
//! transcript) and [`ending`] (terminal event, flush).

mod arrival;
mod attempt;
mod calls;
mod changed;
mod drain;
mod drive;
mod ending;
mod facts;
mod interrupt;
mod judge;
mod left;
mod mail;
mod process;
mod resume;
mod saved;
mod setup;
mod signals;
mod turns;
mod vigil;
mod wake;

use specwright_shared::outcome::Outcome;

use crate::config::Config;

/// How a run ended, with the cause in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// Why; empty after success.
    pub message: String,
}

impl Ended {
    pub(crate) fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: message.into() }
    }

    /// The log's last line. That somebody asked for the end, or that another has the word about it, is
    /// no error.
    pub(crate) fn log(&self) {
        let Self { outcome, message } = self;
        match outcome {
            Outcome::Succeeded | Outcome::Cancelled | Outcome::Fenced => {
                tracing::info!(%outcome, message, "the run is over");
            }
            _ => tracing::error!(%outcome, message, "the run is over"),
        }
    }
}

/// Does the job that the control API has for this sandbox.
pub async fn run(config: Config) -> Ended {
    let signals = match signals::Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            return Ended::new(
                Outcome::WorkerError,
                format!("signals cannot be listened to: {error}"),
            );
        }
    };
    let (asked, at_once) = (signals.asked.clone(), signals.at_once.clone());
    let ended = tokio::select! {
        biased;
        // Dropping the run drops the agent, and with it its whole process tree.
        () = at_once.cancelled() => {
            Ended::new(Outcome::Cancelled, "ended at once by a signal, without a report")
        }
        ended = setup::whole_run(&config, asked) => ended,
    };
    signals.close().await;
    ended
}
