//! The lean worker for images. `specwright-worker rehearsal-agent` is the rehearsal agent, which the
//! worker starts as a child of itself; `specwright-worker supervise` is the init of an image, which
//! starts the worker, again after a crash.

use std::ffi::OsStr;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(OsStr::to_str) {
        Some("rehearsal-agent") => specwright_worker::rehearsal::main(arguments),
        Some("supervise") => specwright_worker::supervise::main(arguments.collect()),
        _ => specwright_worker::main_from_env(),
    }
}
