//! The lean worker for images. `specwright-worker rehearsal-agent` is the rehearsal agent, which the
//! worker starts as a child of itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "rehearsal-agent") {
        return specwright_worker::rehearsal::main(arguments);
    }
    specwright_worker::main_from_env()
}
