//! A small init: starts the worker, and starts it again when it crashes.
//!
//! What holds:
//! - A worker that ended with a code of its own ([`Outcome`], refused settings) has said all that it
//!   had to say: the code is passed on and nothing is started again.
//! - A worker that crashed (a signal, a panic) is started again, a bounded number of times
//!   ([`tries`]). Before that, everything that it left behind is ended: we are the sub-reaper above
//!   it, so whatever it had started, also in sessions of their own, descends from us by then.
//! - SIGTERM, SIGINT and SIGHUP are passed on, each time; after the first, nothing is started again.
//! - Orphans are reaped as they end: this may be process 1 of a container.
//! - When we end, however, the worker ends (parent-death signal), without a report: nobody asked.
//! - Our own environment holds no secret ([`hide`]).
//!
//! Deliberately absent: what a run is. The worker folds its spool and inbox and goes on by itself.

pub(crate) mod hangup;
pub(crate) mod hide;
pub(crate) mod parent;
mod tries;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use specwright_shared::outcome::Outcome;
use tokio::process::{Child, Command};
use tokio::signal::unix::{self, SignalKind, signal};

use crate::agent::{cgroup, table};
use crate::config::handover;
use crate::own_program::own_program;
use hangup::Hangup;
use tries::{RESTARTS_MAX, Tries, WINDOW};

/// How long the end of what a dead worker left behind may take. Killed processes go within
/// milliseconds; longer means that the kernel holds one.
const LEFTOVERS: Duration = Duration::from_secs(3);

/// The supervisor as a program. `worker` are the arguments that make this program the worker.
#[must_use]
pub fn main(worker: Vec<OsString>) -> ExitCode {
    let hidden = hide::secrets();
    crate::log::to_stderr(
        &crate::config::log_filter(),
        crate::config::log_format(),
        crate::config::named(),
        specwright_shared::redact::Redactor::default(),
    );
    if let Err(error) = hidden {
        tracing::warn!(%error, "the environment of this process, and the keys in it, can be read");
    }
    match supervise(worker) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(%error, "the worker cannot be supervised");
            ExitCode::from(Outcome::WorkerError.exit_code())
        }
    }
}

fn supervise(arguments: Vec<OsString>) -> io::Result<ExitCode> {
    if crate::config::dies_with_parent() && !parent::end_with(crate::config::parent())? {
        tracing::error!("whoever started this is gone");
        return Ok(ExitCode::from(Outcome::Cancelled.exit_code()));
    }
    let secrets = if handover::are_on_stdin() { Some(handover::take()?) } else { None };
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // One thread, which lives as long as we do: the worker's parent-death signal is tied to it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut supervisor = Supervisor {
            arguments,
            secrets,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangup::listen()?,
            orphans: signal(SignalKind::child())?,
            asked: false,
            worker: None,
        };
        supervisor.run().await
    })
}

struct Supervisor {
    arguments: Vec<OsString>,
    /// What each worker finds on its stdin; absent: nothing of it was set, or it could not be hidden.
    secrets: Option<Vec<u8>>,
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: Hangup,
    orphans: unix::Signal,
    /// Whether we were asked to end.
    asked: bool,
    /// The newest worker's process.
    worker: Option<u32>,
}

impl Supervisor {
    async fn run(&mut self) -> io::Result<ExitCode> {
        let mut tries = Tries::default();
        loop {
            let worker = self.start()?;
            self.worker = worker.id();
            let ended = self.attend(worker).await?;
            if let Some(dead) = self.worker {
                cgroup::sweep(dead);
            }
            let (killed, left) = table::end_descendants(LEFTOVERS);
            if left > 0 {
                tracing::error!(left, "processes that a worker left behind could not be ended");
            }
            if let Some(code) = own_code(ended) {
                return Ok(ExitCode::from(code));
            }
            let how = in_words(ended);
            if self.asked {
                tracing::error!("the worker {how} while it was ending");
                return Ok(ExitCode::from(code_of(ended)));
            }
            let Some(pause) = tries.again(Instant::now()) else {
                let minutes = WINDOW.as_secs() / 60;
                tracing::error!(
                    "the worker {how} and is not started again: {RESTARTS_MAX} restarts in \
                     {minutes} minutes were in vain"
                );
                return Ok(ExitCode::from(code_of(ended)));
            };
            tracing::warn!(left_behind = killed, "the worker {how}; it is started again");
            if self.is_asked_within(pause).await {
                return Ok(ExitCode::from(code_of(ended)));
            }
        }
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(own_program()?);
        command.args(&self.arguments).env("DIE_WITH_PARENT", "1");
        command.env("PARENT_PID", std::process::id().to_string());
        let Some(secrets) = &self.secrets else {
            return command.stdin(Stdio::null()).spawn();
        };
        let (reader, mut writer) = io::pipe()?;
        // Fits into the pipe: no one needs to read yet.
        writer.write_all(secrets)?;
        command.stdin(reader).spawn()
    }

    /// Waits for the worker's end; meanwhile passes signals on and reaps orphans.
    async fn attend(&mut self, mut worker: Child) -> io::Result<ExitStatus> {
        let pid = worker.id().and_then(|pid| i32::try_from(pid).ok());
        let pass_on = |signal: Signal| {
            if let Some(row) = pid.and_then(table::row) {
                table::signal(row.process, signal);
            }
        };
        loop {
            tokio::select! {
                ended = worker.wait() => return ended,
                _ = self.terminate.recv() => {
                    self.asked = true;
                    pass_on(Signal::TERM);
                }
                _ = self.interrupt.recv() => {
                    self.asked = true;
                    pass_on(Signal::INT);
                }
                () = self.hangup.next() => {
                    self.asked = true;
                    pass_on(Signal::HUP);
                }
                _ = self.orphans.recv() => table::reap_children(pid),
            }
        }
    }

    async fn is_asked_within(&mut self, pause: Duration) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => true,
            () = self.hangup.next() => true,
            () = tokio::time::sleep(pause) => false,
        }
    }
}

/// The code of a worker that ended by itself and in order; `None`: it crashed.
fn own_code(ended: ExitStatus) -> Option<u8> {
    let code = u8::try_from(ended.code()?).ok()?;
    let ours = Outcome::ALL.iter().any(|outcome| outcome.exit_code() == code);
    (ours || code == crate::WRONG_SETTINGS).then_some(code)
}

/// The code that stands for a crash, as shells have it.
fn code_of(ended: ExitStatus) -> u8 {
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

fn in_words(ended: ExitStatus) -> String {
    match (ended.code(), ended.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_passed_on_and_a_panic_or_a_signal_is_a_crash() {
        let exited = |code: i32| ExitStatus::from_raw(code << 8);
        for outcome in Outcome::ALL {
            let code = outcome.exit_code();
            assert_eq!(own_code(exited(code.into())), Some(code), "{outcome}");
        }
        assert_eq!(own_code(exited(2)), Some(2));
        for crash in [exited(1), exited(101), ExitStatus::from_raw(9)] {
            assert_eq!(own_code(crash), None, "{crash}");
        }
        assert_eq!(code_of(ExitStatus::from_raw(9)), 137);
        assert_eq!(in_words(ExitStatus::from_raw(9)), "was ended by signal 9");
    }
}
