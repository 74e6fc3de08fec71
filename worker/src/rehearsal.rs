//! The rehearsal agent: speaks the Claude CLI's protocol and works without a model.
//!
//! It is for trying Specwright, for demonstrations and for tests of the whole system. It really reads
//! the repository that it stands in, and derives modest, valid documents from the idea's sentences
//! and from what it found. Everything that it makes says so ([`LABEL`]); nothing falls back to it.
//!
//! What holds:
//! - Lines, their order and their fields are the CLI's (version [`PROTOCOL_VERSION`]); a reader that
//!   understands the one understands the other.
//! - A document is built from the types of `specwright_shared::documents`, so it always has their
//!   shape, and it is written to pass the gates for any idea and any repository.
//! - It only reads. It starts no process, opens no connection and writes no file.
//!
//! Deliberately absent: hooks, MCP servers, permission prompts, partial messages, `shouldQuery`,
//! transcripts on disk. A resumed session remembers nothing, because every phase prompt carries all
//! of its context. A closed stdout ends it at once (the CLI would work on, unheard).

mod flags;
mod idea;
mod input;
mod lines;
mod prompt;
mod session;
mod survey;
mod work;
mod write;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use self::flags::{Asked, Flags};
use self::lines::Lines;
use self::session::Session;

/// What everything made here says of itself.
pub const LABEL: &str = "rehearsal: no model was used";

/// The version of the CLI whose protocol this speaks.
const PROTOCOL_VERSION: &str = "2.1.330";

/// What stands where the CLI names its model.
const MODEL: &str = "rehearsal (no model)";

/// Lines read ahead of the loop. The loop empties the queue at every tool boundary; more than this
/// makes the sender wait, which is what a pipe is for.
const LINES_AHEAD: usize = 64;

/// Runs the agent on this process's stdin and stdout, in its working directory. `args` are the
/// arguments after the program's name (and after the command that chose the rehearsal).
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    match try_main(args) {
        Ok(code) => code,
        Err(problem) => {
            // Nobody is left to tell when stderr is gone too.
            writeln!(io::stderr(), "{problem}").ok();
            ExitCode::FAILURE
        }
    }
}

fn try_main(args: impl Iterator<Item = OsString>) -> Result<ExitCode, String> {
    let flags = match Flags::parse(args).map_err(|error| error.to_string())? {
        Asked::Version => {
            writeln!(io::stdout(), "{PROTOCOL_VERSION} (Specwright rehearsal, no model)")
                .map_err(|error| format!("stdout cannot be written: {error}"))?;
            return Ok(ExitCode::SUCCESS);
        }
        Asked::Work(flags) => flags,
    };
    let root = std::env::current_dir()
        .map_err(|error| format!("the working directory cannot be read: {error}"))?;
    let (sender, receiver) = mpsc::sync_channel(LINES_AHEAD);
    // Not joined: it may be inside a read that ends only with the process, which is what follows.
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || input::read_lines(io::stdin().lock(), &sender))
        .map_err(|error| format!("the thread that reads stdin cannot be started: {error}"))?;
    let lines = Lines::new(BufWriter::new(io::stdout().lock()), flags, root);
    Session::new(lines, receiver).run().map_err(|error| error.to_string())
}
