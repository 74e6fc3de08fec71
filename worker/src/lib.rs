//! The worker: the daemon in a sandbox. It says hello, prepares the workspace, drives the agent
//! through the phases, and reports every fact durably.
//!
//! Start at [`run`] (the one loop: what can wake it, what it then does), then [`spool`] and
//! [`deliver`] (the only way out), [`workspace`] (where the agent works), [`phases`] (what it is
//! asked), [`agent`] (the process that we own), [`supervise`]
//! (who starts the worker again).

pub mod agent;
pub mod api;
pub mod config;
pub mod deliver;
pub mod gateway;
pub mod health;
pub mod inbox;
pub mod log;
mod own_program;
pub mod phases;
pub mod rehearsal;
pub mod run;
pub mod spool;
pub mod supervise;
mod unfollowed;
pub mod workspace;

use std::process::ExitCode;

use config::Config;

/// Threads of the runtime: the run on one, delivery and the gateway on the other.
const RUNTIME_THREADS: usize = 2;

/// The exit code when settings are refused.
pub const WRONG_SETTINGS: u8 = 2;

/// The worker as a program: settings from the environment, log on stderr, the outcome as exit code.
#[must_use]
pub fn main_from_env() -> ExitCode {
    let hidden = supervise::hide::secrets();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::from(WRONG_SETTINGS);
        }
    };
    if config.die_with_parent {
        match supervise::parent::end_with(config::parent()) {
            Ok(true) => {}
            Ok(false) => {
                eprintln!("the process that started this worker is gone: nothing is begun");
                return ExitCode::from(specwright_shared::outcome::Outcome::Cancelled.exit_code());
            }
            Err(error) => {
                eprintln!("DIE_WITH_PARENT=1 was asked for, but the system refuses: {error}");
                return ExitCode::from(WRONG_SETTINGS);
            }
        }
    }
    log::to_stderr(&config.log_filter, config.log_format, config.named(), config.redactor());
    tracing::info!(sandbox = %config.sandbox_id, trace_id = %config.trace.trace, "a worker begins");
    if let Err(error) = hidden {
        tracing::warn!(%error, "the environment of this process, and the keys in it, can be read");
    }
    if config.phase_context_given {
        tracing::info!("PHASE_CONTEXT_B64 is not used: the context comes with the job");
    }
    install_tls();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime cannot be started: {error}");
            return ExitCode::from(specwright_shared::outcome::Outcome::WorkerError.exit_code());
        }
    };
    let ended = runtime.block_on(run::run(config));
    ended.log();
    ExitCode::from(ended.outcome.exit_code())
}

/// Makes ring the TLS provider of this process. Another part of it may have done so already: that is
/// the same one.
fn install_tls() {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed already");
    }
}
