//! From stdout to facts.
//!
//! What holds: a place in the queue is reserved before a line is taken, so that a slow consumer slows
//! the agent instead of filling memory; facts keep the order of stdout; [`Fact::StdoutClosed`] comes
//! once, [`Fact::Exited`] comes once and last. While the agent is being stopped nobody may be reading
//! facts any more: then what finds no place is dropped, so that a full queue cannot hold the process.

use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::ChildStdout;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::control::Control;
use super::fact::{Exit, Fact};
use super::lines::{LINE_MAX_BYTES, Line, Lines};
use super::stream::{Decoded, decode, start_of};
use super::tail::Tail;

/// After the process ended, a descendant may hold its pipes open: this long may they be silent.
const SILENCE_AFTER_EXIT: Duration = Duration::from_millis(300);

/// Whether the process ended, and how (inside: `None` if the system would not say).
pub(crate) type Ended = Option<Option<ExitStatus>>;

/// Reads one agent's stdout to its end.
pub(crate) struct Reader {
    pub(crate) facts: mpsc::Sender<Fact>,
    pub(crate) control: Control,
    pub(crate) exit: watch::Receiver<Ended>,
    pub(crate) closing: CancellationToken,
    pub(crate) stderr: Tail,
    /// Cancelled when stderr was read to its end.
    pub(crate) stderr_read: CancellationToken,
}

impl Reader {
    pub(crate) async fn run(self, stdout: ChildStdout) {
        self.read(Lines::new(stdout, LINE_MAX_BYTES)).await;
        self.control.close();
        self.send(Fact::StdoutClosed).await;
        let status = status(&mut self.exit.clone()).await;
        timeout(SILENCE_AFTER_EXIT, self.stderr_read.cancelled()).await.ok();
        self.send(Fact::Exited(exit_of(status, self.stderr.text()))).await;
    }

    async fn read(&self, mut lines: Lines<ChildStdout>) {
        let mut total_cost_usd = 0.0;
        let mut exit = self.exit.clone();
        loop {
            let slot = self.slot().await;
            let line = tokio::select! {
                biased; // What is there is read, also after the exit.
                line = lines.next() => line,
                () = silent_after(&mut exit) => return,
            };
            // A broken pipe ends the stream like its end does.
            let Ok(Some(line)) = line else { return };
            let mut facts = self.understand(&line, &mut total_cost_usd).into_iter();
            if let Some(first) = facts.next()
                && let Some(slot) = slot
            {
                slot.send(first);
            }
            for more in facts {
                self.send(more).await;
            }
        }
    }

    fn understand(&self, line: &Line<'_>, total_cost_usd: &mut f64) -> Vec<Fact> {
        if line.size > line.bytes.len() as u64 {
            let line_start = start_of(&String::from_utf8_lossy(line.bytes));
            return vec![Fact::LineTooLong { line_start, bytes: line.size }];
        }
        match decode(line.bytes) {
            Decoded::Facts(mut facts) => {
                for fact in &mut facts {
                    if let Fact::Malformed { why, .. } = fact
                        && line.torn
                    {
                        why.push_str("; the stream ended inside it");
                    }
                }
                facts
            }
            Decoded::Result(result) => {
                let turn = result.into_turn(*total_cost_usd);
                *total_cost_usd = turn.total_cost_usd;
                vec![Fact::TurnEnded(Box::new(turn))]
            }
            Decoded::Answer(answer) => {
                self.control.answered(answer);
                Vec::new()
            }
            Decoded::Asked { request_id } => {
                self.control.refuse(&request_id);
                Vec::new()
            }
        }
    }

    /// A place in the queue; none if nobody reads it.
    async fn slot(&self) -> Option<mpsc::Permit<'_, Fact>> {
        tokio::select! {
            biased;
            slot = self.facts.reserve() => slot.ok(),
            () = self.closing.cancelled() => self.facts.try_reserve().ok(),
        }
    }

    async fn send(&self, fact: Fact) {
        if let Some(slot) = self.slot().await {
            slot.send(fact);
        }
    }
}

async fn silent_after(exit: &mut watch::Receiver<Ended>) {
    status(exit).await;
    tokio::time::sleep(SILENCE_AFTER_EXIT).await;
}

/// How the process ended, when it did.
pub(crate) async fn status(exit: &mut watch::Receiver<Ended>) -> Option<ExitStatus> {
    match exit.wait_for(Option::is_some).await {
        Ok(ended) => (*ended).flatten(),
        Err(_) => None, // The waiting task was dropped with its runtime.
    }
}

pub(crate) fn exit_of(status: Option<ExitStatus>, stderr_tail: String) -> Exit {
    use std::os::unix::process::ExitStatusExt as _;
    Exit {
        code: status.and_then(|status| status.code()),
        signal: status.and_then(|status| status.signal()),
        stderr_tail,
    }
}
