//! `specwright`: from an idea to a verified spec, tickets and pull requests.
//!
//! The composition root, and the one binary of a laptop or a server: it holds the command line, the
//! control API and the worker, and starts itself as the worker of local sandboxes. What the parts
//! decide and do is in their crates; here is how a person meets them.
//!
//! Start at [`args`] (what can be asked for), [`commands`] (one file per command), [`connect`] (the
//! control API that a command talks to) and [`run`] (a run from launch to end).

mod args;
mod check;
mod commands;
mod config;
mod connect;
mod display;
mod exit;
mod find;
mod follow;
mod idea;
mod log;
mod output;
mod report;
mod run;
mod signals;
mod summary;
mod timeline;
mod wording;

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::output::tell;

fn main() -> ExitCode {
    // Whatever we and what we start make is for this user alone, also where a library makes it.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let mut arguments = std::env::args_os().skip(1);
    // What sandboxes run is taken first: it has settings of its own and nothing of the rest.
    match arguments.next().as_deref().and_then(OsStr::to_str) {
        Some("worker") => return specwright_worker::main_from_env(),
        Some("supervise") => {
            let worker = std::iter::once("worker".into()).chain(arguments);
            return specwright_worker::supervise::main(worker.collect());
        }
        Some("rehearsal-agent") => return specwright_worker::rehearsal::main(arguments),
        _ => {}
    }
    match start(Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            tell(failure.report());
            failure.exit.into()
        }
    }
}

fn start(mut cli: Cli) -> Result<Exit, Failure> {
    // Before the runtime, so that Ctrl-C at an open stdin just ends us.
    if let Command::Launch(args) = &mut cli.command {
        args.idea = idea::read(&args.idea, std::io::stdin())?.into();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::new(Exit::NotReady, format!("the asynchronous runtime cannot start: {error}"))
    })?;
    runtime.block_on(commands::run(cli))
}
